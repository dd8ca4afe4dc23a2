"""Two sides of evidence -> what may be claimed. Pure; the report and the JSON form are made from the result.

Ratios are candidate / baseline of the metric itself. Claims, which get a verdict, are made of speed alone; energy and
the rest are shown with their ratios and intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from gpuprof.absent import Absent
from gpuprof.analysis import fairness, titles
from gpuprof.analysis.effect import LEVEL, MACHINE_SPREAD, Effect, between, holm, mde, paired, together
from gpuprof.analysis.evidence import CaseEvidence, Evidence, typical, unify
from gpuprof.analysis.pairing import Pair, pair, pairs_within_runs
from gpuprof.case_keys import WORK
from gpuprof.index.brief import as_text
from gpuprof.metrics import BY_KEY, METRICS, Metric
from gpuprof.stats import Interval

Verdict = Literal["faster", "slower", "no difference shown"]
View = Literal["iso-batch", "best-batch", "all workloads"]
CLAIMED = ("throughput_per_s", "latency_p50_s")
HEADLINE = "throughput_per_s"
ONE_PROCESS = "a side with a single process has no spread, so there is no interval"
INCOMPLETE = "some processes lack this value, so there is no interval"


@dataclass(frozen=True)
class Side:
    """One side's value of one metric, in its unit, from `units` units of inference (machines, runs or processes)."""

    value: float | Absent
    ci95: Interval | None = None
    units: int = 0
    unit: str = ""  # of inference: machine, run or process


@dataclass(frozen=True)
class Difference:
    """One metric of one pair of cases."""

    metric: str
    baseline: Side
    candidate: Side
    effect: Effect | None  # None where a side has no value, or a ratio means nothing


@dataclass(frozen=True)
class Claim:
    """What a report says of one ratio, candidate / baseline, with its verdict or the reason why there is none.

    Without an effect all numbers are None; without an interval all but the ratio.
    """

    workload: str  # "all" for the claim over all of them
    case: str  # its title
    metric: str
    view: View
    ratio: float | None
    ci95: Interval | None
    mde: float | None  # smallest relative difference that 80% of such comparisons would show
    p_adjusted: float | None  # by Holm, over the claims of the report; None where the claim is not allowed
    verdict: Verdict | None
    allowed: bool
    reason: str | None  # why it is not allowed, or has no interval
    unit: str  # of inference
    units: tuple[int, int]  # baseline's, candidate's
    spread: float  # coefficient of variation added to the ratio, for machines or runs that nobody measured
    se: float | None = None  # standard error of the ratio's logarithm, with its degrees of freedom
    freedom: float | None = None


@dataclass(frozen=True)
class BreakEven:
    """Steps after which the side with the longer first step has caught up; `says` continues that number in words."""

    steps: float
    says: str


@dataclass(frozen=True)
class Compared:
    """A pair of cases with all that they differ in."""

    title: str
    pair: Pair
    differences: dict[str, Difference]  # by metric
    break_even: BreakEven | Absent  # none where the shorter first step is the faster side's


@dataclass(frozen=True)
class Comparison:
    """Everything that a report of two sides is made from."""

    baseline: Evidence
    candidate: Evidence
    vary: tuple[str, ...]
    cases: list[Compared]
    only_baseline: list[CaseEvidence]
    only_candidate: list[CaseEvidence]
    claims: list[Claim]
    overall: Claim
    ledger: list[fairness.Entry]
    machine_spread: float

    @property
    def simulated(self) -> bool:
        """Whether any run of either side was simulated."""
        return True in self.baseline.simulated | self.candidate.simulated

    @property
    def blocked(self) -> list[fairness.Entry]:
        """Entries of the ledger that forbid a verdict, on the sides or on some pairs."""
        return [entry for entry in self.ledger if entry.weight == "blocks"]


