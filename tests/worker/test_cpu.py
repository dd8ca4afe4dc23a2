"""How much of the processor a worker got."""

from __future__ import annotations

import pytest

from gpuprof.worker import cpu
from gpuprof.worker.cpu import CpuUse


@pytest.fixture
def measured(monkeypatch):
    """A window of one second: CPU seconds used, seconds that threads waited, and threads that do the work."""

    def use(used_s: float, waited_s: float, threads: int) -> cpu.Cpu:
        clocks = {"process_time": iter([0.0, used_s]), "perf_counter": iter([0.0, 1.0])}
        for name, values in clocks.items():
            monkeypatch.setattr(cpu.time, name, lambda values=values: next(values))
        waits = iter([0.0, waited_s])
        monkeypatch.setattr(cpu, "_run_delay_s", lambda: next(waits))
        with CpuUse(threads) as window:
            pass
        return window.result

    return use


def test_waits_of_many_threads_are_never_more_than_all_of_the_time(measured):
    """A GPU's worker has one thread that submits; torch's others wait for a core as well."""
    assert measured(0.5, 3.0, 1).waiting == pytest.approx(3.0 / 3.5)


def test_waits_of_the_threads_that_work_are_a_share_of_their_time(measured):
    assert measured(1.8, 0.1, 2).waiting == pytest.approx(0.05)
    assert measured(0.05, 0.01, 1).waiting == pytest.approx(0.01)  # a thread that mostly waits for its device
