"""What the store knows of a machine's days: how its earlier runs of a case scattered.

A side of one or two runs does not show how its machine scatters from run to run, and a round figure has to stand in
(`effect.RUN_SPREAD`). Where the machine ran the same case before, its own scatter joins that figure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuprof.analysis.evidence import AT, CaseEvidence, Evidence, Key
from gpuprof.analysis.levels import FEW, Scatter
from gpuprof.index.brief import Brief, Numbers, Shared
from gpuprof.index.sources import Sources
from gpuprof.metrics import METRICS

_DAY = timedelta(days=1)
# Of the variance from m differences of neighbours (von Neumann et al. 1941): each value is in two of them.
_FREEDOM_EACH = 2 / 3


class Measured(NamedTuple):
    """A case in one of the other runs."""

    run_id: str
    at: datetime
    facts: Shared  # of the run
    numbers: Numbers


def remember(baseline: Evidence, candidate: Evidence, sources: Sources) -> None:
    """Give the sides' cases the scatter of other runs of their machines in the store; `earlier` counts those.

    Only where a side has too few runs to show it. Machines that both sides have are the baseline's, so that none counts
    twice. Call it before `evidence.unify`.
    """
    apart = _apart(baseline, candidate)
    if apart is None or not any(len(case.rows) < FEW for side in (baseline, candidate) for case in side.cases.values()):
        return
    own = baseline.run_ids | candidate.run_ids
    for side, but in ((baseline, set()), (candidate, set(baseline.machines))):
        machines = set(side.machines) - but
        past: dict[Key, dict[str, list[Measured]]] = {key: {} for key in side.cases}
        for run in _other_runs(side, sources):
            head, at = run.head.data, _when(run.started_at)
            if run.run_id in own or head["machine"] not in machines or at is None:
                continue
            for static, numbers in run.cases:
                if static.key in past and static.data["correctness"] != "wrong":
                    measured = Measured(run.run_id, at, run.facts, numbers)
                    past[static.key].setdefault(head["machine"], []).append(measured)
        for key, case in side.cases.items():
            side.earlier |= _give(case, list(past[key].values()), apart)


def _other_runs(side: Evidence, sources: Sources) -> Iterable[Brief]:
    """Runs on this side's hosts and devices, oldest first in each, as real or simulated as the side's."""
    places = {(head.data["device"], head.data["host"]) for head in side.heads}
    found = (run.brief for place in sorted(places) for run in sources.of_machine(*place))
    return (run for run in found if run.head.data["simulated"] in side.simulated)


def _give(case: CaseEvidence, machines: list[list[Measured]], apart: timedelta) -> set[str]:
    """Set what the case remembers; returns the runs that it comes from."""
    told: set[str] = set()
    for metric in METRICS:
        squares, count = 0.0, 0
        for before, after in _neighbours(machines, AT[metric.key], apart):
            squares += (after.numbers[AT[metric.key] + 1] - before.numbers[AT[metric.key] + 1]) ** 2 / 2
            count += 1
            told |= {before.run_id, after.run_id}
        if count:
            case.past[metric.key] = Scatter(squares * _FREEDOM_EACH, count * _FREEDOM_EACH)
    case.forget()
    return told


def _neighbours(machines: list[list[Measured]], at: int, apart: timedelta) -> Iterator[tuple[Measured, Measured]]:
    """Successive runs of a machine that are `apart` or more, and alike in everything recorded.

    Their differences do not see how the level changed over the years, only by how much the next run is off.
    """
    for runs in machines:
        kept: list[Measured] = []
        for run in runs:
            measured = run.numbers[at] == run.numbers[at]  # not NaN
            if measured and (not kept or run.at - kept[-1].at >= apart):
                kept.append(run)
        yield from ((a, b) for a, b in itertools.pairwise(kept) if a.facts.text == b.facts.text)


def _apart(baseline: Evidence, candidate: Evidence) -> timedelta | None:
    """How far apart runs must be to tell of this comparison; None where its own times are no times.

    On one machine as far as its sides are. Of two machines each day counts by itself.
    """
    middles = []
    for side in (baseline, candidate):
        starts = [at for _, start, _ in side.runs if (at := _when(start)) is not None]
        if not starts:
            return None
        middles.append(math.fsum(at.timestamp() for at in starts) / len(starts))
    between = timedelta(seconds=abs(middles[1] - middles[0]))
    return between if baseline.machines.keys() == candidate.machines.keys() else max(between, _DAY)


def _when(start: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(start.replace("Z", "+00:00"))
        return at if at.tzinfo is not None and abs(at.timestamp()) < math.inf else None
    except (ValueError, OverflowError):
        return None
