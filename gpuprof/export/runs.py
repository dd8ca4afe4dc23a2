"""What the formats share: the runs and which measurement is the newest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from gpuprof.record.case import Case
from gpuprof.record.run import RunRecord
from gpuprof.text import one_line

# Reads the run's raw.npz: series -> values. Empty where there is none to read.
RawReader = Callable[[], Mapping[str, Sequence[float]]]
Runs = Sequence[tuple[RunRecord, RawReader]]


def in_order(runs: Runs) -> list[tuple[RunRecord, RawReader]]:
    """Oldest first."""
    return sorted(runs, key=lambda run: (run[0].started_at, run[0].run_id))


def newest(runs: Runs, key: Callable[[RunRecord, Case], Hashable]) -> list[tuple[RunRecord, Case]]:
    """Of each key the newest case that was measured.

    One whose results are wrong is left out together with what it replaced: an older value is not today's.
    """
    found: dict[Hashable, tuple[RunRecord, Case]] = {}
    for record, _ in in_order(runs):
        found |= {key(record, case): (record, case) for case in record.cases if case.outcome == "ok"}
    return [(record, case) for record, case in found.values() if not is_wrong(case)]


def is_wrong(case: Case) -> bool:
    return case.correctness.verdict == "wrong"


def benchmark_name(record: RunRecord, case: Case) -> str:
    """Stable from run to run, so that a tool finds the history: what was measured, and on which model of device."""
    return one_line(f"{case.case_id} on {record.device.name}{' (SIMULATED)' if record.simulated else ''}")
