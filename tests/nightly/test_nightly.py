"""Nights: real ones on the CPU, one of them slowed by a parameter of its workload, and generated ones for exactness."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gpuprof.errors import LockedError, UsageError
from gpuprof.nightly import measure as tonight
from gpuprof.nightly import run as nightly
from gpuprof.record.run import RunRecord
from gpuprof.store import runs
from gpuprof.system.files import to_file
from gpuprof.system.interrupts import terminate_as_interrupt
from support.made import publish
from support.nights import night
from support.running import LIMIT_S, ROOT, command, gpuprof, variables

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


@pytest.mark.slow
@pytest.mark.timeout(600)  # nine processes that import torch
def test_a_slowed_night_is_told_and_an_unchanged_one_is_not(tmp_path):
    config, store = tmp_path / "tiny.yaml", tmp_path / "store"
    config.write_text(TINY)
    # More than half of the speed must be gone to count: machines that run tests are noisy.
    options = (config, "--store", store, "--out", tmp_path / "out", "--quick", "--device", "cpu", "--least", "0.6")
    code, out, err = script(*options, "--night", "first")
    assert (code, out.count("\n")) == (0, 1), err
    assert "1 for the first time" in out
    code, out, err = script(*options, "--night", "second")
    assert (code, "nothing slower" in out) == (0, True), (out, err)
    runs = sorted(path.name for path in store.glob("2*"))
    code, again, err = script(*options, "--night", "second")  # it is there: nothing is measured
    assert (code, again) == (0, out.replace("1 case measured", "1 case measured before (--again measures anew)")), err
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
        records: list[RunRecord | tuple[int | None, bytes] | Exception]
        calls: list[list[str]]

        def __init__(self):
            self.records, self.calls = [], []
            self.store.mkdir()

        def night(self, name: str, *records, configs=("x.yaml",), **more) -> nightly.Night:
            self.records = list(records)
            done = nightly.run(tonight.Plan(configs, self.store, self.out, name, **more))
            assert not self.records, "left over: less was measured than expected"
            return done

        def call(self, command, log, lock, timeout_s):
            self.calls.append(command)
            record = self.records.pop(0)
            if isinstance(record, Exception):
                raise record
            if isinstance(record, tuple):
                return record
            publish(self.store, (record, {}))
            good = all(case.outcome == "ok" for case in record.cases)
            return 0 if good else 1, record.to_json().encode()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Machine()
    monkeypatch.setattr(tonight, "_call", found.call)
    return found


def samples(machine) -> dict[str, float]:
    text = (machine.out / "gpuprof_nightly.prom").read_text()
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}


@pytest.mark.slow
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


def test_no_name_steers_the_mail_the_textfile_or_the_report(machine, monkeypatch):
    """Names of the host, the device, the kernel, a file, and what a library said."""
    bad = "h\u202e\u2066\u200e\x1b[31m\x00\nREGRESSED"
    monkeypatch.setattr(socket, "gethostname", lambda: bad)
    publish(machine.store, *((night(i, 100, gpu=bad, host=bad), {}) for i in range(3)))
    refused = (1, json.dumps({"error": {"message": f"no\ud800 device {bad}"}}).encode())
    slower = night(4, 50, gpu=bad, host=bad, driver=bad)
    done = machine.night("a", slower, refused, configs=("x.yaml", "y\u202e\udc80.yaml"))
    assert done.exit_code == 5
    assert [bool(done.worse), bool(done.failed)] == [True, True]
    texts = [done.line, *((machine.out / name).read_text() for name in ("gpuprof_nightly.prom", "a/report.html"))]
    for text in texts:
        text.encode()
        assert "h\ufffd\ufffd\ufffd\ufffd[31m\ufffd" in text
        assert not re.search("[\x00\x1b\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert done.line.isprintable(), "one line"
    samples(machine)


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
    broken = 2, b'{"error": {"message": "no none.yaml"}}'
    done = machine.night("a", broken, configs=configs)  # the suite alone fails
    assert [item.fault for item in done.measured if item.fresh] == ["no none.yaml"]


def test_a_failed_configuration_costs_itself_alone(machine):
    error = {"error": {"message": "gone.yaml: no such file\nreally", "exit_code": 2}}
    failed = 2, json.dumps(error).encode()
    configs = ("gone.yaml", "x.yaml")
    first = machine.night("a", failed, night(0, 100), configs=configs)
    assert first.exit_code == 1
    assert "FAILED: gone.yaml: no such file really; nothing slower; 1 case measured" in first.line
    assert "no such file" in (machine.out / "a" / "report.html").read_text()
    assert samples(machine)["gpuprof_nightly_failed"] == 1
    late = None, b""
    second = machine.night("a", late, configs=configs)  # what was measured is not measured again
    assert "gone.yaml: not over after 21,600 s" in second.line
    silent = -9, b""
    third = machine.night("b", silent, night(1, 40), configs=configs)
    assert third.exit_code == 5  # beside the failure, which the line tells too
    assert "REGRESSED" in third.line
    assert "FAILED: gone.yaml: gpuprof run ended with code -9" in third.line
    broken = machine.night("c", night(2, 100, outcome="error"))
    assert broken.exit_code == 1
    assert "FAILED: x.yaml: a: because of error" in broken.line
    assert machine.night("d", night(3, 100)).exit_code == 0


def test_nothing_measured_still_leaves_a_report(machine):
    done = machine.night("a", (3, b""))
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
    assert "name another directory with --out" in done.err


def test_tonight_is_judged_whatever_the_clock_says_and_whatever_came_since(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(10, 30)))
    bad = machine.night("a", night(5, 50))  # the clock went back
    assert (bad.exit_code, len(bad.judged)) == (5, 1)
    publish(machine.store, (night(40, 100), {}))  # by hand
    again = machine.night("a")
    assert again.exit_code == 5
    assert again.line.partition("; ")[0] == bad.line.partition("; ")[0]


def test_a_plan_that_fails_takes_nothing_from_the_same_night(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    machine.night("a", night(20, 50))
    wrong = machine.night("a", (2, b'{"error": {"message": "no such key"}}'), overrides=("nope=1",))
    assert (wrong.exit_code, len(wrong.judged), len(wrong.failed)) == (5, 1, 1)
    assert samples(machine)["gpuprof_throughput_samples_per_second"] == pytest.approx(50, rel=0.01)
    assert machine.night("a").failed == []  # what was wrong is not held against the night


def test_a_night_is_judged_by_what_the_plan_names(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    assert machine.night("a", night(20, 101)).exit_code == 0
    assert machine.night("a", night(21, 50), overrides=("params.fused=false",)).exit_code == 5
    assert machine.night("a").exit_code == 0  # measured before the other


def test_cards_of_one_model_are_told_apart(machine):
    for i in range(2):
        machine.night(f"n{i}", *(night(3 * i + j, 100, gpu=gpu, config=config)
                                 for j, (gpu, config) in enumerate([("A", "x"), ("B", "x"), ("A", "y")])),
                      configs=("x.yaml", "y.yaml", "z.yaml"))  # fmt: skip
    text = (machine.out / "gpuprof_nightly.prom").read_text()
    ratios = [line.partition("}")[0] for line in text.splitlines() if line.startswith("gpuprof_nightly_ratio{")]
    assert len(set(ratios)) == len(ratios) == 3


def test_a_run_whose_record_is_gone_is_a_failure(machine, monkeypatch):
    record = night(0, 100)
    (machine.store / record.run_id).mkdir()
    for answer in (record.to_json().encode(), b"", b"5", b"null", b"[1]", b'"run_id"', b"[" * 100_000):
        done = machine.night("a", (0, answer))  # and tried again each time
        assert done.exit_code == 1
        assert "FAILED: x.yaml: the store has no readable record of it" in done.line


def test_files_that_cannot_be_written_are_told_and_the_night_goes_on(machine):
    place = machine.out / "a"
    for blocked in (place / "report.html", place / "night.json", machine.out / "gpuprof_nightly.prom"):
        blocked.mkdir(parents=True)
    done = machine.night("a", night(0, 100), night(1, 100), configs=("x.yaml", "y.yaml"))
    assert done.exit_code == 1
    assert len(done.judged[0].points) == 2
    assert "; report " not in done.line
    for name in ("night.json", "report.html", "gpuprof_nightly.prom"):
        assert f"{name}: is a directory" in done.line
    assert done.failed == []


@pytest.mark.parametrize("text", ["", "[]", '{"measured": [{"config": "x.yaml"}]}', '{"measured": [null]}',
                                  '{"measured": [{"config": "x", "signature": "y", "runs": null}]}',
                                  '{"measured": [{"config": "x", "signature": "y", "runs": ["../.."]}]}',
                                  '{"measured": [{"config": "x", "signature": ["y"], "runs": []}]}',
                                  pytest.param("[" * 100_000, id="deep")])  # fmt: skip
def test_a_memory_that_is_damaged_is_none(machine, text):
    (machine.out / "a").mkdir(parents=True)
    (machine.out / "a" / "night.json").write_text(text)
    assert machine.night("a", night(0, 100)).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_night_that_is_ended_ends_its_run_in_peace_or_leaves_it_the_lock(tmp_path, number):
    out, store = tmp_path / "out", tmp_path / "store"
    options = ("--store", store, "--out", out, "--night", "a", "--quick", "--device", "cpu", "--set", "repeats=2")
    shape = ("--set", "batch_size=4", "--set", "seq_len=10", "--set", "threads=1")
    own = subprocess.Popen(command("nightly", ROOT / "configs" / "rnn.yaml", *options, *shape), cwd=tmp_path,
                           env=variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        log = out / "a" / "0-rnn.log"
        until(lambda: log.is_file() and "[1/2]" in log.read_text())
        (run,) = map(int, Path(f"/proc/{own.pid}/task/{own.pid}/children").read_text().split())
        own.send_signal(number)
        said, _ = own.communicate(timeout=LIMIT_S)
        assert said == ""
        if number == signal.SIGKILL:
            assert locked(out)
            os.kill(run, signal.SIGTERM)
            until(lambda: not locked(out))
        else:
            assert own.returncode == 130
            assert not locked(out)
            assert not Path(f"/proc/{run}").exists()
    finally:
        own.kill()
    (record,) = map(runs.read, runs.run_directories(store))
    assert [repeat.outcome for repeat in record.cases[0].repeats] == ["ok", "interrupted"]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def locked(out: Path) -> bool:
    with (out / ".lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_run_that_takes_too_long_is_ended_and_keeps_what_it_has(tmp_path):
    """A process that needs a moment to end."""
    slow = "trap 'echo {}; exit' TERM; echo; while :; do sleep 0.02; done"
    code, output = tonight._call(["sh", "-c", slow], tmp_path / "log", 0, 1.0)
    assert (code, output) == (None, b"\n{}\n")


def test_a_run_that_does_not_end_is_ended_with_what_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(tonight, "_GRACE_S", 0.5)
    stubborn = "trap '' TERM; sleep 1000 & wait; wait"
    assert tonight._call(["sh", "-c", stubborn], tmp_path / "log", 0, 0.5) == (None, b"")


def test_a_signal_while_a_run_is_started_leaves_none_behind(tmp_path, monkeypatch):
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), terminate_as_interrupt():
        tonight._call(["sleep", "1000"], tmp_path / "log", 0, 100.0)
    assert started[0].returncode == -signal.SIGTERM


def test_a_log_is_not_written_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "precious")
    assert tonight._call(["sh", "-c", "echo said >&2"], tmp_path / "log", 0, 100.0) == (0, b"")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_file_system_without_locks_is_not_another_night(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UsageError, match="cannot be locked there"), tonight.locked(tmp_path):
        pass


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
