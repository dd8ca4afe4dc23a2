"""The level of one side: mean, variance and degrees of freedom over machines, runs or processes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gpuprof.stats import Interval, finite_exp, t_quantile


class Sample(NamedTuple):
    """One metric in one run: the logarithms of its processes' values, summed up."""

    machine: str
    n: float  # processes
    mean: float
    squares: float  # sum of squared deviations from the mean


@dataclass(frozen=True)
class Level:
    """Mean of a side's logarithms, and how sure it is."""

    mean: float
    variance: float | None  # of the mean; None where there is one value alone
    freedom: float  # degrees of freedom of the variance
    unit: str  # of inference: machine, run or process
    units: int
    machines: int
    machine: str = ""  # its name, where there is one machine
    runs: int = 1
    spread: float = 0.0  # known standard deviation, beside `variance`, for machines or runs that nobody measured

    @property
    def interval(self) -> Interval | None:
        """95%, of the side's geometric mean, in the metric's unit, without `spread`. None where variance is."""
        if self.variance is None:
            return None
        half = t_quantile(0.975, self.freedom) * math.sqrt(self.variance)
        return finite_exp(self.mean - half), finite_exp(self.mean + half)


RUNS = 3  # from so many runs on, the run is the unit of inference


def level(samples: Sequence[Sample | tuple[str, float, float, float]]) -> Level:
    """One side's samples (at least one) as one number with its variance.

    The unit is the machine where there are several, from RUNS runs on the run, else the process. Each machine, or run,
    counts the same, whatever the number of its processes.
    """
    machines, counts, means, squares = zip(*samples, strict=True)
    groups: dict[str, list[int]] = {}
    for position, machine in enumerate(machines):
        groups.setdefault(machine, []).append(position)
    if len(groups) > 1:
        each = [_mean([counts[i] for i in group], [means[i] for i in group]) for group in groups.values()]
        return _of_means(each, "machine", len(groups))
    if len(samples) >= RUNS:
        return replace(_of_means(means, "run", 1), machine=machines[0])
    n, mean = int(sum(counts)), _mean(counts, means)
    # Deviations of all processes from the common mean: those inside their runs, and those of the runs' means.
    total = math.fsum(s + c * (m - mean) ** 2 for c, m, s in zip(counts, means, squares, strict=True))
    variance = total / (n - 1) / n if n > 1 else None
    return Level(mean, variance, max(1, n - 1), "process", n, 1, machines[0], len(samples))


def _mean(counts: Sequence[float], means: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, counts, means)) / sum(counts)


def _of_means(means: Sequence[float], unit: str, machines: int) -> Level:
    mean = math.fsum(means) / len(means)
    variance = math.fsum([(m - mean) ** 2 for m in means]) / (len(means) - 1) / len(means)
    return Level(mean, variance, len(means) - 1, unit, len(means), machines)
