"""Nights: real ones on the CPU, one of them slowed by a parameter of its workload, and generated ones for exactness."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import LIMIT_S, ROOT, gpuprof, variables
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from test_export import publish
from test_history import night

from gpuprof import nightly
from gpuprof.errors import LockedError
from gpuprof.files import to_file
from gpuprof.record import RunRecord

SCRIPT = ROOT / "scripts" / "compare_nightly"
# A batch of one, so that the step-by-step cells take some six times as long as the fused kernel.
TINY = """\
workload: lstm
batch_size: 1
seq_len: 60
threads: 1
"""


def script(*arguments) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], cwd=ROOT, env=variables(), check=False,
                          capture_output=True, text=True, timeout=LIMIT_S)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(600)  # nine processes that import torch
def test_a_slowed_night_is_told_and_an_unchanged_one_is_not(tmp_path):
    config, store = tmp_path / "tiny.yaml", tmp_path / "store"
    config.write_text(TINY)
    # Half of the speed must be gone to count: machines that run tests are noisy.
    options = (config, "--store", store, "--out", tmp_path / "out", "--quick", "--device", "cpu", "--least", "0.5")
    code, out, err = script(*options, "--night", "first")
    assert (code, out.count("\n")) == (0, 1), err
    assert "1 for the first time" in out
    code, out, err = script(*options, "--night", "second")
    assert (code, "nothing slower" in out) == (0, True), (out, err)
    runs = sorted(path.name for path in store.glob("2*"))
    code, again, err = script(*options, "--night", "second")  # it is there: nothing is measured
    assert (code, again) == (0, out), err
    assert sorted(path.name for path in store.glob("2*")) == runs
    code, out, err = script(*options, "--night", "third", "--set", "params.fused=false")
    assert code == 5, (out, err)
    assert out.count("\n") == 1
    assert "REGRESSED: lstm · train: 0." in out
    assert "fused true → false" in out
    page = (tmp_path / "out" / "third" / "report.html").read_text()
    assert "fused true → false" in page
    assert not list((tmp_path / "out").rglob("*.tmp"))


# ---- generated


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose `gpuprof run` publishes the next of `records`, or fails with what stands in its place."""

    class Machine:
        store, out = tmp_path / "store", tmp_path / "out"
        records: list[RunRecord | subprocess.CompletedProcess | Exception]
        calls: list[list[str]]

        def __init__(self):
            self.records, self.calls = [], []
            self.store.mkdir()

        def night(self, name: str, *records, configs=("x.yaml",), **more) -> nightly.Night:
            self.records = list(records)
            done = nightly.run(nightly.Plan(configs, self.store, self.out, name, **more))
            assert not self.records, "left over: less was measured than expected"
            return done

        def run(self, command, **_):
            self.calls.append(command)
            record = self.records.pop(0)
            if isinstance(record, Exception):
                raise record
            if isinstance(record, subprocess.CompletedProcess):
                return record
            publish(self.store, (record, {}))
            good = all(case.outcome == "ok" for case in record.cases)
            return subprocess.CompletedProcess(command, 0 if good else 1, stdout=record.to_json().encode())

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Machine()
    monkeypatch.setattr(nightly, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": found.run}))
    return found


def samples(machine) -> dict[str, float]:
    text = (machine.out / "gpuprof_nightly.prom").read_text()
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}


def test_the_line_the_report_and_the_textfile_say_the_same(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    good = machine.night("a", night(20, 101))
    assert good.exit_code == 0
    assert "nothing slower; 1 case measured; report" in good.line
    assert samples(machine)["gpuprof_nightly_regressions"] == 0
    bad = machine.night("b", night(21, 50, driver="6.2"))
    assert bad.exit_code == 5
    assert "REGRESSED: cnn · train: 0.495× throughput in the run of 2026-09-22 (kernel 1 → 6.2)" in bad.line
    assert "\n" not in bad.line
    assert samples(machine)["gpuprof_nightly_regressions"] == 1
    assert samples(machine)["gpuprof_nightly_ratio"] == pytest.approx(0.495, rel=0.01)
    assert samples(machine)["gpuprof_throughput_samples_per_second"] == pytest.approx(50, rel=0.01)
    assert "kernel 1 → 6.2" in (machine.out / "b" / "report.html").read_text()
    later = [machine.night(f"c{i}", night(22 + i, 50, driver="6.2")) for i in range(5)]
    assert [one.exit_code for one in later] == [5] * 5
    (settled,) = later[-1].worse
    assert settled.settled
    assert settled.since.at.startswith("2026-09-22")


def test_a_night_is_not_measured_twice(machine):
    machine.night("a", night(0, 100))
    assert machine.night("a").exit_code == 0  # nothing to hand out: nothing may be asked for
    machine.night("a", night(1, 100), again=True)
    machine.night("a", night(2, 100), options=("--quick",))  # another measurement
    machine.night("b", night(3, 100))
    assert machine.night("b", configs=("x.yaml", "./x.yaml")).exit_code == 0  # one file
    for path in machine.store.glob("2*/record.json"):
        path.unlink()
        for other in path.parent.iterdir():
            other.unlink()
        path.parent.rmdir()
    machine.night("b", night(4, 100))  # its run is no longer in the store
    (machine.out / "b" / "night.json").write_text("{cut off")
    machine.night("b", night(5, 100))
    assert len(machine.calls) == 6


def test_a_suite_is_measured_file_by_file_and_no_file_twice(machine, tmp_path):
    one, other, listed = (tmp_path / name for name in ("one.yaml", "other.yaml", "suite.yaml"))
    one.write_text("workload: cnn\n")
    other.write_text("workload: gru\nrepeats: 4\n")
    listed.write_text("suite: [one.yaml, other.yaml]\n")
    configs = (str(listed), str(one))
    machine.night("a", night(0, 100), night(1, 101), configs=configs)
    assert [command[-1] for command in machine.calls] == [str(one), str(other)]
    other.write_text("workload: gru\nrepeats: 5\n")
    machine.night("a", night(2, 100), configs=configs)  # another text of one of them: that one alone
    assert machine.calls[-1][-1] == str(other)
    listed.write_text("suite: [one.yaml, other.yaml]\nrepeats: 9\n")
    machine.night("a", night(3, 100), night(4, 101), configs=(str(listed),))
    assert machine.calls[-1][-4:] == ["--set", "repeats=9", "--", str(other)]
    listed.write_text("suite: [one.yaml, none.yaml]\n")
    broken = subprocess.CompletedProcess([], 2, stdout=b'{"error": {"message": "no none.yaml"}}')
    done = machine.night("a", broken, configs=configs)  # the suite alone fails
    assert [item.fault for item in done.measured] == ["no none.yaml", ""]


def test_a_failed_configuration_costs_itself_alone(machine):
    error = {"error": {"message": "gone.yaml: no such file\nreally", "exit_code": 2}}
    failed = subprocess.CompletedProcess([], 2, stdout=json.dumps(error).encode())
    configs = ("gone.yaml", "x.yaml")
    first = machine.night("a", failed, night(0, 100), configs=configs)
    assert first.exit_code == 1
    assert "FAILED: gone.yaml: gone.yaml: no such file really; nothing slower; 1 case measured" in first.line
    assert "no such file" in (machine.out / "a" / "report.html").read_text()
    assert samples(machine)["gpuprof_nightly_failed"] == 1
    late = subprocess.TimeoutExpired("x", 1)
    second = machine.night("a", late, configs=configs)  # what was measured is not measured again
    assert "gone.yaml: not over after 21,600 s" in second.line
    silent = subprocess.CompletedProcess([], -9, stdout=b"")
    third = machine.night("b", silent, night(1, 40), configs=configs)
    assert third.exit_code == 5  # beside the failure, which the line tells too
    assert "REGRESSED" in third.line
    assert "FAILED: gone.yaml: gpuprof run ended with code -9" in third.line
    broken = machine.night("c", night(2, 100, outcome="error"))
    assert broken.exit_code == 1
    assert "FAILED: x.yaml: a: because of error" in broken.line
    assert machine.night("d", night(3, 100)).exit_code == 0


def test_nothing_measured_still_leaves_a_report(machine):
    done = machine.night("a", subprocess.CompletedProcess([], 3, stdout=b""))
    assert done.exit_code == 1
    assert "0 cases measured" in done.line
    assert "Nothing was measured." in (machine.out / "a" / "report.html").read_text()


def test_the_other_vendors_newest_runs_stand_beside(machine):
    theirs = [night(i, 100 * (1 + i), gpu="AMD Instinct MI300X", vendor="amd", host="b", effective="ieee")
              for i in range(2)]  # fmt: skip
    publish(machine.store, *((record, {}) for record in theirs))
    alone = machine.night("a", night(2, 100))  # a CPU has no vendor to be compared with
    assert "Against" not in (machine.out / "a" / "report.html").read_text()
    assert alone.exit_code == 0
    machine.night("b", night(3, 400, gpu="NVIDIA H100", effective="ieee"))
    page = (machine.out / "b" / "report.html").read_text()
    assert "Against AMD Instinct MI300X" in page
    assert "NVIDIA H100 is faster than AMD Instinct MI300X." in page
    assert "2.00×" in page  # over the newest, not over all of them


def test_a_second_copy_is_locked_out(machine):
    machine.out.mkdir()
    with (machine.out / ".lock").open("w") as lock:
        lock.write("process 1234 since yesterday")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match=r"already at work .process 1234 since yesterday"):
            machine.night("a")
        done = gpuprof("nightly", "x.yaml", "--store", machine.store, "--out", machine.out)
        assert done.code == 75
        assert done.out == ""
        assert "already at work" in done.err
    machine.night("a", night(0, 100))


@pytest.mark.parametrize(("arguments", "message"), [([], "Missing argument"), (["x", "--night", "../y"], "letters")])
def test_wrong_usage_is_told(tmp_path, arguments, message):
    done = gpuprof("nightly", *arguments, "--store", tmp_path)
    assert done.code == 2
    assert message in done.err


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    to_file(tmp_path / "file", b"")
    done = gpuprof("nightly", "x.yaml", "--store", tmp_path, "--out", tmp_path / "file")
    assert done.code == 2
    assert "name another with --out" in done.err


def test_the_script_is_a_way_to_the_command(tmp_path):
    code, out, _ = script("--help")
    assert code == 0
    for words in ("--again", "Exit codes: 0 nothing slower", "75 another copy"):
        assert words in out
    assert SCRIPT.stat().st_mode & 0o111
    made = subprocess.run(
        ["make", "-n", "nightly", "ARGS=--again"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"scripts/compare_nightly configs/lstm.yaml .*--again", made.stdout)
