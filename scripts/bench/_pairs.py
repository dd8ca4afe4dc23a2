"""Interleaved A B B A pairs and the interval of their ratio, for machines that are noisy and shared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from gpuprof.stats import t_quantile

TRIM = 0.2


def abba(measure_a: Callable[[], float], measure_b: Callable[[], float], pairs: int) -> list[float]:
    """Logarithms of B / A; each from one A B B A or B A A B square, so that a drift cancels."""
    logs = []
    for pair in range(pairs):
        first, second = (measure_a, measure_b) if pair % 2 == 0 else (measure_b, measure_a)
        one, two, three, four = first(), second(), second(), first()
        outer, inner = one + four, two + three
        logs.append(math.log(inner / outer) if pair % 2 == 0 else math.log(outer / inner))
    return logs


def ratio(logs: list[float]) -> tuple[float, float, float]:
    """20% trimmed mean ratio and its 95% interval (Yuen's winsorised variance, Student t)."""
    ordered = sorted(logs)
    cut = int(TRIM * len(ordered))
    kept = ordered[cut : len(ordered) - cut]
    winsorised = [kept[0]] * cut + kept + [kept[-1]] * cut
    mean = statistics.fmean(kept)
    error = statistics.stdev(winsorised) / ((1 - 2 * TRIM) * math.sqrt(len(ordered)))
    half = t_quantile(0.975, len(kept) - 1) * error
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