def compare(
    baseline: Evidence, candidate: Evidence, *, vary: AbstractSet[str] = frozenset(),
    machine_spread: float = MACHINE_SPREAD,
) -> Comparison:  # fmt: skip
    """Pair the cases of two sides, and say how they differ and what may be claimed of it.

    `vary` are case keys that differ on purpose. `machine_spread` is the coefficient of variation between machines of
    one model, added for each side that is one machine. The sides' machines are renamed in place (`evidence.unify`).
    """
    unify(baseline, candidate)
    pairing = pair(baseline, candidate, vary)
    case_titles = titles.short([p.baseline.newest for p in pairing.pairs])
    title_of = {id(p): title for p, title in zip(pairing.pairs, case_titles, strict=True)}
    entries = fairness.ledger(baseline, candidate, pairing.pairs, lambda p: title_of[id(p)], set(vary))
    # What blocks the sides as a whole forbids each pair.
    veto = next((e.why for e in entries if e.weight == "blocks" and not e.cases and e.why != fairness.NOTHING), "")
    pairs = [replace(p, reasons=(*p.reasons, veto)) if veto else p for p in pairing.pairs]
    cases = [
        _compared(p, title, machine_spread, interleaved=pairs_within_runs(p, baseline, candidate))
        for p, title in zip(pairs, case_titles, strict=True)
    ]
    claims = [_claim(case, metric) for case in cases for metric in CLAIMED]
    claims += _best_batches(baseline, candidate, cases, machine_spread)
    overall = _overall(cases)
    *claims, overall = _with_verdicts([*claims, overall])
    return Comparison(
        baseline, candidate, tuple(sorted(vary)), cases, pairing.only_baseline, pairing.only_candidate,
        claims, overall, entries, machine_spread,
    )  # fmt: skip


def _compared(p: Pair, title: str, machine_spread: float, *, interleaved: bool) -> Compared:
    differences = {m.key: _difference(p, m, machine_spread, interleaved=interleaved) for m in METRICS}
    return Compared(title, p, differences, _break_even(p))


def _difference(p: Pair, metric: Metric, machine_spread: float, *, interleaved: bool) -> Difference:
    baseline, candidate = side(p.baseline, metric), side(p.candidate, metric)
    if isinstance(baseline.value, Absent) or isinstance(candidate.value, Absent) or not metric.ratio:
        return Difference(metric.key, baseline, candidate, None)
    if metric.key == "peak_memory_bytes" and p.baseline.said["memory_scope"] != p.candidate.said["memory_scope"]:
        return Difference(metric.key, baseline, candidate, None)  # the ledger says what each covers
    level_b, level_c = p.baseline.level(metric.key), p.candidate.level(metric.key)
    if level_b is not None and level_c is not None:
        logs = _pairs_of_processes(p, metric.key) if interleaved else []
        effect = paired(logs) if logs else between(level_b, level_c, machine_spread=machine_spread)
    elif min(baseline.value, candidate.value) <= 0:  # energy above idle may be less than nothing
        return Difference(metric.key, baseline, candidate, None)
    else:
        ratio = candidate.value / baseline.value
        effect = Effect(ratio, None, None, None, "run", len(p.baseline.values(metric.key)),
                        len(p.candidate.values(metric.key)), 0.0, None, None)  # fmt: skip
    return Difference(metric.key, baseline, candidate, effect)


def side(case: CaseEvidence, metric: Metric) -> Side:
    """The case's value of the metric, with an interval where its processes or runs allow one."""
    level = case.level(metric.key)
    if level is not None:
        return Side(math.exp(level.mean), level.interval, level.units, level.unit)
    value = typical(case, metric.key)
    if value is None:
        return Side(Absent(case.newest.absent.get(metric.key, "")), unit="run")
    return Side(value, None, len(case.values(metric.key)), "run")


