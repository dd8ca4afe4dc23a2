"""Two sides of evidence -> what may be claimed. Pure; the report and the JSON form are made of what comes out.

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
from gpuprof.analysis import effect as effects
from gpuprof.analysis import fairness, titles
from gpuprof.analysis.effect import LEVEL, Effect
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
ONE_PROCESS = "one process a side has no spread, and so no interval"
INCOMPLETE = "not every process has this value, and so there is no interval"


@dataclass(frozen=True)
class Side:
    """One side's value of one metric; `units` of inference, each a `unit`, stand behind it."""

    value: float | Absent
    ci95: Interval | None = None
    units: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Difference:
    """One metric of one pair of cases."""

    metric: str
    baseline: Side
    candidate: Side
    effect: Effect | None  # None where a side has no value, or a ratio means nothing


@dataclass(frozen=True)
class Claim:
    workload: str
    case: str
    metric: str
    view: View
    ratio: float | None
    ci95: Interval | None
    mde: float | None
    p_adjusted: float | None
    verdict: Verdict | None
    allowed: bool
    reason: str | None
    unit: str
    units: tuple[int, int]
    spread: float
    se: float | None = None  # standard error of the ratio's logarithm, with its degrees of freedom
    freedom: float | None = None


@dataclass(frozen=True)
class BreakEven:
    """Steps after which the side with the longer first step has caught up, and which side that is, in words."""

    steps: float
    says: str


@dataclass(frozen=True)
class Compared:
    """A pair of cases with everything that is known of both."""

    title: str
    pair: Pair
    differences: dict[str, Difference]
    break_even: BreakEven | Absent  # none where the shorter first step is the faster side's


@dataclass(frozen=True)
class Comparison:
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
        return True in self.baseline.simulated | self.candidate.simulated

    @property
    def blocked(self) -> list[fairness.Entry]:
        return [entry for entry in self.ledger if entry.weight == "blocks"]


def compare(
    baseline: Evidence, candidate: Evidence, *, vary: AbstractSet[str] = frozenset(),
    machine_spread: float = effects.MACHINE_SPREAD,
) -> Comparison:  # fmt: skip
    unify(baseline, candidate)
    pairing = pair(baseline, candidate, vary)
    called = titles.short([p.baseline.newest for p in pairing.pairs])
    named = {id(p): title for p, title in zip(pairing.pairs, called, strict=True)}
    entries = fairness.ledger(baseline, candidate, pairing.pairs, lambda p: named[id(p)], set(vary))
    mixed = next((e.why for e in entries if e.weight == "blocks" and not e.cases and e.why != fairness.NOTHING), "")
    pairs = [replace(p, reasons=(*p.reasons, mixed)) if mixed else p for p in pairing.pairs]
    cases = [
        _compared(p, title, machine_spread, interleaved=pairs_within_runs(p, baseline, candidate))
        for p, title in zip(pairs, called, strict=True)
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
        effect = effects.paired(logs) if logs else effects.between(level_b, level_c, machine_spread=machine_spread)
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
    one, other = p.baseline.newest, p.candidate.newest
    left, right = (dict(zip(c.order, c.processes.get(metric, []), strict=False)) for c in (one, other))
    return [math.log(right[i] / left[i]) for i in sorted(left.keys() & right.keys())]


def _break_even(p: Pair) -> BreakEven | Absent:
    firsts = [typical(case, "first_step_s") for case in (p.baseline, p.candidate)]
    rates = [typical(case, HEADLINE) for case in (p.baseline, p.candidate)]
    if None in firsts or not all(rates):
        return Absent("a first step or a throughput is not known")
    if p.baseline.newest.batch_size != p.candidate.newest.batch_size:
        return Absent("not told: a step of one side is not a step of the other")
    first_b, first_c = (value or 0.0 for value in firsts)
    step_b, step_c = (case.newest.batch_size / (rate or 1.0)
                      for case, rate in zip((p.baseline, p.candidate), rates, strict=True))  # fmt: skip
    late, gain = first_c - first_b, step_b - step_c
    if late == gain == 0:
        return Absent("none: neither is ahead")
    if late * gain <= 0:
        ahead = "candidate" if late < 0 or (late == 0 and gain > 0) else "baseline"
        return Absent(f"none: the {ahead} is ahead from the first step on")
    slow = "candidate" if late > 0 else "baseline"
    return BreakEven(late / gain, f"the {slow}'s longer first step is made good after so many steps")


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
    return _made(p.baseline.newest.workload, case.title, metric, "iso-batch", effect, p.allowed, reason or None)


def _made(
    workload: str, case: str, metric: str, view: View, found: Effect | None, allowed: bool, reason: str | None
) -> Claim:
    """Not yet tested: `p_adjusted` is still this claim's own p."""
    if found is None:
        return Claim(workload, case, metric, view, None, None, None, None, None, False, reason, "", (0, 0), 0.0)
    units = (found.baseline_units, found.candidate_units)
    return Claim(
        workload, case, metric, view, found.ratio, found.ci95, found.mde, found.p, None, allowed, reason,
        found.unit, units, found.spread, found.se, found.freedom,
    )  # fmt: skip


def _best_batches(
    baseline: Evidence, candidate: Evidence, cases: Sequence[Compared], machine_spread: float
) -> list[Claim]:
    """Where a sweep allows: each side at the batch size, of all it ran, at which it is fastest.

    Only for work of which some pair may be compared; what forbids pairs of cases forbids these as well.
    """
    done: dict[tuple[tuple[str, ...], ...], Claim] = {}
    for case in cases:
        p = case.pair
        works = (_unbatched(p.baseline), _unbatched(p.candidate))
        if works in done or not p.allowed or "batch_size" in p.differs:
            continue
        swept = [
            [c for c in s.cases.values() if _unbatched(c) == work and _ranked(c)]
            for s, work in zip((baseline, candidate), works, strict=True)
        ]
        if max(map(len, swept)) < 2 or not all(swept):
            continue
        one, other = (max(found, key=lambda c: typical(c, HEADLINE) or 0.0) for found in swept)
        levels = (one.level(HEADLINE), other.level(HEADLINE))
        same = next((c for c in cases if c.pair.baseline is one and c.pair.candidate is other), None)
        found = same.differences[HEADLINE].effect if same is not None else None
        if found is None and levels[0] is not None and levels[1] is not None:
            found = effects.between(levels[0], levels[1], machine_spread=machine_spread)
        if found is None:
            continue
        c = one.newest
        title = f"{c.workload} · {c.mode} · best batch, {c.batch_size} against {other.newest.batch_size}"
        why = ONE_PROCESS if found.ci95 is None else None
        done[works] = _made(c.workload, title, HEADLINE, "best-batch", found, True, why)
    return list(done.values())


def _unbatched(case: CaseEvidence) -> tuple[str, ...]:
    """The work apart from its batch size."""
    fields = (as_text(value) for name, value in case.fields.items() if name != "batch_size")
    return (*(str(case.static.data[name]) for name in ("workload", *WORK)), *fields)


def _ranked(case: CaseEvidence) -> bool:
    good = "ok" in case.said["outcome"] and "wrong" not in case.said["correctness"]
    return good and case.level(HEADLINE) is not None


def _overall(cases: Sequence[Compared]) -> Claim:
    """Geometric mean of throughput over workloads, each workload with the same weight, for this set of workloads."""
    found: dict[str, list[Effect]] = {}
    for case in cases:
        one = case.differences[HEADLINE].effect
        if case.pair.allowed and one is not None:
            found.setdefault(case.pair.baseline.newest.workload, []).append(one)
    if not found:
        reason = "no pair of cases may be compared" if cases else "the sides have no case in common"
        return _made("all", "all workloads", HEADLINE, "all workloads", None, False, reason)
    weighted = [(one, 1 / len(found) / len(several)) for several in found.values() for one in several]
    whole = effects.together(weighted)
    title = f"{len(found)} workloads" if len(found) > 1 else next(iter(found))
    why = ONE_PROCESS if whole.ci95 is None else None
    return _made("all", title, HEADLINE, "all workloads", whole, True, why)


def _with_verdicts(claims: Sequence[Claim]) -> list[Claim]:
    """Holm's correction over all claims that may be made, then words. A claim made twice counts once."""
    tested = [c for c in claims if c.allowed and c.p_adjusted is not None]
    # With one case in all, "overall" is that case again and no further test.
    same = {(c.metric, c.ratio, c.ci95) for c in tested}
    first = {mark: next(c for c in tested if (c.metric, c.ratio, c.ci95) == mark) for mark in same}
    family = [c for c in tested if first[(c.metric, c.ratio, c.ci95)] is c]
    adjusted = dict(zip(map(id, family), effects.holm([c.p_adjusted or 0.0 for c in family]), strict=True))
    done = []
    for claim in claims:
        mark = (claim.metric, claim.ratio, claim.ci95)
        p = adjusted[id(first[mark])] if mark in first and claim.allowed else None
        seen = claim.mde
        if claim.se is not None and claim.freedom is not None:
            seen = effects.mde(claim.se, claim.freedom, len(family))  # as one of so many, like its verdict
        done.append(replace(claim, p_adjusted=p, mde=seen, verdict=None if p is None else _verdict(claim, p)))
    return done


def _verdict(claim: Claim, p: float) -> Verdict:
    if p >= LEVEL or claim.ratio is None:
        return "no difference shown"
    return "faster" if (claim.ratio > 1) == (BY_KEY[claim.metric].better == "higher") else "slower"
