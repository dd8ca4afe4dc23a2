"""What the formats share: their input, and which measurement is the newest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from gpuprof.record.case import Case
from gpuprof.record.run import RunRecord
from gpuprof.text import one_line

# Reads the run's raw.npz: name of a series -> its values. Empty without a file that can be read.
RawReader = Callable[[], Mapping[str, Sequence[float]]]
Runs = Sequence[tuple[RunRecord, RawReader]]


def in_order(runs: Runs) -> list[tuple[RunRecord, RawReader]]:
    """The runs, oldest first."""
    return sorted(runs, key=lambda run: (run[0].started_at, run[0].run_id))


def newest(runs: Runs, key: Callable[[RunRecord, Case], Hashable]) -> list[tuple[RunRecord, Case]]:
    """For each key the newest case that was measured.

    If its results are wrong, the key is left out: an older value is not today's.
    """
    cases: dict[Hashable, tuple[RunRecord, Case]] = {}
    for record, _ in in_order(runs):
        cases |= {key(record, case): (record, case) for case in record.cases if case.outcome == "ok"}
    return [(record, case) for record, case in cases.values() if not is_wrong(case)]


def is_wrong(case: Case) -> bool:
    """Whether the correctness gate refused its results; False also where nothing was checked."""
    return case.correctness.verdict == "wrong"


def benchmark_name(record: RunRecord, case: Case) -> str:
    """Case and model of the device, the same from run to run: tools follow a history under it."""
    return one_line(f"{case.case_id} on {record.device.name}{' (SIMULATED)' if record.simulated else ''}")
