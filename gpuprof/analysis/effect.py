"""How much two sides differ in one metric, and how sure that is. All of it on logarithms.

What is measured and what is not are kept apart. Measured is the scatter of the units of inference (`levels.level`):
machines or runs from three on, processes otherwise. Not measured is what the machine's other days, and other machines
of the model, would have given, where a side has too few of them: there a spread is added that a round figure and the
few runs or machines at hand give together, with the few degrees of freedom that they have together. Where the machine
itself was seen to change between the sides, the intervals widen by as much: it may be in the ratio or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from gpuprof.analysis.levels import FEW, Level, Sample, Scatter, level
from gpuprof.stats import Interval, finite_exp, t_cdf, t_density, t_quantile

# Coefficient of variation of throughput between machines of one model: 39 single-H100 machines of Lambda's public
# results spread by 0.07% to 4.1% with the network, 1.2% for BERT-base. A round figure on the wide side of the middle.
MACHINE_SPREAD = 0.015
# Its degrees of freedom: one network in twenty would spread by 2.4 times the figure or more (3.6%).
MACHINE_FREEDOM = 4.0
# The same from run to run on one machine: a round figure, not measured on the machine at hand. For a GPU with a host of
# its own it is wide, for a shared virtual machine narrow. So it has fewer degrees of freedom: one machine in twenty
# would have 2.9 times the figure. With more, two runs a side would find more than three, which show their own spread.
RUN_SPREAD = 0.01
RUN_FREEDOM = 3.0
LEVEL = 0.05
_Z_POWER = 0.8416  # of the power of 80%
SURE = 1e6  # degrees of freedom of an error that is known
_LEAST_P = 1e-12  # p-values are not told apart below this
_ROUNDING = 1e-12  # of logarithms: the means of equal values may differ by less
# Units that scatter anew in each case, spelt as `between` and `paired` do; runs and machines are the same in all cases.
_SCATTER_ALONE = ("process", "pair of processes")


class Error(NamedTuple):
    """A standard error of a logarithm, with its degrees of freedom."""

    se: float = 0.0
    freedom: float = SURE


_NO_ERROR = Error()


@dataclass(frozen=True)
class Effect:
    """A ratio, candidate / baseline, with what is known of its error.

    Without `measured` (one value alone on a side) there is no interval: `interval`, `p` and `mde` are None.
    """

    difference: float  # logarithm of the ratio
    unit: str  # of inference; "a | b" where the sides' are not the same, "mixed" (for show) over cases of several units
    baseline_units: int
    candidate_units: int
    measured: Error | None = None
    days: Error = _NO_ERROR  # added for the machines' other runs, which were not measured
    chassis: Error = _NO_ERROR  # added for other machines, which were not measured
    gain: Error = _NO_ERROR  # of the sensors, where the values come from such: no number of runs makes it smaller
    shift: float = 0.0  # of the machine between the sides (`analysis.yardstick`): a logarithm, not below 0

    @property
    def ratio(self) -> float:
        """Candidate / baseline."""
        return finite_exp(self.difference)

    @property
    def added(self) -> Error:
        """For machines and runs that were not measured."""
        return joined((self.days, self.chassis))

    @property
    def spread(self) -> float:
        """Coefficient of variation that was added to the ratio's; 0 where nothing was."""
        return self.added.se if self.measured is not None else 0.0

    @property
    def enough(self) -> bool:
        """Whether a verdict may rest on it: two processes hardly show how they scatter."""
        units = self.unit.split(" | ")  # one of each side, where they differ
        sides = zip((self.baseline_units, self.candidate_units), (units[0], units[-1]), strict=True)
        few = any(count < FEW and unit.endswith(("process", "processes")) for count, unit in sides)
        return self.measured is not None and not few

    def half(self, level: float) -> float:
        """Half of the interval that misses the truth with probability `level`, of the logarithm.

        The errors are joined by their own quantiles, half² = (t₁ se₁)² + (t₂ se₂)² + ... One t with the degrees of
        freedom of all (Satterthwaite) would lend the surer one's to the others. A shift is no error that scatters: it
        is added as it is.
        """
        assert self.measured is not None
        return math.hypot(*(t_quantile(1 - level / 2, e.freedom) * e.se for e in self._errors)) + self.shift

    def interval(self, level: float) -> Interval | None:
        """Of the ratio, missing the truth with probability `level`."""
        if self.measured is None:
            return None
        half = self.half(level)
        return finite_exp(self.difference - half), finite_exp(self.difference + half)

    @property
    def ci95(self) -> Interval | None:
        """The interval with 95%."""
        return self.interval(LEVEL)

    @property
    def scatter_ci95(self) -> Interval | None:
        """The interval with 95% as if the sensors had no error of their own."""
        return replace(self, gain=_NO_ERROR).ci95

    @cached_property
    def p(self) -> float | None:
        """Two-sided, that the ratio is 1: the level whose interval just reaches 1. Not adjusted for other tests."""
        if self.measured is None:
            return None
        size = abs(self.difference) - self.shift
        if size < _ROUNDING:
            return 1.0
        errors = [error for error in self._errors if error.se > 0]
        if not errors:
            return 0.0
        if len(errors) == 1:
            return 2 * (1 - t_cdf(size / errors[0].se, errors[0].freedom))
        return _level_that_reaches(size, errors)

    def mde(self, level: float) -> float | None:
        """Smallest relative difference that 80% of such comparisons would show, each tested at `level`.

        The noncentrality at which t exceeds the interval's quantile with that probability, by the normal approximation
        of noncentral t (Abramowitz & Stegun 26.7.10), times the standard error. What was measured of that is more often
        too small than too large; the median of chi-square puts it right.
        """
        if self.measured is None:
            return None
        se = math.hypot(self.measured.se / usual(self.measured.freedom), self.added.se, self.gain.se)
        freedom = joined(self._errors).freedom
        critical = (self.half(level) - self.shift) / joined(self._errors).se if se > 0 else 0.0
        beyond = _Z_POWER * math.sqrt(1 + critical**2 / (2 * freedom))
        return math.expm1(min(230.0, (critical * (1 - 1 / (4 * freedom)) + beyond) * se + self.shift))

    @property
    def _errors(self) -> tuple[Error, Error, Error]:
        assert self.measured is not None
        return self.measured, self.added, self.gain


