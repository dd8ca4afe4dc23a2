"""How much more would have to be measured to show a difference of a given size: for the overall claim, at its 5%.

What scatters is taken as it was seen: processes, the runs' days, machines, each as far as the comparison knows it. A
plan multiplies one of them, and its error follows as `effect.between` would find it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gpuprof.analysis.claims import Claim
from gpuprof.analysis.effect import LEVEL, Effect, Error, usual, welch
from gpuprof.analysis.levels import FEW
from gpuprof.analysis.pairing import Pair

_MOST = {"processes": 1000, "turns": 1000, "runs": 200, "machines": 200}


@dataclass(frozen=True)
class Plan:
    """So many of one thing on each side, in place of the `now` that there are."""

    what: (
        str  # processes, turns (processes of both sides in one run, in turn), runs (each on a day of its own), machines
    )
    now: int  # of the side with fewer
    needed: int | None  # None where no number would do


def plans(overall: Claim, pairs: list[Pair], least: float) -> Iterator[Plan]:
    """What would show a relative difference of `least` in 80% of such comparisons; nothing without an error."""
    effect = overall.effect
    compared = [pair for pair in pairs if pair.allowed]
    if effect is None or effect.measured is None or not compared:
        return
    sides = [[getattr(pair, name) for pair in compared] for name in ("baseline", "candidate")]
    machines = [min(len({machine for machine, *_ in case.rows}) for case in side) for side in sides]
    runs = [min(len(case.rows) for case in side) for side in sides]
    one_place = all(
        {machine for machine, *_ in pair.baseline.rows} == {machine for machine, *_ in pair.candidate.rows}
        for pair in compared
    )
    processes = [effect.baseline_units, effect.candidate_units]
    taken = effect.unit.endswith("pair of processes")
    measured, days, chassis = (error.se**2 for error in (effect.measured, effect.days, effect.chassis))
    if effect.unit == "process":
        yield _plan("processes", processes, least, lambda n: _more(effect, n / min(processes)))
    if (effect.unit == "process" and one_place) or taken:
        # Of one pair of processes: as if they scattered independently, which processes that take turns do not.
        of_pair = measured * (effect.baseline_units if taken else _each(processes))
        now = processes if taken else [0]
        yield _plan("turns", now, least, lambda n: _planned(Error(math.sqrt(of_pair / n), n - 1)))
    if taken:
        return
    of_run = (measured + days) * _each(runs)
    if "machine" not in effect.unit:  # more runs on the same machines do not show more of how machines differ
        yield _plan("runs", runs, least, lambda n: _planned(_of_units(of_run, n), effect.chassis), fewest=FEW)
    if not one_place:
        of_machine = (measured + days + chassis) * _each(machines)
        yield _plan("machines", machines, least, lambda n: _planned(_of_units(of_machine, n)), fewest=FEW)


def _each(units: list[int]) -> float:
    """What turns the variance of a difference of two means into that of a difference of two single units."""
    return 2 / math.fsum(1 / max(1, n) for n in units)


def _of_units(of_one: float, n: int) -> Error:
    """The error of a difference of two means over n units each; `of_one` is the variance with one unit a side."""
    return welch((of_one / 2 / n, n - 1), (of_one / 2 / n, n - 1))


def _more(effect: Effect, times: float) -> Effect:
    """With `times` as many processes in the same runs."""
    assert effect.measured is not None
    error = Error(effect.measured.se / math.sqrt(times), effect.measured.freedom * times)
    return replace(_planned(error, effect.days, effect.chassis), shift=effect.shift)


def _planned(measured: Error, *added: Error) -> Effect:
    """`mde` takes a measured error for one that was seen, most often too small; what is planned is the true one."""
    seen = Error(measured.se * usual(measured.freedom), measured.freedom)
    days, chassis = (*added, Error(), Error())[:2]
    return Effect(0.0, "", 0, 0, seen, days, chassis)


def _plan(what: str, now: list[int], least: float, effect: Callable[[int], Effect], *, fewest: int = FEW) -> Plan:
    numbers = range(max(fewest, min(now) + 1), _MOST[what] + 1)
    return Plan(what, min(now), next((n for n in numbers if (effect(n).mde(LEVEL) or 0.0) <= least), None))
