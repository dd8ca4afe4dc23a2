"""Which of the ratios are claims, and which of the claims are shown: the levels at which they are tested.

The overall claim is tested alone, at 5%. The others share 5% by Holm (1979) if it was shown, and 1% if it was not:
sides that differ in no case get any verdict at all in at most 6% of comparisons, while cases that point in opposite
directions can still be told apart. Each claim's interval is the one at the level at which it was tested, so that it
leaves out 1 exactly where there is a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gpuprof.analysis.effect import LEVEL, Effect, holm
from gpuprof.metrics import BY_KEY
from gpuprof.stats import Interval

Verdict = Literal["faster", "slower", "no difference shown"]
View = Literal["iso-batch", "best-batch", "all workloads"]
LEFT = 0.01  # the level of all other claims together where the overall one is not shown
ONE_PROCESS = "a side with a single process has no spread, so there is no interval"
TOO_FEW = "a side with fewer than 3 processes hardly shows how they scatter"
INCOMPLETE = "some processes lack this value, so there is no interval"


@dataclass(frozen=True)
class Claim:
    """What a report says of one ratio, candidate / baseline, with its verdict or the reason why there is none.

    Without an effect all numbers are None; without its error all but the ratio.
    """

    workload: str  # "all" for the claim over all of them
    case: str  # its title
    metric: str
    view: View
    effect: Effect | None
    allowed: bool
    reason: str | None  # why it is not allowed, or gets no verdict
    level: float = LEVEL  # at which it was tested: its interval misses the truth with this probability
    p_adjusted: float | None = None  # shown where it is below LEVEL; None where it is not tested
    verdict: Verdict | None = None

    @property
    def ratio(self) -> float | None:
        """Candidate / baseline."""
        return None if self.effect is None else self.effect.ratio

    @property
    def interval(self) -> Interval | None:
        """Of the ratio, at the claim's level."""
        return None if self.effect is None else self.effect.interval(self.level)

    @property
    def ci95(self) -> Interval | None:
        """The plain 95% interval, as if there were no other claim."""
        return None if self.effect is None else self.effect.ci95

    @property
    def mde(self) -> float | None:
        """The smallest relative difference that 80% of such comparisons would show at the claim's level."""
        return None if self.effect is None else self.effect.mde(self.level)

    @property
    def unit(self) -> str:
        """Of inference; "" without an effect."""
        return "" if self.effect is None else self.effect.unit

    @property
    def units(self) -> tuple[int, int]:
        """The baseline's, the candidate's."""
        return (0, 0) if self.effect is None else (self.effect.baseline_units, self.effect.candidate_units)

    @property
    def spread(self) -> float:
        """Coefficient of variation added to the ratio's, for machines or runs that nobody measured."""
        return 0.0 if self.effect is None else self.effect.spread

    @property
    def shift(self) -> float:
        """By how much the machine itself changed between the sides, relative; the interval is wider by it."""
        return 0.0 if self.effect is None else math.expm1(self.effect.shift)

    @property
    def _test(self) -> Hashable:
        """None where it is not tested; else equal for claims that are one test."""
        effect = self.effect
        return (self.metric, effect) if self.allowed and effect is not None and effect.enough else None


def claim(
    workload: str, case: str, metric: str, view: View, effect: Effect | None, *, reason: str = "", complete: bool = True
) -> Claim:
    """A claim, not yet tested; with a `reason` it is not allowed. `complete`: each process has a value."""
    if reason or effect is None:
        return Claim(workload, case, metric, view, effect, False, reason or "not measured")
    why = None
    if effect.measured is None:
        why = ONE_PROCESS if complete else INCOMPLETE
    elif not effect.enough:
        why = TOO_FEW
    return Claim(workload, case, metric, view, effect, True, why)


def tested(overall: Claim, others: Sequence[Claim]) -> tuple[Claim, list[Claim]]:
    """The same claims, in their order, each with level, p and verdict.

    A test may be claimed twice: with one case in all "overall" is that case, and a best batch may be a pair. Both then
    have the same Effect; the test counts once.
    """
    shown, p = False, None if overall.effect is None else overall.effect.p
    if overall._test is not None and p is not None:
        shown = p < LEVEL
        overall = _judged(overall, LEVEL, p)
    share = LEVEL if shown or overall._test is None else LEFT
    own: dict[Hashable, float] = {}
    for other in others:
        if (test := other._test) is not None and test != overall._test and other.effect is not None:
            own.setdefault(test, other.effect.p or 0.0)
    adjusted = dict(zip(own, holm(list(own.values())), strict=True))
    found = sum(value < share for value in adjusted.values())
    rank = {test: position for position, test in enumerate(sorted(own, key=lambda test: own[test]))}
    judged = []
    for other in others:
        test = other._test
        if test is None:
            judged.append(other)
        elif test == overall._test:
            judged.append(replace(other, level=overall.level, p_adjusted=overall.p_adjusted, verdict=overall.verdict))
        else:
            # Holm tests the smallest p among all, the next among those that are left, and stops at the first that
            # fails: that one, and all after it, were tested among as many as were left then.
            among = len(own) - min(rank[test], found)
            judged.append(_judged(other, share / among, min(1.0, adjusted[test] * LEVEL / share)))
    return overall, judged


def _judged(claim_: Claim, level: float, p: float) -> Claim:
    verdict: Verdict = "no difference shown"
    if p < LEVEL and claim_.ratio is not None:
        verdict = "faster" if (claim_.ratio > 1) == (BY_KEY[claim_.metric].better == "higher") else "slower"
    return replace(claim_, level=level, p_adjusted=p, verdict=verdict)