def usual(freedom: float) -> float:
    """The median of a standard deviation that is measured with so many degrees of freedom, over the true one."""
    return float((1 - 2 / (9 * max(1.0, freedom))) ** 1.5)


def joined(errors: Sequence[Error]) -> Error:
    """Independent errors as one, with Satterthwaite's (1946) degrees of freedom."""
    variance = math.fsum(error.se**2 for error in errors)
    doubt = math.fsum(error.se**4 / error.freedom for error in errors)
    return Error(math.sqrt(variance), min(SURE, variance**2 / doubt) if doubt > 0 else SURE)


def _level_that_reaches(size: float, errors: Sequence[Error]) -> float:
    """The level at which Σ (t se)² is `size`², by Newton's method on its logarithm; at least _LEAST_P."""
    below, above = math.log(_LEAST_P), 0.0  # Σ falls as the level grows
    whole = joined(errors)
    x = min(max(math.log(2 * (1 - t_cdf(size / whole.se, whole.freedom)) or _LEAST_P), below), -1e-6)
    for _ in range(100):
        level = math.exp(x)
        ts = [t_quantile(1 - level / 2, e.freedom) for e in errors]
        square = math.fsum((t * e.se) ** 2 for t, e in zip(ts, errors, strict=True))
        excess = math.log(square / size**2) if square > 0 else -math.inf
        below, above = (x, above) if excess > 0 else (below, x)
        # dt / d level = -1 / (2 density)
        slope = -level / square * math.fsum(
            t * e.se**2 / t_density(t, e.freedom) for t, e in zip(ts, errors, strict=True)
        ) if square > 0 else -math.inf  # fmt: skip
        following = x - excess / slope
        following = following if below < following < above else (below + above) / 2
        if abs(following - x) < 1e-9 or above - below < 1e-9:
            return math.exp(following)
        x = following
    return math.exp(x)


def compare(
    baseline: Sequence[Sample], candidate: Sequence[Sample], *, machine_spread: float = MACHINE_SPREAD,
    run_spread: float = RUN_SPREAD,
) -> Effect:  # fmt: skip
    """As `between`, from samples."""
    return between(level(baseline), level(candidate), machine_spread=machine_spread, run_spread=run_spread)


def between(b: Level, c: Level, *, machine_spread: float = MACHINE_SPREAD, run_spread: float = RUN_SPREAD) -> Effect:
    """Ratio of geometric means, by Welch's t on what was measured, and with what was not, added.

    Where both sides have the same machines their spread cancels out: FEW or more of them are compared one by one.
    """
    same = b.names == c.names
    if same and len(b.machines) >= FEW:
        return _by_machine(b, c)
    unit = b.unit if b.unit == c.unit else f"{b.unit} | {c.unit}"
    if b.variance is None or c.variance is None:
        return Effect(c.mean - b.mean, unit, b.units, c.units)
    seen = (b.days, c.days)
    if same or not (b.past.freedom or c.past.freedom):
        days = _unmeasured(run_spread, RUN_FREEDOM, (*seen, b.past, c.past), b.day_share + c.day_share)
    else:
        # What a machine showed, now or in the past, is its own. Both errors rest on the same round figure, so that
        # together they are no surer than the one that is less sure.
        each = [_unmeasured(run_spread, RUN_FREEDOM, (side.days, side.past), side.day_share) for side in (b, c)]
        days = Error(joined(each).se, min(error.freedom for error in each))
    chassis = _NO_ERROR if same else _unmeasured(
        machine_spread, MACHINE_FREEDOM, (b.chassis, c.chassis), b.machine_share + c.machine_share
    )  # fmt: skip
    measured = welch((b.variance, b.freedom), (c.variance, c.freedom))
    return Effect(c.mean - b.mean, unit, b.units, c.units, measured, days, chassis)


