"""`gpuprof compare` from outside, on real runs: forms, sides, refusals, exit codes."""

from __future__ import annotations

import json
import shutil

import pytest

from gpuprof.report.stories.comparison import SIMULATED
from gpuprof.store import runs as store
from support.compared import CNN, CPU, GPU, LSTM_1, LSTM_2, SIDES, WRITTEN, document
from support.running import KEPT, SAMPLES, gpuprof, imported_by

pytestmark = pytest.mark.slow


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
    done = gpuprof("compare", *SIDES["cpu"], "-v")
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
    assert "both sides have the same measurements" in told["overall"]["reason"] + told["claims"][0]["reason"]


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
    assert "1 record left out:" in done.out
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
    assert all("simulated numbers do not come from hardware" in claim["reason"] for claim in told["claims"])
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
        assert "simulated: measured vs simulated (simulated numbers do not come from hardware)" in said
        assert form == "text" or done.json["error"]["exit_code"] == 4
        assert not output.exists()


def test_strict_lets_pass_what_only_weakens():
    assert gpuprof("compare", *SIDES["cpu"], "--strict").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vendor=nvidia"], "Missing argument 'CANDIDATE'"),
        (["vender=nvidia", "last"], "did you mean 'vendor'?"),
        (["vendor=nvidia", "last", "--store", CPU], "matches 'vendor=nvidia'"),
        (["nothing", "last", "--store", CPU], "no run 'nothing'"),
        (["2026", "last", "--store", CPU], "4 runs match '2026'"),
        ([CPU, GPU], "has runs on 2 device models; pick one with device~NAME"),
        ([LSTM_1, LSTM_2, "-o", "report.docx"], "unknown suffix; add --format"),
        ([LSTM_1, LSTM_2, "--vary", "colour"], "'colour' is not one of"),
        ([LSTM_1, LSTM_2, "--machine-spread", "nan"], "--machine-spread must be a number"),
        ([LSTM_1, LSTM_2, "--machine-spread", "-1"], "is not in the range"),
        ([LSTM_1, SAMPLES / "README.md"], "no run"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message_and_exit_code_2(arguments, message):
    done = gpuprof("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_comparing_imports_neither_torch_nor_scipy():
    assert not imported_by("compare", *SIDES["gpu"]) & {"torch", "torchvision", "scipy", "numpy", "jinja2"}


def test_a_mistake_under_json_is_one_document():
    done = gpuprof("compare", LSTM_1, LSTM_2, "--json", "--format", "md")
    assert done.code == done.json["error"]["exit_code"] == 2
    assert "contradict each other" in done.json["error"]["message"]


# ---- damaged records


def test_damaged_records_are_listed_once_by_compare(mixed):
    done = gpuprof("compare", "vendor=nvidia", "vendor=amd", "--store", mixed)
    assert done.code == 0
    assert "3 records left out:" in done.out
    assert len(document("vendor=nvidia", "vendor=amd", "--store", mixed)["skipped"]) == 3