def _pairs_of_processes(p: Pair, metric: str) -> list[float]:
    """Log ratios, candidate / baseline, of processes that were the same repeat of one run."""
    baseline, candidate = (
        dict(zip(case.order, case.processes.get(metric, []), strict=False))
        for case in (p.baseline.newest, p.candidate.newest)
    )
    return [math.log(candidate[i] / baseline[i]) for i in sorted(baseline.keys() & candidate.keys())]


def _break_even(p: Pair) -> BreakEven | Absent:
    firsts = [typical(case, "first_step_s") for case in (p.baseline, p.candidate)]
    rates = [typical(case, HEADLINE) for case in (p.baseline, p.candidate)]
    if None in firsts or not all(rates):
        return Absent("first step or throughput unknown")
    if p.baseline.newest.batch_size != p.candidate.newest.batch_size:
        return Absent("no break-even: batch sizes differ, so steps are not comparable")
    first_b, first_c = (value or 0.0 for value in firsts)
    step_b, step_c = (case.newest.batch_size / (rate or 1.0)
                      for case, rate in zip((p.baseline, p.candidate), rates, strict=True))  # fmt: skip
    late, gain = first_c - first_b, step_b - step_c
    if late == gain == 0:
        return Absent("no break-even: neither side is ahead")
    if late * gain <= 0:
        ahead = "candidate" if late < 0 or (late == 0 and gain > 0) else "baseline"
        return Absent(f"no break-even: the {ahead} is ahead from the first step")
    slow = "candidate" if late > 0 else "baseline"
    return BreakEven(late / gain, f"steps until the {slow}'s longer first step has paid off")


def _claim(case: Compared, metric: str) -> Claim:
    difference, p = case.differences[metric], case.pair
    effect = difference.effect
    reason = "; ".join(p.reasons)
    if not reason and effect is None:
        values = (difference.baseline.value, difference.candidate.value)
        reason = next((v.reason for v in values if isinstance(v, Absent) and v.reason), "not measured")
    elif not reason and effect is not None and effect.ci95 is None:
        levels = (p.baseline.level(metric), p.candidate.level(metric))
        reason = INCOMPLETE if None in levels else ONE_PROCESS
    return _untested(p.baseline.newest.workload, case.title, metric, "iso-batch", effect, p.allowed, reason or None)


def _untested(
    workload: str, case: str, metric: str, view: View, effect: Effect | None, allowed: bool, reason: str | None
) -> Claim:
    """A claim without a verdict: until `_with_verdicts`, `p_adjusted` is its own p, not adjusted for the others."""
    if effect is None:
        return Claim(workload, case, metric, view, None, None, None, None, None, False, reason, "", (0, 0), 0.0)
    units = (effect.baseline_units, effect.candidate_units)
    return Claim(
        workload, case, metric, view, effect.ratio, effect.ci95, effect.mde, effect.p, None, allowed, reason,
        effect.unit, units, effect.spread, effect.se, effect.freedom,
    )  # fmt: skip


def _best_batches(
    baseline: Evidence, candidate: Evidence, cases: Sequence[Compared], machine_spread: float
) -> list[Claim]:
    """Where a sweep allows: each side at the batch size, of all it ran, at which it is fastest.

    Only for work with at least one pair that may be compared; what forbids pairs of cases forbids these as well.
    """
    claims: dict[tuple[tuple[str, ...], ...], Claim] = {}
    for case in cases:
        p = case.pair
        works = (_unbatched(p.baseline), _unbatched(p.candidate))
        if works in claims or not p.allowed or "batch_size" in p.differs:
            continue
        swept = [
            [c for c in evidence.cases.values() if _unbatched(c) == work and _ranked(c)]
            for evidence, work in zip((baseline, candidate), works, strict=True)
        ]
        if max(map(len, swept)) < 2 or not all(swept):
            continue
        left, right = (max(side_cases, key=lambda c: typical(c, HEADLINE) or 0.0) for side_cases in swept)
        levels = (left.level(HEADLINE), right.level(HEADLINE))
        # The effect of a pair that is there already is taken as it is: `_with_verdicts` knows the two claims by it.
        as_pair = next((c for c in cases if c.pair.baseline is left and c.pair.candidate is right), None)
        effect = as_pair.differences[HEADLINE].effect if as_pair is not None else None
        if effect is None and levels[0] is not None and levels[1] is not None:
            effect = between(levels[0], levels[1], machine_spread=machine_spread)
        if effect is None:
            continue
        newest = left.newest
        title = f"{newest.workload} · {newest.mode} · best batch, {newest.batch_size} against {right.newest.batch_size}"
        why = ONE_PROCESS if effect.ci95 is None else None
        claims[works] = _untested(newest.workload, title, HEADLINE, "best-batch", effect, True, why)
    return list(claims.values())


