"""Several runs in a row: what was measured reaches the caller, whenever a signal comes."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from unittest.mock import Mock

import pytest

from gpuprof.config import suite
from gpuprof.errors import PublishError
from gpuprof.store import runs
from gpuprof.store.journal import Journal
from gpuprof.supervisor import jobs
from gpuprof.supervisor import run as supervising
from gpuprof.supervisor.machine import Machine
from gpuprof.supervisor.worker_process import WorkerFailed
from gpuprof.system import environment
from gpuprof.system.interrupts import terminate_as_interrupt
from support.running import CONFIGS


class NoWorker:
    """A worker that cannot be started: a run of it is over at once, and is stored as any other."""

    stuck = ""

    def __init__(self, *_: object) -> None:
        raise WorkerFailed("error", "made for a test")

    def ask(self, *_: object, **__: object) -> dict:
        raise WorkerFailed("error", "made for a test")

    def close(self) -> None:
        pass


def measured(monkeypatch, store):
    """Two jobs whose every worker fails."""
    monkeypatch.setattr(supervising, "WorkerProcess", NoWorker)
    (configuration,) = suite.load([CONFIGS / "cnn.yaml"], ["repeats=1"])
    job = jobs.Job(configuration, environment.describe_cpu())
    machine = Machine({"torch": "2.9", "torch_build": "cpu", "libraries": {}}, [])
    return jobs.measure(
        [job, job], machine, NoWorker.__new__(NoWorker), store, lambda: nullcontext(Mock()),
        quick=True, backends=[], hz=10.0,
    )  # fmt: skip


def signalled(monkeypatch, publish):
    def interrupted(journal, record, raw):
        signal.raise_signal(signal.SIGTERM)
        return publish(journal, record, raw)

    monkeypatch.setattr(Journal, "publish", interrupted)


def test_a_signal_while_a_run_is_stored_ends_what_follows_and_keeps_its_name(monkeypatch, tmp_path):
    signalled(monkeypatch, Journal.publish)
    with terminate_as_interrupt():
        results = measured(monkeypatch, tmp_path)
        done = next(results)
        assert runs.run_directories(tmp_path) == [done.path]
        assert done.record == runs.read(done.path)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            next(results)
    assert runs.run_directories(tmp_path) == [done.path]


def test_a_signal_while_a_run_cannot_be_stored_ends_what_follows(monkeypatch, tmp_path):
    def full(_journal, record, _raw):
        raise PublishError("no space", record)

    signalled(monkeypatch, full)
    with terminate_as_interrupt():
        results = measured(monkeypatch, tmp_path)
        assert next(results).fault == "no space"
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            next(results)
