"""The statistics of a run. The unit of inference is the process; steps and blocks are repeated measures inside one."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence

Interval = tuple[float, float]
Z95 = 1.959964  # quantile of the normal at 97.5%


def finite_exp(x: float) -> float:
    """exp(x), kept within 1e-100 and 1e100: a damaged record must not end in an overflow, here or in a chart."""
    return math.exp(max(-230.0, min(230.0, x)))


def geometric_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, Interval | None]:
    """Geometric mean of positive per-process values (at least one), and its Student t interval on logarithms.

    The interval is None for fewer than two values.
    """
    logs = [math.log(v) for v in values]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), None
    half = t_quantile(0.5 + confidence / 2, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), (math.exp(mean - half), math.exp(mean + half))


def quantile(ordered: Sequence[float], q: float) -> float:
    """Empirical q-quantile of ascending values (at least one): the smallest with a share q or more at or below it."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def quantile_upper_bound(ordered: Sequence[float], q: float, confidence: float = 0.95) -> float | None:
    """Distribution-free upper confidence bound of the q-quantile from order statistics of ascending values.

    The k-th smallest value with the smallest k such that P(Binomial(n, q) <= k - 1) >= confidence; None where even the
    largest value does not reach it (q = 0.99 and 95% need n >= 299). Takes the values as independent. Probabilities are
    summed from logarithms, since binomial coefficients of thousands overflow.
    """
    n = len(ordered)
    if n == 0 or q**n > 1 - confidence:
        return None
    cumulative = 0.0
    log_choose = math.lgamma(n + 1)
    for k in range(n):
        log_p = log_choose - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(q) + (n - k) * math.log1p(-q)
        cumulative += math.exp(log_p)
        if cumulative >= confidence:
            return ordered[k]
    return ordered[-1]


def mann_kendall_z(values: Sequence[float]) -> float:
    """Normal score of the Mann-Kendall trend test, corrected for ties; positive for values that rise.

    0 for fewer than three values: no trend can be shown.
    """
    n = len(values)
    if n < 3:
        return 0.0
    s = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])
    ties = (values.count(v) for v in set(values))
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    return 0.0 if s == 0 or variance == 0 else (s - math.copysign(1, s)) / math.sqrt(variance)


def spread(values: Sequence[float]) -> float:
    """Standard deviation, estimated as 1.4826 median absolute deviations (consistent for a normal).

    0 where more than half of the values are equal.
    """
    middle = statistics.median(values)
    return 1.4826 * statistics.median(abs(v - middle) for v in values)


@functools.lru_cache(maxsize=4096)
def t_quantile(p: float, freedom: float) -> float:
    """Quantile of Student's t for 0.5 <= p < 1 (relative error below 1e-8).

    Newton's method from the first terms of the Cornish-Fisher series (Abramowitz & Stegun 26.7.5), which stay below the
    root: the distribution function is concave above 0, so that no step overshoots.
    """
    z = statistics.NormalDist().inv_cdf(p)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2) if freedom > 2 else z
    for _ in range(100):
        step = (p - t_cdf(t, freedom)) / t_density(t, freedom)
        t = t + step if t + step > 0 else t / 2
        if abs(step) <= 1e-9 * t:  # the steps are squared: what is left is far below
            break
    return t


def t_density(t: float, freedom: float) -> float:
    """Of Student's t."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return scale * math.exp(-(freedom + 1) / 2 * math.log1p(t * t / freedom))


def t_cdf(t: float, freedom: float) -> float:
    """P(T <= t) for t >= 0, through the regularised incomplete beta function (Abramowitz & Stegun 26.7.1)."""
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised I_x(a, b) by Lentz's evaluation of its continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    numerator = 1.0
    inverse = 1 / (1 - (a + b) * x / (a + 1))
    fraction = inverse
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            inverse = 1 / (1 + term * inverse)
            numerator = 1 + term / numerator
            fraction *= numerator * inverse
        if abs(numerator * inverse - 1) < 1e-15:
            break
    return front * fraction
