"""The level of one side: mean, variance and degrees of freedom over machines, runs or processes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gpuprof.stats import Interval, finite_exp, t_quantile


class Sample(NamedTuple):
    """One metric in one run: mean and sum of squared deviations of the logarithms of its processes' values."""

    machine: str
    n: float
    mean: float
    squares: float


@dataclass(frozen=True)
class Level:
    """Mean of a side's logarithms. `spread` is what was added to `variance` for machines that nobody measured."""

    mean: float
    variance: float | None  # of the mean; None where one value has no spread
    freedom: float
    unit: str  # machine, run or process
    units: int
    machines: int
    machine: str = ""  # its name, where it is one
    runs: int = 1
    spread: float = 0.0

    @property
    def interval(self) -> Interval | None:
        """95%, of the side's own geometric mean, without what was added for other machines."""
        if self.variance is None:
            return None
        half = t_quantile(0.975, self.freedom) * math.sqrt(self.variance)
        return finite_exp(self.mean - half), finite_exp(self.mean + half)


RUNS = 3  # from so many runs on, the run is the unit


def level(samples: Sequence[Sample | tuple[str, float, float, float]]) -> Level:
    """One side's processes, runs and machines as one number with its variance."""
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
    rest = math.fsum(s + c * (m - mean) ** 2 for c, m, s in zip(counts, means, squares, strict=True))
    variance = rest / (n - 1) / n if n > 1 else None
    return Level(mean, variance, max(1, n - 1), "process", n, 1, machines[0], len(samples))


def _mean(counts: Sequence[float], means: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, counts, means)) / sum(counts)


def _of_means(means: Sequence[float], unit: str, machines: int) -> Level:
    mean = math.fsum(means) / len(means)
    variance = math.fsum([(m - mean) ** 2 for m in means]) / (len(means) - 1) / len(means)
    return Level(mean, variance, len(means) - 1, unit, len(means), machines)
