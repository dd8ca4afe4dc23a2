"""The measuring part of a night: nothing twice, each run in a process that ends, under one lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import signal
import subprocess

import pytest

from gpuprof.errors import LockedError, UsageError
from gpuprof.nightly import measure as tonight
from gpuprof.system.interrupts import terminate_as_interrupt, undisturbed
from support.nights import night
from support.running import gpuprof


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


def test_a_second_copy_is_locked_out(machine):
    machine.out.mkdir()
    with (machine.out / ".lock").open("w") as lock:
        lock.write("process 1234 since yesterday")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match=r"in progress .process 1234 since yesterday"):
            machine.night("a")
        done = gpuprof("nightly", "lstm", "--store", machine.store, "--out", machine.out)
        assert done.code == 75
        assert done.out == ""
        assert "another nightly run is in progress" in done.err
    machine.night("a", night(0, 100))


@pytest.mark.parametrize("text", ["", "[]", '{"measured": [{"config": "x.yaml"}]}', '{"measured": [null]}',
                                  '{"measured": [{"config": "x", "signature": "y", "runs": null}]}',
                                  '{"measured": [{"config": "x", "signature": "y", "runs": ["../.."]}]}',
                                  '{"measured": [{"config": "x", "signature": ["y"], "runs": []}]}',
                                  pytest.param("[" * 100_000, id="deep")])  # fmt: skip
def test_a_memory_that_is_damaged_is_none(machine, text):
    (machine.out / "a").mkdir(parents=True)
    (machine.out / "a" / "night.json").write_text(text)
    assert machine.night("a", night(0, 100)).exit_code == 0


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


def test_a_signal_just_before_a_run_is_started_is_an_interrupt(tmp_path, monkeypatch):
    """There is no process yet that could be ended."""

    @contextlib.contextmanager
    def late(**more):
        monkeypatch.setattr(tonight, "undisturbed", undisturbed)
        signal.raise_signal(signal.SIGTERM)
        with undisturbed(**more):
            yield

    monkeypatch.setattr(tonight, "undisturbed", late)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), terminate_as_interrupt():
        tonight._call(["sleep", "1000"], tmp_path / "log", 0, 100.0)


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
    with pytest.raises(UsageError, match="cannot lock files there"), tonight.locked(tmp_path):
        pass
