"""The level of one side: its mean, and how the machines, runs and processes behind it scatter."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpuprof.stats import Z95, Interval, finite_exp, t_quantile


class Sample(NamedTuple):
    """One metric in one run: the logarithms of its processes' values, summed up."""

    machine: str
    n: float  # processes
    mean: float
    squares: float  # sum of squared deviations from the mean


class Scatter(NamedTuple):
    """Squared deviations from a mean, summed, with their degrees of freedom: scatters of one kind can be added up."""

    squares: float = 0.0
    freedom: float = 0.0


_NO_SCATTER = Scatter()


@dataclass(frozen=True)
class Level:
    """Mean of a side's logarithms, and how sure it is.

    `variance` is that of the mean as far as its `unit` shows it. What the unit does not show, because there are too few
    runs or machines, is for `effect.between` to add: `day_share` and `machine_share` times the variance of one run, and
    of one machine, about the mean.
    """

    mean: float
    variance: float | None  # None where nothing scatters: one value alone
    freedom: float  # degrees of freedom of the variance
    unit: str  # of inference: machine, run or process
    units: int
    machines: tuple[tuple[str, float], ...] = (("", 0.0),)  # name and mean of each, by name
    runs: int = 1
    days: Scatter = _NO_SCATTER  # runs around their machine's mean
    chassis: Scatter = _NO_SCATTER  # machines around their mean
    day_share: float = 0.0
    machine_share: float = 0.0
    past: Scatter = _NO_SCATTER  # `days` of runs that are no part of the side (`analysis.past`)

    @property
    def names(self) -> tuple[str, ...]:
        """The machines, sorted."""
        return tuple(name for name, _ in self.machines)

    def interval(self, gain: float = 0.0) -> Interval | None:
        """95%, of the side's geometric mean, in the metric's unit, as its units show it. None where variance is.

        `gain` is the relative standard error of a sensor, which all units share.
        """
        if self.variance is None:
            return None
        half = math.hypot(t_quantile(0.975, self.freedom) * math.sqrt(self.variance), Z95 * gain)
        return finite_exp(self.mean - half), finite_exp(self.mean + half)


FEW = 3  # fewer machines, or runs of a machine, than this do not show how they scatter


def level(samples: Sequence[Sample | tuple[str, float, float, float]], *, days: int | None = None) -> Level:
    """One side's samples (at least one) as one number with its variance.

    The unit is the machine from FEW machines on, else the run from FEW runs of a machine on, else the process. Each
    machine counts the same, and each run of a machine where runs are the unit, whatever the number of processes.
    `days` is on how many of them the runs began: runs that are all of one day do not show how days scatter, however
    many they are. None stands for runs of which each had a day of its own.
    """
    groups: dict[str, list[Sample | tuple[str, float, float, float]]] = {}
    for sample in samples:
        groups.setdefault(sample[0], []).append(sample)
    machines, runs = len(groups), len(samples)
    by_run = machines >= FEW or runs - machines >= FEW - 1
    means = {name: _mean([1.0] * len(group) if by_run else [s[1] for s in group], [s[2] for s in group])
             for name, group in groups.items()}  # fmt: skip
    mean = math.fsum(means.values()) / machines
    named = tuple(sorted(means.items()))
    between = Scatter(
        math.fsum((s[2] - means[s[0]]) ** 2 for s in samples) if runs > machines else 0.0, runs - machines
    )
    one_day = days is not None and days <= 1
    chassis = Scatter(math.fsum((m - mean) ** 2 for m in means.values()) if machines > 1 else 0.0, machines - 1)
    if machines >= FEW:
        variance = chassis.squares / chassis.freedom / machines
        return Level(mean, variance, chassis.freedom, "machine", machines, named, runs, between, chassis)
    # Of the mean over machines: each adds its own mean's variance, that of one unit over their number.
    day_share = math.fsum(1 / len(group) for group in groups.values()) / machines**2
    if by_run:
        variance = between.squares / between.freedom * day_share
        if one_day:
            return Level(mean, variance, between.freedom, "run", runs, named, runs, _NO_SCATTER, chassis, 1 / machines,
                         1 / machines)  # fmt: skip
        return Level(mean, variance, between.freedom, "run", runs, named, runs, between, chassis, 0.0, 1 / machines)
    counts = [sum(s[1] for s in group) for group in groups.values()]
    freedom = sum(counts) - runs
    share = math.fsum(1 / count for count in counts) / machines**2
    within = math.fsum(s[3] for s in samples) / freedom * share if freedom > 0 else None
    seen = _NO_SCATTER if one_day else between
    return Level(mean, within, max(1.0, freedom), "process", int(sum(counts)), named, runs, seen, chassis,
                 day_share, 1 / machines)  # fmt: skip


def _mean(counts: Sequence[float], means: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, counts, means)) / sum(counts)
