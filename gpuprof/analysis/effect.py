"""How much two sides differ in one metric, and how sure that is. All of it happens on logarithms.

The unit of inference is the highest level that has units to compare: machines where a side has several of them, runs
from three runs on, processes otherwise. A side with one machine says nothing of other machines of its model, and one or
two runs nothing of the machine's other days: between two machines, or between runs of one that did not take turns, a
known spread is added, and said to be.
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
# The same from run to run on one machine, where a side has too few of them to show it: a round figure, and no
# measurement of the machine at hand. For a GPU with a host of its own it is wide, for a shared virtual machine narrow.
RUN_SPREAD = 0.01
LEVEL = 0.05
POWER = 0.80
# What scatters anew in each case; runs and machines are the same in all of them.
_SCATTER_ALONE = ("process", "pair of processes")
_ROUNDING = 1e-12  # of logarithms: the means of equal values may differ by less


@dataclass(frozen=True)
class Effect:
    """candidate / baseline."""

    ratio: float
    ci95: Interval | None
    mde: float | None  # the smallest relative difference that 80% of such comparisons would show
    p: float | None
    unit: str
    baseline_units: int
    candidate_units: int
    spread: float  # coefficient of variation added for the machines, of the ratio; 0 where none was
    freedom: float | None
    se: float | None


def compare(
    baseline: Sequence[Sample], candidate: Sequence[Sample], *, machine_spread: float = MACHINE_SPREAD,
    run_spread: float = RUN_SPREAD,
) -> Effect:  # fmt: skip
    """The same as `between`, from samples."""
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
    """From log ratios of processes that ran next to each other in one run: what drifts slowly falls out."""
    n = len(logs)
    mean = math.fsum(logs) / n
    if n < 2:
        return Effect(finite_exp(mean), None, None, None, "pair", n, n, 0.0, None, None)
    variance = math.fsum((one - mean) ** 2 for one in logs) / (n - 1) / n
    return _tested(mean, [(variance, n - 1.0)], 0.0, "pair of processes", (n, n))


def together(effects: Sequence[tuple[Effect, float]]) -> Effect:
    """Geometric mean over cases with their weights (which sum to 1), for this set of cases.

    What the cases' processes scatter is independent from case to case. The machines are the same in all of them, so
    that their spread does not average out, neither the one that was added nor the one that several machines showed.
    """
    if len(effects) == 1:
        return effects[0][0]
    mean = math.fsum(weight * math.log(effect.ratio) for effect, weight in effects)
    spread = math.fsum(weight * effect.spread for effect, weight in effects)
    units = {effect.unit for effect, _ in effects}
    unit = next(iter(units)) if len(units) == 1 else "mixed"
    least = [min(getattr(effect, side) for effect, _ in effects) for side in ("baseline_units", "candidate_units")]
    if any(effect.se is None for effect, _ in effects):
        return Effect(finite_exp(mean), None, None, None, unit, least[0], least[1], spread, None, None)
    parts: list[tuple[float, float]] = []
    shared: list[tuple[float, float]] = []
    for effect, weight in effects:
        variance, freedom = _estimated(effect)
        (parts if effect.unit in _SCATTER_ALONE else shared).append((weight**2 * variance, freedom))
    if shared:
        parts.append((sum(math.sqrt(v) for v, _ in shared) ** 2, sum(f for _, f in shared) / len(shared)))
    return _tested(mean, parts, spread**2, unit, (least[0], least[1]))


def _estimated(effect: Effect) -> tuple[float, float]:
    """The part of an effect's variance that was estimated, without the known one, and the freedom of that part."""
    whole = (effect.se or 0.0) ** 2
    variance = max(0.0, whole - effect.spread**2)
    return variance, (effect.freedom or 1.0) * (variance / whole) ** 2 if variance > 0 else 1.0


def mde(se: float, freedom: float, claims: int = 1) -> float:
    """Smallest relative difference that some 80% of such comparisons would show, being one of so many claims."""
    reach = t_quantile(1 - LEVEL / 2 / max(1, claims), freedom) + t_quantile(POWER, freedom)
    return math.expm1(min(230.0, reach * se))


def _tested(
    difference: float, parts: Sequence[tuple[float, float]], known: float, unit: str, units: tuple[int, int]
) -> Effect:
    """`parts` are estimated variances with their degrees of freedom, `known` one that was not estimated."""
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
    """p-values adjusted for how many there are (Holm 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted
