"""How much two sides differ in one metric, and how sure that is. All of it on logarithms.

The unit of inference is the highest level that has units to compare: machines where a side has several of them, runs
from three runs on, processes otherwise. A side with one machine says nothing of other machines of its model, and one or
two runs nothing of the machine's other days: between two machines, or between runs of one that did not take turns, a
known spread is added, and reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuprof.analysis.levels import Level, Sample, level
from gpuprof.stats import Interval, finite_exp, t_cdf, t_quantile

# Coefficient of variation of throughput between machines of one model: 39 single-H100 machines of Lambda's public
# results spread by 0.07% to 4.1% with the network, 1.2% for BERT-base. A round figure on the wide side of the middle.
MACHINE_SPREAD = 0.015
# The same from run to run on one machine, where a side has too few runs to show it: a round figure, not measured on the
# machine at hand. For a GPU with a host of its own it is wide, for a shared virtual machine narrow.
RUN_SPREAD = 0.01
LEVEL = 0.05
POWER = 0.80
# Units that scatter anew in each case, spelt as `between` and `paired` do; runs and machines are the same in all cases.
_SCATTER_ALONE = ("process", "pair of processes")
_ROUNDING = 1e-12  # of logarithms: the means of equal values may differ by less


@dataclass(frozen=True)
class Effect:
    """A ratio, candidate / baseline, with what is known of its error: all None where a side has one value alone."""

    ratio: float
    ci95: Interval | None
    mde: float | None  # the smallest relative difference that 80% of such comparisons would show
    p: float | None  # two-sided, that the ratio is 1; not adjusted for other tests
    unit: str  # of inference; "a | b" where the sides' are not the same, "mixed" (for show) over cases of several units
    baseline_units: int
    candidate_units: int
    spread: float  # coefficient of variation of the ratio, added for machines or runs not measured; 0 where none was
    freedom: float | None  # degrees of freedom of `se`
    se: float | None  # standard error of the ratio's logarithm, `spread` included


def compare(
    baseline: Sequence[Sample], candidate: Sequence[Sample], *, machine_spread: float = MACHINE_SPREAD,
    run_spread: float = RUN_SPREAD,
) -> Effect:  # fmt: skip
    """As `between`, from samples."""
    return between(level(baseline), level(candidate), machine_spread=machine_spread, run_spread=run_spread)


def between(b: Level, c: Level, *, machine_spread: float = MACHINE_SPREAD, run_spread: float = RUN_SPREAD) -> Effect:
    """Ratio of geometric means with Welch's interval; Welch-Satterthwaite degrees of freedom.

    The machine spread is added for each side that is one machine, unless both are the same one; then the run spread is,
    for each side whose runs are too few to be the unit.
    """
    if b.machines > 1 or c.machines > 1 or b.machine != c.machine:
        b, c = (replace(side, spread=machine_spread if side.machines == 1 else 0.0) for side in (b, c))
    else:
        b, c = (
            replace(side, spread=run_spread / math.sqrt(side.runs) if side.unit == "process" else 0.0)
            for side in (b, c)
        )
    unit = b.unit if b.unit == c.unit else f"{b.unit} | {c.unit}"
    if b.variance is None or c.variance is None:
        return Effect(finite_exp(c.mean - b.mean), None, None, None, unit, b.units, c.units, 0.0, None, None)
    known = b.spread**2 + c.spread**2
    parts = [(b.variance, b.freedom), (c.variance, c.freedom)]
    return _tested(c.mean - b.mean, parts, known, unit, (b.units, c.units))


def paired(logs: Sequence[float]) -> Effect:
    """From log ratios (at least one) of processes that ran next to each other in one run: slow drift cancels out."""
    n = len(logs)
    mean = math.fsum(logs) / n
    if n < 2:
        return Effect(finite_exp(mean), None, None, None, "pair", n, n, 0.0, None, None)
    variance = math.fsum((log - mean) ** 2 for log in logs) / (n - 1) / n
    return _tested(mean, [(variance, n - 1.0)], 0.0, "pair of processes", (n, n))


def together(weighted: Sequence[tuple[Effect, float]]) -> Effect:
    """Geometric mean over cases with their weights (which must sum to 1), for this set of cases.

    Processes scatter independently from case to case: variances add. Runs and machines are the same in all cases, so
    their scatter does not average out: standard deviations add, as does the spread that is known.
    """
    if len(weighted) == 1:
        return weighted[0][0]
    mean = math.fsum(weight * math.log(effect.ratio) for effect, weight in weighted)
    spread = math.fsum(weight * effect.spread for effect, weight in weighted)
    units = {effect.unit for effect, _ in weighted}
    unit = next(iter(units)) if len(units) == 1 else "mixed"
    least = [min(getattr(effect, side) for effect, _ in weighted) for side in ("baseline_units", "candidate_units")]
    if any(effect.se is None for effect, _ in weighted):
        return Effect(finite_exp(mean), None, None, None, unit, least[0], least[1], spread, None, None)
    independent: list[tuple[float, float]] = []  # variance of the weighted logarithm, and its degrees of freedom
    shared: list[tuple[float, float]] = []
    for effect, weight in weighted:
        variance, freedom = _estimated_part(effect)
        (independent if effect.unit in _SCATTER_ALONE else shared).append((weight**2 * variance, freedom))
    if shared:
        # One part. The same units stand behind each case, with about the same freedom: their mean is its freedom.
        deviation = sum(math.sqrt(variance) for variance, _ in shared)
        independent.append((deviation**2, sum(freedom for _, freedom in shared) / len(shared)))
    return _tested(mean, independent, spread**2, unit, (least[0], least[1]))


def _estimated_part(effect: Effect) -> tuple[float, float]:
    """An effect's variance without the known spread, and the degrees of freedom of that part alone.

    `_tested` gave the whole variance V the freedom V² / Σ(v² / f) over its estimated parts v. Those alone, Σv, have
    (Σv)² / Σ(v² / f): the whole's, times (Σv / V)².
    """
    whole = (effect.se or 0.0) ** 2
    variance = max(0.0, whole - effect.spread**2)
    if variance == 0:
        return 0.0, 1.0
    return variance, (effect.freedom or 1.0) * (variance / whole) ** 2


def mde(se: float, freedom: float, claims: int = 1) -> float:
    """Smallest relative difference that some 80% of such comparisons would show, as one of `claims` claims.

    (t₁₋₀.₀₂₅/ₙ + t₀.₈₀) · SE for n claims. `se` and `freedom` are those of the ratio's logarithm.
    """
    reach = t_quantile(1 - LEVEL / 2 / max(1, claims), freedom) + t_quantile(POWER, freedom)
    return math.expm1(min(230.0, reach * se))


def _tested(
    difference: float, parts: Sequence[tuple[float, float]], known: float, unit: str, units: tuple[int, int]
) -> Effect:
    """The effect of a log ratio: interval, p and MDE by Student's t, freedom by Satterthwaite (1946).

    `parts` are estimated variances with their degrees of freedom; `known` is a variance that was not estimated and has
    no doubt of its own.
    """
    variance = known + sum(v for v, _ in parts)
    doubt = sum(v**2 / f for v, f in parts)
    freedom = min(1e6, variance**2 / doubt) if doubt > 0 else 1e6
    se = math.sqrt(variance)
    half = t_quantile(1 - LEVEL / 2, freedom) * se
    p = 2 * (1 - t_cdf(abs(difference) / se, freedom)) if se > 0 else 0.0
    if abs(difference) < _ROUNDING:
        p = 1.0
    interval = (finite_exp(difference - half), finite_exp(difference + half))
    shown = mde(se, freedom)
    return Effect(finite_exp(difference), interval, shown, p, unit, *units, math.sqrt(known), freedom, se)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted
