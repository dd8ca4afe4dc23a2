"""`gpuprof compare` and `gpuprof report` from outside, on real runs: forms, exit codes, hostile and damaged records."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gpuprof.record.run import RunRecord
from gpuprof.report.stories.comparison import SIMULATED
from gpuprof.store import runs as store
from support.running import KEPT, ROOT, SAMPLES, command, gpuprof, imported_by, variables

pytestmark = pytest.mark.slow
CPU, GPU = SAMPLES / "cpu", SAMPLES / "simulated"
LSTM_1, LSTM_2, CNN, _ = store.run_directories(CPU)
FORMS = ("text", "json", "md", "html")
WRITTEN = [("cpu", "text"), ("cpu", "json"), ("cpu", "md"), *(("gpu", form) for form in (*FORMS, "pdf"))]
SIDES = {"cpu": (LSTM_1, LSTM_2), "gpu": ("vendor=nvidia", "vendor=amd", "--store", GPU)}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Indexes of these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[tuple[str, str], bytes]:
    """Both comparisons in every form, each as its file."""
    place = tmp_path_factory.mktemp("reports")
    found = {}
    for name, form in WRITTEN:
        file = place / f"{name}.{'txt' if form == 'text' else form}"
        done = gpuprof("compare", *SIDES[name], "-o", file)
        assert (done.code, done.out, done.err) == (0, "", f"wrote {file}\n"), done.err
        found[name, form] = file.read_bytes()
    return found


def document(*arguments: Any) -> dict[str, Any]:
    done = gpuprof("compare", *arguments, "--format", "json")
    assert done.code == 0, done.err
    return done.json


def changed(path: Path, target: Path, change) -> Path:
    """A copy of a run whose record was changed; it stays valid."""
    shutil.copytree(path, target)
    data = store.read(target).model_dump(mode="json", by_alias=True)  # as of today's schema
    change(data)
    RunRecord.model_validate(data)
    (target / "record.json").write_text(json.dumps(data))
    return target


# ---- forms


@pytest.mark.parametrize(("name", "form"), WRITTEN)
def test_every_form_is_what_it_says(written, name, form):
    content = written[name, form]
    starts = {"json": b"{", "md": b"# ", "html": b"<!DOCTYPE html>", "pdf": b"%PDF-"}
    assert content.startswith(starts.get(form, b""))
    if form == "json":
        json.loads(content, parse_constant=pytest.fail)
    if form in ("text", "md", "html"):
        said = content.decode()
        for part in ("throughput", "lstm", "MDE", "Fairness ledger"):
            assert part in said


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_simulated_runs_stand_under_a_banner(written, form):
    first = SIMULATED.partition(":")[0]
    assert first in written["gpu", form].decode()[: None if form == "html" else 400]
    assert first not in written["cpu", "md"].decode() + written["cpu", "text"].decode()
    assert json.loads(written["gpu", "json"])["simulated"] is True
    assert json.loads(written["cpu", "json"])["simulated"] is False


def test_all_forms_tell_the_same(written):
    for name in SIDES:
        told = json.loads(written[name, "json"])
        ratios = [f"{claim['ratio']:#.3g}×" for claim in told["claims"] if claim["allowed"]]
        assert ratios
        for form in ("text", "md", "html"):
            assert all(ratio in written.get((name, form), written[name, "md"]).decode() for ratio in ratios)


def test_what_is_printed_is_what_is_written(written):
    done = gpuprof("compare", *SIDES["cpu"])
    assert done.out == written["cpu", "text"].decode()
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out


def test_the_names_that_others_rely_on(written):
    for name in SIDES:
        told = json.loads(written[name, "json"])
        for claim in (*told["claims"], told["overall"]):
            assert claim.keys() >= {"workload", "metric", "ratio", "ci95", "mde", "verdict", "allowed", "reason"}
            assert claim["verdict"] in ("faster", "slower", "no difference shown", None)
            assert isinstance(claim["allowed"], bool)
            if claim["verdict"]:
                assert claim["ci95"][0] <= claim["ratio"] <= claim["ci95"][1]
                assert claim["mde"] > 0
        assert told["ledger"]
        for entry in told["ledger"]:
            assert entry.keys() >= {"key", "baseline", "candidate", "weight"}
            assert entry["weight"] in ("blocks", "weakens", "noted")
    assert {claim["metric"] for claim in told["claims"]} == {"throughput_per_s", "latency_p50_s"}
    assert {claim["workload"] for claim in told["claims"]} == {"lstm", "cnn"}
    assert told["overall"]["workload"] == "all"
    assert told["overall"]["view"] == "all workloads"


def test_json_is_one_document_on_stdout(written):
    done = gpuprof("compare", *SIDES["cpu"], "--json")
    told = done.json
    told["made_at"] = json.loads(written["cpu", "json"])["made_at"]
    assert told == json.loads(written["cpu", "json"])
    assert done.err == ""


def test_a_run_is_not_compared_with_itself():
    told = document(CNN, CNN)
    assert {claim["verdict"] for claim in (*told["claims"], told["overall"])} == {None}
    assert "the same measurements stand on both sides" in told["overall"]["reason"] + told["claims"][0]["reason"]


# ---- sides


def test_a_directory_stands_for_all_runs_in_it(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for directory, vendor in ((one, "NVIDIA"), (other, "AMD")):
        for path in store.run_directories(GPU):
            if vendor in store.read(path).device.name:
                shutil.copytree(path, directory / path.name)
    told = document(one, other)
    assert [len(told[name]["runs"]) for name in ("baseline", "candidate")] == [2, 2]
    assert told["overall"] == document(*SIDES["gpu"])["overall"]
    (other / "20261124T000000Z-x-00000000").mkdir()
    done = gpuprof("compare", one, other)
    assert done.code == 0
    assert "1 record could not be read and were left out" in done.out.replace("was", "were")
    assert "20261124T000000Z-x-00000000" in done.out


def test_a_run_by_name_record_and_older_schema():
    told = document(LSTM_1.name[:16], LSTM_2 / "record.json", "--store", CPU)
    assert told["baseline"]["runs"] == [LSTM_1.name]
    assert document(KEPT, LSTM_1)["claims"]


def test_cases_are_varied_by_what_the_selectors_ask():
    told = document("workload=lstm,threads=1", "workload=lstm,threads=2", "--store", CPU)
    assert told["vary"] == ["threads"]
    assert told["overall"]["allowed"]


def test_simulated_against_measured_is_never_a_verdict():
    done = gpuprof("compare", CPU, SAMPLES / "simulated" / store.run_directories(GPU)[0].name, "--format", "json")
    told = done.json
    assert not any(claim["allowed"] for claim in (*told["claims"], told["overall"]))
    assert all("a simulator measures no hardware" in claim["reason"] for claim in told["claims"])
    assert told["ledger"][0]["key"] == "simulated"
    assert told["headline"].startswith("No verdict")


# ---- refusals


@pytest.mark.parametrize("form", ["text", "json"])
def test_strict_refuses_with_exit_code_4_and_names_what_blocks(form, tmp_path):
    output = tmp_path / "report"
    for where in ([], ["-o", output]):
        done = gpuprof("compare", LSTM_1, store.run_directories(GPU)[0], "--strict", "--format", form, *where)
        assert done.code == 4
        said = done.err if form == "text" else done.json["error"]["message"]
        assert "--strict" in said
        assert "simulated: measured against simulated (a simulator measures no hardware)" in said
        assert form == "text" or done.json["error"]["exit_code"] == 4
        assert not output.exists()


def test_strict_lets_pass_what_only_weakens():
    assert gpuprof("compare", *SIDES["cpu"], "--strict").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vendor=nvidia"], "Missing argument 'CANDIDATE'"),
        (["vender=nvidia", "last"], "did you mean 'vendor'?"),
        (["vendor=nvidia", "last", "--store", CPU], "fulfils 'vendor=nvidia'"),
        (["nothing", "last", "--store", CPU], "no run 'nothing'"),
        (["2026", "last", "--store", CPU], "4 runs match '2026'"),
        ([CPU, GPU], "holds 2 device models; pick one with device~NAME"),
        ([LSTM_1, LSTM_2, "-o", "report.docx"], "name the form with --format"),
        ([LSTM_1, LSTM_2, "--vary", "colour"], "'colour' is not one of"),
        ([LSTM_1, LSTM_2, "--machine-spread", "nan"], "not a number"),
        ([LSTM_1, LSTM_2, "--machine-spread", "-1"], "is not in the range"),
        ([LSTM_1, SAMPLES / "README.md"], "no run"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message_and_exit_code_2(arguments, message):
    done = gpuprof("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize("name", ["compare", "report"])
def test_help_imports_nothing_heavy(name):
    heavy = {"torch", "torchvision", "numpy", "scipy", "pydantic", "rich", "yaml", "jinja2", "vl_convert", "sqlite3"}
    assert not imported_by(name, "--help") & heavy


def test_comparing_imports_neither_torch_nor_scipy():
    assert not imported_by("compare", *SIDES["gpu"]) & {"torch", "torchvision", "scipy", "numpy", "jinja2"}


def test_a_page_from_an_index_at_hand_needs_no_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    page = ("report", "--store", SAMPLES / "cpu", "-o", tmp_path / "page.html")
    assert gpuprof(*page).code == 0
    assert not imported_by(*page) & {"torch", "torchvision", "scipy", "numpy", "pydantic"}


def test_a_mistake_under_json_is_one_document():
    done = gpuprof("compare", LSTM_1, LSTM_2, "--json", "--format", "md")
    assert done.code == done.json["error"]["exit_code"] == 2
    assert "ask for two different things" in done.json["error"]["message"]


# ---- files


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    """A limit on the size of files fails writes as a full disk does; what was there before stays."""
    output = tmp_path / "report.md"
    output.write_text("the report of yesterday")
    limited = f"ulimit -f 1; exec {' '.join(command('compare', LSTM_1, LSTM_2, '-o', output))}"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, env=variables(XDG_CACHE_HOME=str(tmp_path / "c")), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"gpuprof: {output}: cannot be written (File too large)\n"
    assert output.read_text() == "the report of yesterday"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_report_replaces_the_one_before_and_keeps_to_the_umask(tmp_path):
    output = tmp_path / "report.md"
    output.write_text("old")
    assert gpuprof("compare", *SIDES["cpu"], "-o", output).code == 0
    assert output.read_text().startswith("# ")
    umask = os.umask(0)
    os.umask(umask)
    assert output.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("output", "form", "message"),
    [("/dev/full", "json", "/dev/full: cannot be written (No space left on device)"),
     ("nowhere/report.md", "md", "nowhere/report.md: cannot be written (No such file or directory)"),
     ("/proc/report.md", "md", "/proc/report.md: cannot be written"),
     ("README.md/report.md", "md", "README.md/report.md: cannot be written (Not a directory)")],
)  # fmt: skip
def test_where_nothing_can_be_written_it_is_told(output, form, message):
    done = gpuprof("compare", *SIDES["cpu"], "--format", form, "-o", output)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    assert gpuprof("compare", *SIDES["cpu"], "--format", "md", "-o", pipe).code == 0
    said, _ = reader.communicate(timeout=60)
    assert said.startswith("# ")
    assert pipe.is_fifo()


@pytest.mark.parametrize("form", ["text", "json", "md"])
def test_a_full_disk_under_stdout_is_one_message(form):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("compare", *SIDES["cpu"], "--format", form), cwd=ROOT, env=variables(), stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "gpuprof: the output cannot be written (No space left on device)\n")


# ---- report


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A store with measured and simulated runs, and three records that cannot be read."""
    directory = tmp_path_factory.mktemp("mixed")
    for path in (*store.run_directories(CPU), *store.run_directories(GPU)):
        shutil.copytree(path, directory / path.name)
    for name, content in (("cut", '{"schema": "gpuprof.rec'), ("foreign", '{"benchmark": 3}'),
                          ("future", '{"schema": "gpuprof.record/99"}')):  # fmt: skip
        path = directory / f"20261124T000000Z-{name}-00000000"
        path.mkdir()
        (path / "record.json").write_text(content)
    return directory


