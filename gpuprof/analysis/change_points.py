"""Where the level of a series changed.

Change points are those of least cost (PELT, Killick et al. 2012) with absolute deviations from each segment's median,
on logarithms in units of the scatter from run to run. Outliers hardly move a median, and the scatter is taken from
differences of neighbours, which a step does not widen.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

SHORTEST = 5  # runs of a segment
ENOUGH = 2 * SHORTEST  # runs that a search for change points, and the scatter without outliers, take at least
_FINEST = 1e-3  # of logarithms: no series is taken to scatter less
_SURE = 3.0  # standard errors of a difference of two levels from which on a change is one
_QUANTILE = 0.7  # of differences, for the scatter


def change_points(values: Sequence[float]) -> list[int]:
    """Positions at which another level begins, of positive values. Empty for less than ENOUGH values."""
    if len(values) < ENOUGH:
        return []
    logs = [math.log(value) for value in values]
    scatter = scatter_of([after - before for before, after in itertools.pairwise(logs)])
    if max(logs) - min(logs) < scatter:
        return []  # also equal values, and without importing ruptures
    import numpy as np
    import ruptures

    signal = np.asarray(logs).reshape(-1, 1) / scatter
    search = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(signal)
    ends = [int(end) for end in search.predict(pen=3 * math.log(len(logs)))[:-1]]
    return _sure(logs, ends, scatter)


def _sure(logs: Sequence[float], ends: Sequence[int], scatter: float) -> list[int]:
    """The changes that are larger than what levels wander by themselves, the smallest left out first.

    PELT takes runs as independent. Where each resembles the one before it, levels are found that mean nothing: so the
    error of a level counts the autocorrelation of the runs around it.
    """
    left = list(ends)
    while left:
        bounds = [0, *left, len(logs)]
        levels = [statistics.median(logs[start:end]) for start, end in itertools.pairwise(bounds)]
        off = [max(-3 * scatter, min(3 * scatter, log - level))
               for level, (start, end) in zip(levels, itertools.pairwise(bounds), strict=True)
               for log in logs[start:end]]  # fmt: skip
        square = max(math.fsum(e * e for e in off), len(logs) * _FINEST**2)
        r = min(max(math.fsum(a * b for a, b in itertools.pairwise(off)) / square, 0.0), 0.8)
        errors = [_mean_error(end - start, r) for start, end in itertools.pairwise(bounds)]
        sd = math.sqrt(square / len(logs))
        # The median of normal values has 1.25 times the standard error of their mean.
        steps = zip(itertools.pairwise(levels), itertools.pairwise(errors), strict=True)
        sizes = [abs(b - a) / (1.25 * sd * math.hypot(ea, eb)) for (a, b), (ea, eb) in steps]
        weakest = min(range(len(left)), key=sizes.__getitem__)
        if sizes[weakest] >= _SURE:
            break
        del left[weakest]
    return left


def _mean_error(n: int, r: float) -> float:
    """Standard error of the mean of n values in a row, in units of their standard deviation, for first-order r."""
    return math.sqrt((1 + 2 * math.fsum((1 - k / n) * r**k for k in range(1, min(n, 60)))) / n)


def scatter_of(differences: Sequence[float]) -> float:
    """Standard deviation s of single runs, from the differences of neighbours: s √2 is that of a difference.

    An outlier is in two differences and a change of level in one, so that a quantile of the differences hardly sees
    either. The quantile is 70%: the median is 0 where most values are equal (and one state's scatter where there are
    two), so that any other value would make a level.
    """
    middle = statistics.median(differences)
    distances = sorted(abs(difference - middle) for difference in differences)
    # 70% of a normal lie within z(0.85) standard deviations of its middle.
    z = statistics.NormalDist().inv_cdf((1 + _QUANTILE) / 2)
    scatter = distances[int(_QUANTILE * len(distances))] / z / math.sqrt(2)
    # Where even the quantile is 0, from the mean: E|difference| = 2 s / √π for a normal.
    return max(_FINEST, scatter or statistics.fmean(map(abs, differences)) * math.sqrt(math.pi) / 2)