def welch(*parts: tuple[float, float]) -> Error:
    """Both sides' measured errors, each a variance with its degrees of freedom, as one.

    The degrees of freedom of Welch's t follow the variances that happened to be seen. Where the side that really
    scatters more happened to scatter little, they are too many: three processes against five of a third of the scatter
    err in 6.5% in place of 5% of comparisons, and many times too often at the small levels of many claims. So they are
    the fewest that either side would give, were its variance at the end of the one-sided 70% interval around what was
    seen (scripts/bench/referee.py).
    """
    fewest = SURE
    for larger in range(2):
        freedoms = [
            Error(math.sqrt(v * (_may_be(f) if position == larger else 1.0)), f)
            for position, (v, f) in enumerate(parts)
        ]
        fewest = min(fewest, joined(freedoms).freedom)
    return Error(math.sqrt(math.fsum(variance for variance, _ in parts)), fewest)


def _may_be(freedom: float) -> float:
    """How many times the variance that was seen the true one may be, by a one-sided 70% interval.

    freedom / chi-square quantile, by Wilson and Hilferty (1931): within 3% from 2 degrees of freedom on.
    """
    root = 1 - 2 / (9 * freedom) - 0.5244 * math.sqrt(2 / (9 * freedom))
    return 1 / max(root, 0.05) ** 3


def _by_machine(b: Level, c: Level) -> Effect:
    logs = [candidate - baseline for (_, baseline), (_, candidate) in zip(b.machines, c.machines, strict=True)]
    paired_level = level([Sample(str(i), 1, log, 0.0) for i, log in enumerate(logs)])
    assert paired_level.variance is not None
    n = len(logs)
    return Effect(paired_level.mean, "machine", n, n, Error(math.sqrt(paired_level.variance), n - 1))


def _unmeasured(spread: float, freedom: float, scatters: Sequence[Scatter], share: float) -> Error:
    """`share` of the variance of a run or machine, from the round figure and what the sides themselves show of it.

    Fewer degrees of freedom than the figure's own raise it where they show more, and never lower it.
    """
    if not share or not spread:
        return Error()
    shown = sum(scatter.freedom for scatter in scatters)
    variance = (freedom * spread**2 + sum(scatter.squares for scatter in scatters)) / (freedom + shown)
    if shown < freedom:
        return Error(math.sqrt(max(spread**2, variance) * share), freedom)
    return Error(math.sqrt(variance * share), freedom + shown)


def paired(samples: Sequence[Sample]) -> Effect:
    """From log ratios of processes that ran next to each other in one run, a sample a run: days cancel out."""
    whole = level(samples)
    unit = {"process": "pair of processes"}.get(whole.unit, whole.unit)
    if whole.variance is None:
        return Effect(whole.mean, "pair", whole.units, whole.units)
    return Effect(whole.mean, unit, whole.units, whole.units, Error(math.sqrt(whole.variance), whole.freedom))


def together(weighted: Sequence[tuple[Effect, float]]) -> Effect:
    """Geometric mean over cases with their weights (which must sum to 1), for this set of cases.

    Processes scatter independently from case to case: variances add. Runs and machines are the same in all cases, so
    their scatter does not average out: standard deviations add, as do those of what was added.
    """
    if len(weighted) == 1:
        return weighted[0][0]
    mean = math.fsum(weight * effect.difference for effect, weight in weighted)
    units = {effect.unit for effect, _ in weighted}
    unit = next(iter(units)) if len(units) == 1 else "mixed"
    least = [min(getattr(effect, side) for effect, _ in weighted) for side in ("baseline_units", "candidate_units")]
    alone: list[Error] = []
    shared: list[Error] = []
    days, chassis = (
        _shared(
            [Error(weight * getattr(effect, name).se, getattr(effect, name).freedom) for effect, weight in weighted]
        )
        for name in ("days", "chassis")
    )
    gain = _shared([Error(weight * effect.gain.se) for effect, weight in weighted])
    shift = math.fsum(weight * effect.shift for effect, weight in weighted)
    for effect, weight in weighted:
        if effect.measured is None:
            return Effect(mean, unit, least[0], least[1])
        (alone if effect.unit in _SCATTER_ALONE else shared).append(
            Error(weight * effect.measured.se, effect.measured.freedom)
        )
    return Effect(mean, unit, least[0], least[1], joined([*alone, _shared(shared)]), days, chassis, gain, shift)


def _shared(errors: Sequence[Error]) -> Error:
    """Errors that are the same in all cases as one, with the smallest of their degrees of freedom."""
    some = [error for error in errors if error.se > 0]
    if not some:
        return Error()
    return Error(math.fsum(e.se for e in some), min(e.freedom for e in some))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted
