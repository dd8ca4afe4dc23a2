"""Records and journals with absurd contents: named and skipped, within bounds of time and memory; the rest is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from gpuprof.errors import StoreError
from gpuprof.report.charts import drawing
from gpuprof.store import runs as store
from gpuprof.store.raw import read_raw
from support.compared import GPU, LSTM_1, LSTM_2
from support.journals import journal, left, repeat
from support.running import ROOT, gpuprof, variables

pytestmark = pytest.mark.slow
HUGE = 10**400


def first_case(data):
    return data["cases"][0]


def set_all(name, value):
    def change(data):
        for case in data["cases"]:
            case[name] = value

    return change


CHANGES = {
    "huge batch size": set_all("batch_size", HUGE),
    "huge FLOPs": set_all("flops_per_sample", HUGE),
    "huge parameters": set_all("parameters", HUGE),
    "huge phase": lambda data: first_case(data)["repeats"][0]["phases"][0].update(end_ns=HUGE),
    "huge memory": lambda data: first_case(data)["repeats"][0]["memory"].update(peak_bytes=HUGE),
    "two cases of one name": lambda data: data["cases"].append(first_case(data)),
    "value outside of its interval": lambda data: first_case(data)["throughput_per_s"].update(value=1e9),
    "nesting": lambda data: first_case(data)["params"].update(x=json.loads("[" * 400 + "]" * 400)),
}


@pytest.fixture
def spoilt(request, tmp_path):
    """A store of two runs, and a third that was changed."""
    for run in (LSTM_1, LSTM_2):
        shutil.copytree(run, tmp_path / "s" / run.name)
    data = store.read(LSTM_1).model_dump(mode="json", by_alias=True)
    data["run_id"] = "20261124T090000Z-bad-00000000"
    CHANGES[request.param](data)
    target = tmp_path / "s" / data["run_id"]
    target.mkdir()
    (target / "record.json").write_text(json.dumps(data))
    shutil.copy(LSTM_1 / "raw.npz", target)
    return tmp_path / "s"


@pytest.mark.parametrize("spoilt", CHANGES, indirect=True)
def test_they_are_named_and_the_others_are_there(spoilt, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    verified = gpuprof("store", "verify", "--store", spoilt, env=env)
    assert verified.code == 1
    assert "20261124T090000Z-bad-00000000" in verified.out + verified.err
    for command in (("list",), ("report", "--format", "md"), ("compare", f"run={LSTM_1.name}", f"run={LSTM_2.name}"),
                    ("history", "workload=lstm")):  # fmt: skip
        assert gpuprof(*command, "--store", spoilt, env=env).code == 0


@pytest.mark.parametrize("name", ["a\uffffb", "a\u2028b", "a\ud800b", "a\ufdd0b", "a\x00b", "\U0010ffff"])
def test_no_name_takes_the_process_away(name, tmp_path):
    """vl-convert aborts on some characters: nothing could catch that."""
    code = (
        "import json, sys; from gpuprof.report.charts import cases, drawing; "
        "name = json.loads(sys.argv[1]); row = {'label': name, 'side': name, 'value': 1.0, 'low': 0.5, 'high': 2.0}; "
        "print(drawing.svg(cases.throughput([row], [row['side']]))[:4])"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(name)], cwd=ROOT, env=variables(), text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "<svg\n"), done.stderr


def test_a_device_of_such_a_name_is_compared(tmp_path):
    for run in store.run_directories(GPU)[:3]:
        shutil.copytree(run, tmp_path / run.name)
        data = json.loads((tmp_path / run.name / "record.json").read_text())
        data["device"]["name"] += "\uffff\u2028"
        if data["telemetry"]:
            data["telemetry"] |= {"temperature_signal": "warm"}
        (tmp_path / run.name / "record.json").write_text(json.dumps(data))
    done = gpuprof("report", "--store", tmp_path, "-o", tmp_path / "r.html")
    assert done.code == 0, done.err
    for run in store.run_directories(tmp_path):
        assert gpuprof("show", run.name, "--store", tmp_path).code == 0


def test_a_journal_that_overflows_does_not_stop_the_others(tmp_path):
    bad, _ = left(tmp_path, name="bad"), left(tmp_path, name="good")
    lines = journal(repeat(0), end=False)
    lines[0]["run_id"] = bad.name.removeprefix(".tmp-")
    lines[1]["request"]["batch_size"] = HUGE
    lines[2]["repeat"]["throughput"]["steps"] = HUGE
    (bad / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = gpuprof("recover", "--store", tmp_path)
    assert bad.name in done.out + done.err
    assert [run.name.split("-")[1] for run in store.run_directories(tmp_path)] == ["good"]


def test_a_sparse_journal_is_not_read(tmp_path):
    bad, _ = left(tmp_path, name="bad"), left(tmp_path, name="good")
    for size in (8 << 30, 3 << 30):
        with (bad / "journal.jsonl").open("r+b") as file:
            file.truncate(size)
        done = gpuprof("recover", "--store", tmp_path)
        assert "for a journal" in done.out + done.err
    assert [run.name.split("-")[1] for run in store.run_directories(tmp_path)] == ["good"]


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0/x.npy", bytes(300 << 20))
    with pytest.raises(StoreError, match="unpacks to more than 256 MiB"):
        read_raw(tmp_path)


def test_a_record_of_80_mb_is_refused(tmp_path):
    target = tmp_path / LSTM_1.name
    shutil.copytree(LSTM_1, target)
    with (target / "record.json").open("a") as file:
        file.write(" " * (80 << 20))
    done = gpuprof("show", target)
    assert done.code == 2 or done.code == 1
    assert "too large for a record" in done.err


def test_pictures_are_made_of_harmless_text():
    assert "\ufffd" in drawing.svg(
        {"mark": "text", "data": {"values": [{}]}, "encoding": {"text": {"value": "\uffff"}}}
    )
