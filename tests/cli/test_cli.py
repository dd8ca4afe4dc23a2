"""The command line from outside: what it prints, where, with which exit code, and what it does not import."""

from __future__ import annotations

import importlib
import json
import re
import subprocess

import click
import pytest
from rich.console import Console

from gpuprof import __version__, metrics
from gpuprof.cli import app
from gpuprof.cli.help import COMMANDS
from gpuprof.report.views import run as terminal
from gpuprof.store.assemble import assemble
from support.journals import NOW, journal, repeat
from support.running import CONFIGS, ROOT, command, gpuprof, imported_by, variables

HEAVY = ("torch", "torchvision", "numpy", "scipy", "rich", "pydantic", "yaml")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_is_quick_and_says_how(arguments):
    assert not imported_by(*arguments) & set(HEAVY[:5])
    if arguments == ["--help"]:
        assert not imported_by(*arguments) & set(HEAVY)
    done = gpuprof(*arguments)
    assert done.code == 0
    assert done.err == ""
    if "--help" in arguments:
        assert "Example" in done.out
        assert "gpuprof " + (arguments[0] if arguments[0] != "--help" else "run") in done.out
        assert "pip install gpuprof" not in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_lives_in_the_module_of_its_whole_name(name):
    module = importlib.import_module(f"gpuprof.cli.{name.replace('-', '_')}")
    assert module.command.name == name
    assert app.group.get_command(click.Context(app.group), name) is module.command


def test_version():
    assert gpuprof("--version").out == f"gpuprof {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", CONFIGS / "vgg16.yaml", "--dry-run"],
        ["run", CONFIGS / "lstm.yaml", "--dry-run", "--json"],
        ["schema"],
    ],
)
def test_the_reading_half_never_imports_torch(arguments):
    assert not imported_by(*arguments) & {"torch", "torchvision", "numpy", "scipy"}


def test_dry_run_tells_cases_order_and_time():
    done = gpuprof("run", CONFIGS / "lstm.yaml", "--dry-run", "--json", "--set", "sweep.batch_size=[1,8]", "--quick")
    assert done.code == 0
    plan = done.json
    assert [case["case_id"][-13:] for case in plan["cases"]] == ["b1-t100-eager", "b8-t100-eager"]
    assert len(plan["order"]) == 6
    assert 10 < plan["estimate_s"] < 600
    text = gpuprof("run", CONFIGS / "lstm.yaml", "--dry-run")
    assert "1 case x 5 fresh processes" in text.out
    assert "nothing was run" in text.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "Missing argument"),
        (["rnu"], 2, "Did you mean 'run'?"),
        (["frobnicate"], 2, "No such command"),
        (["run", "nowhere.yaml"], 2, "nowhere.yaml: no such file"),
        (["run", "configs/lstm.yml"], 2, "did you mean 'configs/lstm.yaml'?"),
        (["run", "configs/lstm.yaml", "--device", "tpu"], 2, "is not one of auto, cpu, gpu"),
        (["run", "configs/lstm.yaml", "--device", "gpu:x"], 2, "is not one of auto, cpu, gpu"),
        (["run", "configs/lstm.yaml", "--set", "batch=3"], 2, "did you mean 'batch_size'?"),
        (["run", "configs/lstm.yaml", "--store", "/dev/null"], 2, "cannot be used as the store"),
        (["show", "nothing", "--store", "nowhere"], 2, "no run 'nothing' in nowhere"),
        (["show", "README.md"], 2, "no run"),
    ],
)
def test_mistakes_are_one_message_and_an_exit_code(arguments, code, message):
    if "/dev/null" in arguments:
        arguments = [*arguments, "--device", "cpu", "--quick"]
    done = gpuprof(*arguments)
    assert done.code == code
    assert message in done.err
    assert done.out == ""


def test_all_problems_of_all_files_come_at_once(tmp_path):
    for name, text in (("a", "workload: lsmt"), ("b", "workload: cnn\nbatch: 2\nmode: x")):
        (tmp_path / f"{name}.yaml").write_text(text)
    done = gpuprof("run", tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert done.code == 2
    assert len(done.err.splitlines()) == 3
    assert re.search(r"b\.yaml:3:1: mode: 'x' is not one of train, infer", done.err)


def test_an_error_under_json_is_one_document():
    done = gpuprof("run", "nowhere.yaml", "--json")
    assert done.code == 2
    assert done.json["error"]["exit_code"] == 2
    assert "no such file" in done.json["error"]["message"]


def test_a_temporary_directory_that_cannot_be_made_is_one_message(monkeypatch):
    from gpuprof.errors import GpuprofError
    from gpuprof.supervisor import machine

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.tempfile, "TemporaryDirectory", full)
    with pytest.raises(GpuprofError, match="set TMPDIR"), machine.session():
        pass


@pytest.mark.parametrize(
    ("outcomes", "verdict", "code"),
    [
        ([["ok"]], "pass", 0), ([["ok"], ["unsupported"]], "pass", 0), ([["unsupported"]], "pass", 3),
        ([["ok", "timeout"]], "pass", 1), ([["crashed"], ["unsupported"]], "pass", 1), ([["ok"]], "wrong", 1),
    ],
)  # fmt: skip
def test_exit_code_of_a_record(outcomes, verdict, code):
    from gpuprof.cli.run import _exit_code

    record = assemble_cases(outcomes)
    correct = [
        c.model_copy(update={"correctness": c.correctness.model_copy(update={"verdict": verdict})})
        for c in record.cases
    ]
    assert _exit_code(record.model_copy(update={"cases": correct})) == code


def assemble_cases(outcomes: list[list[str]]):
    lines = journal()
    header, case, end = lines
    body = []
    for number, repeats in enumerate(outcomes):
        body.append({**case, "case_id": f"c{number}"})
        body += [
            {"type": "repeat", "case_id": f"c{number}", "repeat": repeat(i, outcome=o), "raw": {}}
            for i, o in enumerate(repeats)
        ]
    return assemble([header, *body, end], NOW)[0]


def test_no_gpu_is_exit_code_3_and_says_what_to_do():
    done = gpuprof(
        "run", CONFIGS / "lstm.yaml", "--device", "gpu", env={"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    )
    assert done.code == 3
    assert "no GPU can be used here" in done.err
    assert "--device cpu" in done.err


def test_torch_that_cannot_be_imported_is_exit_code_3(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "raise ImportError('libcudart.so.13: cannot open shared object file')"
    )
    done = gpuprof("run", CONFIGS / "lstm.yaml", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 3
    assert "PyTorch cannot be used" in done.err
    assert "libcudart" in done.err


def test_the_stored_run_is_listed_and_shown(stored_run):
    store, run = stored_run
    run_id = run.json["run_id"]
    assert run_id in gpuprof("list", "--store", store).out
    listed = gpuprof("list", "--store", store, "--json").json
    assert [row["run_id"] for row in listed["runs"]] == [run_id]
    assert listed["damaged"] == listed["unfinished"] == []
    assert gpuprof("show", "last", "--store", store, "--json").json == run.json
    text = gpuprof("show", "last", env={"GPUPROF_STORE": str(store)}).out
    for word in ("throughput", "samples/s", "95%", "p50", "correctness", "pass", "4,865 trainable", "2 ok"):
        assert word in text


def test_an_empty_store_says_how_to_begin(tmp_path):
    assert "makes the first" in gpuprof("list", "--store", tmp_path / "none").out
    assert gpuprof("list", "--store", tmp_path, "--json").json == {"runs": [], "damaged": [], "unfinished": []}
    assert "Nothing to recover" in gpuprof("recover", "--store", tmp_path).out


def test_a_damaged_run_is_skipped_by_name(stored_run, tmp_path):
    import shutil

    store, run = stored_run
    shutil.copytree(store, tmp_path / "s")
    bad = tmp_path / "s" / "20260101T000000Z-bad-00000000"
    bad.mkdir()
    (bad / "record.json").write_text("{")
    done = gpuprof("list", "--store", tmp_path / "s")
    assert done.code == 0
    assert run.json["run_id"] in done.out
    assert "skipped" in done.err
    assert bad.name in done.err


def test_schema_is_json_schema():
    assert gpuprof("schema").json["$id"] == "gpuprof.record/3"


def test_a_reader_that_goes_away_is_no_traceback():
    shell = subprocess.run(
        ["bash", "-c", f"{' '.join(command('schema'))} | head -1"], cwd=ROOT, env=variables(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shell.stdout == "{\n"
    assert shell.stderr == ""


def rendered(record, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in terminal.render(record, width):
        console.print(part)
    return console.export_text()


def test_a_card_for_one_case_and_a_row_each_for_many():
    record = assemble(journal(repeat(0), repeat(1)), NOW)[0]
    text = rendered(record)
    assert re.search(r"throughput +100\.0 samples/s   \[100\.0 – 100\.0 samples/s\] 95%", text)
    lines = journal(repeat(0), repeat(1, outcome="timeout"))
    for name in ("b", "c"):
        lines.insert(-1, {**lines[1], "case_id": name})
    table = rendered(assemble(lines, NOW)[0], width=200)
    assert table.count("cnn · train · ieee · batch 8 · eager · 1 thread") == 1
    assert "1/5" in table
    assert "warning: a: repeat 2: timeout: because of timeout" in table
    assert "not run: b" in table


def test_no_number_is_cut_in_a_narrow_terminal():
    lines = journal(repeat(0, samples_per_s=123456), repeat(1, samples_per_s=654321))
    for number in range(1, 4):
        request = lines[1]["request"] | {"batch_size": 2**number}
        lines.insert(-1, {**lines[1], "case_id": f"b{number}", "request": request})
        for index in range(2):
            one = repeat(index, samples_per_s=123456 * (1 + 4 * index))
            lines.insert(-1, {"type": "repeat", "case_id": f"b{number}", "repeat": one, "raw": {}})
    text = rendered(assemble(lines, NOW)[0], width=80)
    assert "…" not in text
    assert text.count("100.0 ms") == 4


def test_what_did_not_run_is_not_said_to_have_run():
    text = rendered(assemble(journal(repeat(0, outcome="unsupported")), NOW)[0])
    assert "none, unsupported: because of unsupported" in text
    assert " ran" not in text
    assert "throughput" not in text


def test_the_worst_of_repeated_warnings_is_seen():
    lines = journal(*(repeat(i, warnings=[f"gap of {gap}"]) for i, gap in enumerate(("+2.8%", "+21.9%"))))
    assert "repeat 1: gap of +2.8%   (likewise repeat 2: +21.9%)" in rendered(assemble(lines, NOW)[0])


def test_markup_in_a_hostile_name_is_text():
    lines = journal(repeat(0))
    lines[0]["device"]["name"] = "[red]GPU[/red] \x1b[31m<script>"
    text = rendered(assemble(lines, NOW)[0])
    assert "[red]GPU[/red]" in text
    assert "\x1b[31m" not in text


def test_a_simulated_run_says_so():
    lines = journal(repeat(0))
    lines[0]["simulated"] = True
    assert "SIMULATED" in rendered(assemble(lines, NOW)[0])


def test_the_table_of_metrics_reads_a_real_record(stored_run):
    from gpuprof.record.run import RunRecord

    record = RunRecord.model_validate(stored_run[1].json)
    for case in record.cases:
        for metric in metrics.METRICS:
            reading = metric.read(case)
            assert (reading.value is None) == bool(reading.absent), metric.key
            assert metric.better in ("higher", "lower")
    assert len({metric.key for metric in metrics.METRICS}) == len(metrics.METRICS)
    assert json.dumps(stored_run[1].json)


def test_energy_stands_in_the_card_with_its_error_its_scope_and_what_throttled():
    data = assemble(journal(repeat(0), repeat(1), kind="gpu"), NOW)[0].model_dump(mode="json", by_alias=True)
    summary = {"mean": 400.0, "median": 400.0, "min": 90.0, "max": 650.0, "start": 55.0, "end": 61.0, "samples": 50}
    estimate = {"ci95": [0.4, 0.6], "processes": 2}
    case = data["cases"][0]
    case |= {
        "energy_j_per_sample": estimate | {"value": 0.5}, "energy_method": "counter",
        "energy_error_j_per_sample": 0.001,
        "energy_above_idle_j_per_sample": estimate | {"value": 0.4}, "idle_power_w": 80.0, "power_w": summary,
        "temperature_c": summary | {"max": 61.0}, "throttled_share": {"power_cap": 0.12, "none": 0.88},
    }  # fmt: skip
    case["absent"] = {name: why for name, why in case["absent"].items() if case[name] is None}
    data["telemetry"] = {
        "vendor": "nvidia", "library": "NVML", "version": "driver 1", "simulated": True, "device": "nvidia:0",
        "attributed_by": "UUID", "scope": "board", "shared_by": 1, "power_signal": "power_instant_w",
        "temperature_signal": "temperature_core_c", "gain_error": 0.05, "gain_source": "a study", "hz": 10.0,
        "identity": {}, "tick_s": 0.1, "call_s": 0.001, "cpu_share": 0.002,
    }  # fmt: skip
    del data["absent"]["telemetry"]
    text = rendered(type(assemble(journal(repeat(0)), NOW)[0]).model_validate(data), width=160)
    assert "± 1.000 mJ, 4.000 J a step by energy counter, sensor gain ± 5%; covers board" in text  # a batch of 8
    assert "idle power 80.00 W" in text
    assert "at most 650.0 W" in text
    assert "core, 55 °C at start, 61 °C at end" in text
    assert re.search(r"throttled +power cap 12%", text)