def _unbatched(case: CaseEvidence) -> tuple[str, ...]:
    """The work apart from its batch size."""
    fields = (as_text(value) for name, value in case.fields.items() if name != "batch_size")
    return (*(str(case.static.data[name]) for name in ("workload", *WORK)), *fields)


def _ranked(case: CaseEvidence) -> bool:
    """Whether the case may be its side's fastest."""
    good = "ok" in case.said["outcome"] and "wrong" not in case.said["correctness"]
    return good and case.level(HEADLINE) is not None


def _overall(cases: Sequence[Compared]) -> Claim:
    """Geometric mean of throughput over workloads, each workload with the same weight, for this set of workloads."""
    by_workload: dict[str, list[Effect]] = {}
    for case in cases:
        effect = case.differences[HEADLINE].effect
        if case.pair.allowed and effect is not None:
            by_workload.setdefault(case.pair.baseline.newest.workload, []).append(effect)
    if not by_workload:
        reason = "no two cases can be compared" if cases else "the sides have no case in common"
        return _untested("all", "all workloads", HEADLINE, "all workloads", None, False, reason)
    # A workload's cases share its weight, so that the weights sum to 1.
    weighted = [(effect, 1 / len(by_workload) / len(effects)) for effects in by_workload.values() for effect in effects]
    whole = together(weighted)
    title = f"{len(by_workload)} workloads" if len(by_workload) > 1 else next(iter(by_workload))
    why = ONE_PROCESS if whole.ci95 is None else None
    return _untested("all", title, HEADLINE, "all workloads", whole, True, why)


def _with_verdicts(claims: Sequence[Claim]) -> list[Claim]:
    """The same claims, in their order, with p adjusted by Holm over those that are allowed, MDE and verdict.

    A test may be claimed twice: with one case in all "overall" is that case, and a best batch may be a pair. Both then
    come from one Effect, so that ratio and interval are equal to the last bit. The test counts once, and both get its
    adjusted p.
    """
    own_p: dict[_Test, float] = {}
    for claim in claims:
        if claim.allowed and claim.p_adjusted is not None:
            own_p.setdefault(_test(claim), claim.p_adjusted)
    adjusted = dict(zip(own_p, holm(list(own_p.values())), strict=True))
    judged = []
    for claim in claims:
        p = adjusted.get(_test(claim)) if claim.allowed else None
        least = claim.mde
        if claim.se is not None and claim.freedom is not None:
            least = mde(claim.se, claim.freedom, len(adjusted))  # as one of so many, like its verdict
        judged.append(replace(claim, p_adjusted=p, mde=least, verdict=None if p is None else _verdict(claim, p)))
    return judged


_Test = tuple[str, float | None, Interval | None]


def _test(claim: Claim) -> _Test:
    """What two claims of one test have in common."""
    return claim.metric, claim.ratio, claim.ci95


def _verdict(claim: Claim, p: float) -> Verdict:
    if p >= LEVEL or claim.ratio is None:
        return "no difference shown"
    return "faster" if (claim.ratio > 1) == (BY_KEY[claim.metric].better == "higher") else "slower"
