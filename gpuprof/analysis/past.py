"""What the store knows of a machine's days: how its earlier runs of a case scattered.

A side of one or two runs does not show how its machine scatters from run to run, and a round figure has to stand in
(`effect.RUN_SPREAD`). Where the machine ran the same case before, its own scatter joins that figure.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import statistics
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gpuprof.analysis.evidence import AT, CaseEvidence, Evidence, Key
from gpuprof.analysis.levels import FEW, Scatter
from gpuprof.index.brief import Brief, Numbers, Shared
from gpuprof.index.sources import Sources
from gpuprof.metrics import METRICS
from gpuprof.record.variables import settings

_DAY = timedelta(days=1)
# Of the variance from m differences of neighbours (von Neumann et al. 1941): each value is in two of them.
_FREEDOM_EACH = 2 / 3


class Measured(NamedTuple):
    """A case in one of the other runs."""

    run_id: str
    at: datetime
    facts: Shared  # of the run
    numbers: Numbers


Past = dict[Key, dict[str, list[Measured]]]  # by case and machine


def remember(baseline: Evidence, candidate: Evidence, sources: Sources) -> None:
    """Give the sides' cases the scatter of other runs of their machines in the store; `earlier` counts those.

    Only where a side has too few runs to show it. What a machine knows of a case that it ran for both sides counts half
    for each, so that it does not count twice. Call it before `evidence.unify`.
    """
    apart = _apart(baseline, candidate)
    sides = (baseline, candidate)
    pasts: tuple[Past, Past] = ({}, {})
    for past, side in zip(pasts, sides, strict=True):
        # With more, the unit of inference is the run or the machine (`levels.level`).
        few = ((key, case) for key, case in side.cases.items() if len(case.rows) <= FEW)
        past |= {key: {machine: [] for machine, *_ in case.rows} for key, case in few}
    machines = {machine for past in pasts for each in past.values() for machine in each}
    if apart is None or not machines:
        return
    own = baseline.run_ids | candidate.run_ids
    for run, _, _ in sources.of_machines(machines):
        at = _when(run.started_at)
        if run.run_id in own or at is None:
            continue
        for past, side in zip(pasts, sides, strict=True):
            if run.head.data["simulated"] in side.simulated:
                _sort_in(run, at, past)
    for past, other, side in zip(pasts, reversed(pasts), sides, strict=True):
        for key, by_machine in past.items():
            halved = by_machine.keys() & other.get(key, {}).keys()
            side.earlier |= _give(side.cases[key], by_machine, halved, apart)


def _sort_in(run: Brief, at: datetime, past: Past) -> None:
    for static, numbers in run.cases:
        runs = past.get(static.key, {}).get(run.head.data["machine"])
        if runs is not None and static.data["correctness"] != "wrong":
            runs.append(Measured(run.run_id, at, run.facts, numbers))


def _give(
    case: CaseEvidence, machines: dict[str, list[Measured]], halved: AbstractSet[str], apart: timedelta
) -> set[str]:
    """Set what the case remembers, half of it of the machines in `halved`; returns the runs that it comes from."""
    told: set[str] = set()
    for metric in METRICS:
        squares, count, at = 0.0, 0.0, AT[metric.key]
        for machine, runs in machines.items():
            share = 0.5 if machine in halved else 1.0
            for before, after in _neighbours(runs, at, apart):
                squares += share * (after.numbers[at + 1] - before.numbers[at + 1]) ** 2 / 2
                count += share
                told |= {before.run_id, after.run_id}
        if count:
            case.past[metric.key] = Scatter(squares * _FREEDOM_EACH, count * _FREEDOM_EACH)
    case.forget()
    return told


def _neighbours(runs: list[Measured], at: int, apart: timedelta) -> Iterator[tuple[Measured, Measured]]:
    """Successive runs of a machine that are `apart` or more, and alike in everything recorded that can matter.

    Their differences do not see how the level changed over the years, only by how much the next run is off.
    """
    kept: list[Measured] = []
    # One card may have been in several hosts, or in containers, whose clocks are not the same.
    for run in sorted(runs, key=lambda run: run.at):
        measured = run.numbers[at] == run.numbers[at]  # not NaN
        if measured and (not kept or run.at - kept[-1].at >= apart):
            kept.append(run)
    yield from ((a, b) for a, b in itertools.pairwise(kept) if _alike(a.facts, b.facts))


@functools.lru_cache(maxsize=1 << 12)
def _alike(left: Shared, right: Shared) -> bool:
    def compared(facts: Shared) -> dict[str, Any]:
        return facts.data | {"variables": settings(facts.data.get("variables") or {})}

    return left.text == right.text or compared(left) == compared(right)


def _apart(baseline: Evidence, candidate: Evidence) -> timedelta | None:
    """How far apart runs must be to tell of this comparison; None where its own times say nothing.

    As far as a run usually is from the nearest one of the other side, and at least as far as those of one side are from
    each other. Of two machines each day counts by itself.
    """
    starts = [sorted(at.timestamp() for _, start, _ in side.runs if (at := _when(start)) is not None)
              for side in (baseline, candidate)]  # fmt: skip
    if not all(starts):
        return None
    between = max(_to_nearest(*starts), _to_nearest(*reversed(starts)))
    within = [later - earlier for side in starts for earlier, later in itertools.pairwise(side)]
    gap = timedelta(seconds=max(between, statistics.median(within or [0.0])))
    if baseline.machines.keys() != candidate.machines.keys():
        return max(gap, _DAY)
    return gap if between > 0 else None  # at the same time on one machine: in the same runs, or its clock is wrong


def _to_nearest(starts: list[float], others: list[float]) -> float:
    """Median of the distances (s) from each start to the nearest of the others, which are sorted."""
    places = ((start, bisect.bisect(others, start)) for start in starts)
    return statistics.median(
        min(abs(start - other) for other in others[max(0, place - 1) : place + 1]) for start, place in places
    )


def _when(start: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(start.replace("Z", "+00:00"))
        return at if at.tzinfo is not None and abs(at.timestamp()) < math.inf else None
    except (ValueError, OverflowError):
        return None