@pytest.fixture(scope="module")
def reported(mixed) -> dict[str, str]:
    return {form: outputs(form, "report", "--store", mixed) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_a_report_of_a_store_in_every_form(reported, form):
    said = reported[form]
    if form == "json":
        told = json.loads(said)
        assert told["simulated"] is True
        assert len(told["devices"]) == 3
        assert len(told["skipped"]) == 3
        return
    assert "SIMULATED" in said
    plain = said.replace("\\", "")
    for name in ("cut", "foreign", "future"):
        assert f"20261124T000000Z-{name}-00000000" in plain
    for device in ("AMD EPYC", "NVIDIA H100 80GB HBM3", "AMD Instinct MI300X"):
        assert device in plain
    assert "GPU against CPU" not in plain, "simulated GPUs and a measured CPU"


def test_damaged_records_are_listed_once_by_compare(mixed):
    done = gpuprof("compare", "vendor=nvidia", "vendor=amd", "--store", mixed)
    assert done.code == 0
    assert "3 records could not be read and were left out:" in done.out
    assert len(document("vendor=nvidia", "vendor=amd", "--store", mixed)["skipped"]) == 3


def test_a_report_of_some(mixed):
    done = gpuprof("report", "workload=lstm,vendor=amd", "--store", mixed, "--json")
    assert [len(device["cases"]) for device in done.json["devices"]] == [1]
    assert gpuprof("report", LSTM_1.name, "--store", mixed, "--json").json["devices"][0]["runs"] == [LSTM_1.name]
    assert "1 run on 1 device model" in gpuprof("report", LSTM_1 / "record.json").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "empty"], "`gpuprof run CONFIG` makes the first"),
        (["--store", "nowhere"], "`gpuprof run CONFIG` makes the first"),
        (["vendor=intel", "--store", str(CPU)], "'vendor=intel' names none"),
        (["--store", str(LSTM_1 / "record.json")], "cannot be listed"),
        (["colour=red"], "no field 'colour'"),
    ],
)
def test_a_report_of_nothing_says_so(arguments, message, tmp_path):
    (tmp_path / "empty").mkdir()
    done = gpuprof("report", *arguments, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


# ---- hostile records

MARK = "zqx"
HOSTILE = (
    f"{MARK}<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x1b]0;title\x07\r\x08\x00\u202e\u2066\u2069"
    "\u200e\u200f **bold** [link](http://evil.example) | pipe | `code` www.evil.example\n# head\n- item \"'onload=x& "
    "{{1234*4321}} ${x} </style>"
)


def poison(data: dict[str, Any]) -> None:
    """The hostile text in every place that takes any text."""
    data["device"]["name"] = HOSTILE
    for name in ("hostname", "os", "kernel", "cpu", "container", "python", "gpuprof", "torch"):
        data["environment"][name] = HOSTILE + name
        data["environment"]["absent"].pop(name, None)
    data["environment"]["libraries"] = {HOSTILE: HOSTILE, "cudnn": HOSTILE}
    data["environment"]["variables"] = {HOSTILE: HOSTILE}
    data["warnings"] = [HOSTILE]
    if data["telemetry"] is not None:
        data["telemetry"] |= {"scope": HOSTILE, "gain_source": HOSTILE, "library": HOSTILE}
        data["telemetry"]["identity"] = {
            name: {"value": HOSTILE, "status": "ok", "reason": None}
            for name in ("driver_version", "vbios_version", "partition")
        }
    for case in data["cases"]:
        case["workload"] += HOSTILE
        case["params"] = {HOSTILE: HOSTILE}
        case["warnings"] = [HOSTILE]
        case["precision"]["flags"] = {HOSTILE: HOSTILE}
        case["absent"] = dict.fromkeys(case["absent"], HOSTILE)
        case["throttled_share"] = case["throttled_share"] and case["throttled_share"] | {HOSTILE: 0.5}
        for one in case["repeats"]:
            if one["telemetry"] is not None:
                one["telemetry"]["checks"] = [HOSTILE]
                one["telemetry"]["before"] |= {
                    name: {"value": HOSTILE, "status": "ok", "reason": None}
                    for name in ("power_limit_w", "power_limit_default_w", "ecc_enabled", "core_clock_max_hz")
                }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """Two simulated runs, one of them poisoned through and through."""
    directory = tmp_path_factory.mktemp("hostile")
    good, bad = store.run_directories(GPU)[0], store.run_directories(GPU)[2]
    shutil.copytree(good, directory / good.name)
    changed(bad, directory / bad.name, poison)
    other = f"{good.name[:-8]}0badf00d"
    changed(good, directory / other, lambda data: (poison(data), data.update(run_id=other)))
    return directory


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.scripts = 0
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.scripts += tag == "script"
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]


def outputs(form: str, *arguments: Any) -> str:
    done = gpuprof(*arguments, "--format", form)
    assert done.code == 0, done.err
    return done.out


COMMANDS = {
    "compare": lambda runs: ("compare", *store.run_directories(runs)[::2]),
    "report": lambda runs: ("report", "--store", runs),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", ["text", "md", "json", "html"])
def test_a_hostile_record_injects_nothing(hostile, written, reported, name, form):
    said = outputs(form, *COMMANDS[name](hostile))
    assert MARK in said
    if form == "json":
        assert said.isascii()
        json.loads(said, parse_constant=pytest.fail)
        assert "\x1b" not in said
        return
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", said)
    assert form == "html" or not re.search(r"^(# head|- item)", said, re.MULTILINE)
    if form == "md":
        plain = re.sub(r"\\.", "", said)
        for mark in ("<script", "<img", "**bold", "[link]", "http://", "www.", "`code", "| pipe |", "${", "</style"):
            assert mark not in plain, mark
        assert set(re.findall(r"<[^>]*>", plain)) <= {"<sub>", "</sub>"}
    if form == "html":
        found, clean = Tags(said), Tags(written["gpu", "html"].decode())
        assert found.found <= clean.found | Tags(reported["html"]).found
        assert found.scripts <= clean.scripts
        assert all(link.startswith("#") for link in found.links)
        assert "5332114" not in said, "a template was evaluated"


def test_a_hostile_record_steers_no_message(hostile, tmp_path):
    """Names of devices and files in errors, too."""
    done = gpuprof("compare", hostile, hostile)
    assert done.code == 2
    assert "device models" in done.err
    refused = gpuprof("compare", LSTM_1, store.run_directories(hostile)[1], "--strict")
    assert refused.code == 4
    strange = tmp_path / "a\x1b[31mb"
    strange.mkdir()
    nothing = gpuprof("compare", strange, strange)
    assert nothing.code == 2
    for said in (done.err, refused.err, nothing.err):
        assert "\x1b" not in said
        assert not re.search(r"^\s*(# head|- item)", said, re.MULTILINE)


def absurd(value: float):
    def change(data: dict[str, Any]) -> None:
        for case in data["cases"]:
            case["throughput_per_s"] |= {"value": value, "ci95": [value, value]}
            case["first_step_s"] = case["peak_memory_bytes"] = abs(int(value)) if abs(value) > 1 else 0
            case["power_w"] = case["power_w"] and {**case["power_w"], **dict.fromkeys(("mean", "max"), value)}
            for one in case["repeats"]:
                one["throughput"]["samples_per_s"] = abs(value)
                one["latency"]["p50"] = abs(value)

    return change


@pytest.mark.parametrize("value", [0.0, -1.0, 1e308, 5e-324], ids=str)
def test_absurd_numbers_are_no_verdict_and_no_crash(tmp_path, value):
    good, bad = store.run_directories(GPU)[0], store.run_directories(GPU)[2]
    run = changed(bad, tmp_path / bad.name, absurd(value))
    told = json.loads(outputs("json", "compare", good, run), parse_constant=pytest.fail)
    assert told["claims"]
    outputs("text", "report", run)
