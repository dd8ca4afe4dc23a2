"""Two sides of evidence -> what may be claimed. Pure; the report and the JSON form are made from the result.

Ratios are candidate / baseline of the metric itself. Claims, which get a verdict, are made of speed alone; energy and
the rest are shown with their ratios and intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from gpuprof.absent import Absent
from gpuprof.analysis import fairness, ratios, titles
from gpuprof.analysis.claims import Claim, claim, tested
from gpuprof.analysis.effect import MACHINE_SPREAD, Effect, Error, between
from gpuprof.analysis.evidence import CaseEvidence, Evidence, typical, unify
from gpuprof.analysis.facts import Entry
from gpuprof.analysis.pairing import Pair, pair
from gpuprof.analysis.planning import Plan, plans
from gpuprof.case_keys import WORK
from gpuprof.index.brief import as_text
from gpuprof.index.digest import UNKNOWN_MANY
from gpuprof.metrics import METRICS, Metric
from gpuprof.stats import Interval
from gpuprof.text import listed

CLAIMED = ("throughput_per_s", "latency_p50_s")
HEADLINE = "throughput_per_s"
AT_A_GLANCE = (HEADLINE, "energy_j_per_sample", "power_mean_w", "peak_memory_bytes")  # what buyers ask for first
LEAST = 0.05
ENOUGH = 0.8  # share of the cases below which no sentence may speak of the devices as such


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
class Gap:
    """A case that is in no verdict: on which side the cause lies (0: baseline), and what became of it."""

    position: int
    # An outcome of cases, "memory" where that was lacking, "wrong", "missing", or "unlike" where both sides have
    # results that are not alike.
    fate: str


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
    ledger: list[Entry]  # where the sides differ
    alike: list[Entry]  # what weighs on both of them alike
    machine_spread: float
    least: float = LEAST  # the smallest relative difference that matters to whoever asks
    plans: tuple[Plan, ...] = ()  # how many processes, runs or machines would show it
    means: Mapping[str, Effect] = field(default_factory=dict)  # by metric, over all workloads: the overall's weights

    @property
    def simulated(self) -> bool:
        """Whether any run of either side was simulated."""
        return True in self.baseline.simulated | self.candidate.simulated

    @property
    def failures(self) -> dict[str, str]:
        """What a gate may fail on, each with its cause in words.

        `slower` by `least` or more, overall or in some claim. `no-verdict` where the overall claim was not tested, or
        shows no difference and leaves `least` possible, or where a case that the baseline measured is in no verdict.
        """
        found = {}
        slower = [
            claim_.case for claim_ in (self.overall, *self.claims)
            if claim_.verdict == "slower" and claim_.ratio is not None
            and abs(math.log(claim_.ratio or 1.0)) >= math.log1p(self.least) * (1 - 1e-9)
        ]  # fmt: skip
        if slower:
            found["slower"] = f"slower by {100 * self.least:.3g}% or more: {listed(list(dict.fromkeys(slower)))}"
        interval = self.overall.interval
        wide = interval is None or max(abs(math.log(end)) for end in interval) > math.log1p(self.least)
        if self.overall.verdict is None or (self.overall.verdict == "no difference shown" and wide):
            found["no-verdict"] = f"the overall ratio does not rule out a difference of {100 * self.least:.3g}%"
        elif self.lost:
            found["no-verdict"] = f"cases of the baseline in no verdict: {listed(self.lost)}"
        return found

    @property
    def lost(self) -> list[str]:
        """Titles of cases that the baseline measured, and for which the candidate has nothing to compare."""
        paired = [case.title for case in self.cases if not case.pair.allowed and not _fate(case.pair.baseline)]
        return paired + titles.short([case.newest for case in self.only_baseline if not _fate(case)])

    @property
    def gaps(self) -> list[Gap]:
        """Cases that are in no verdict; a pair counts once."""
        gaps = []
        for case in self.cases:
            sides = (case.pair.baseline, case.pair.candidate)
            if not case.pair.allowed:
                fates = [(position, fate) for position, side in enumerate(sides) if (fate := _fate(side))]
                gaps.append(Gap(*(fates[0] if fates else (0, "unlike"))))
        return gaps + [Gap(1, "missing") for _ in self.only_baseline] + [Gap(0, "missing") for _ in self.only_candidate]

    @property
    def coverage(self) -> float:
        """Share of the cases of the side with more of them that are in a verdict."""
        cases = max(len(self.baseline.cases), len(self.candidate.cases))
        return sum(case.pair.allowed for case in self.cases) / cases if cases else 0.0

    @property
    def weakened_by(self) -> set[str]:
        """Keys of the entries that weaken the comparison."""
        return {entry.key for entry in (*self.ledger, *self.alike) if entry.weight == "weakens"}

    @property
    def blocked(self) -> list[Entry]:
        """Entries of the ledger that forbid a verdict, on the sides or on some pairs."""
        return [entry for entry in (*self.ledger, *self.alike) if entry.weight == "blocks"]


def _fate(case: CaseEvidence) -> str:
    """What keeps a case from every comparison; "" where nothing does."""
    if "ok" not in case.said["outcome"]:
        return "memory" if "out of memory" in (case.newest.reason or "") else case.newest.outcome
    return "wrong" if "wrong" in case.said["correctness"] else ""


def compare(
    baseline: Evidence, candidate: Evidence, *, vary: AbstractSet[str] = frozenset(),
    machine_spread: float = MACHINE_SPREAD, least: float = LEAST,
) -> Comparison:  # fmt: skip
    """Pair the cases of two sides, and say how they differ and what may be claimed of it.

    `vary` are case keys that differ on purpose. `machine_spread` is the coefficient of variation between machines of
    one model, added for each side that is one machine. `least` is the smallest relative difference that matters. The
    sides' machines are renamed in place (`evidence.unify`).
    """
    unify(baseline, candidate)
    pairing = pair(baseline, candidate, vary)
    case_titles = titles.short([p.baseline.newest for p in pairing.pairs])
    title_of = {id(p): title for p, title in zip(pairing.pairs, case_titles, strict=True)}
    entries, alike = fairness.ledger(baseline, candidate, pairing.pairs, lambda p: title_of[id(p)], set(vary))
    # What blocks the sides as a whole forbids each pair.
    veto = next(
        (e.why for e in (*entries, *alike) if e.weight == "blocks" and not e.cases and e.why != fairness.NOTHING), ""
    )
    pairs = [replace(p, reasons=(*p.reasons, veto)) if veto else p for p in pairing.pairs]
    cases = [_compared(p, title, machine_spread) for p, title in zip(pairs, case_titles, strict=True)]
    claims = [_claim(case, metric) for case in cases for metric in CLAIMED]
    claims += _best_batches(baseline, candidate, cases, machine_spread)
    overall, claims = tested(_overall(cases, machine_spread), claims)
    means = {key: mean for key in AT_A_GLANCE if (mean := _mean(cases, key, machine_spread)) is not None}
    return Comparison(
        baseline, candidate, tuple(sorted(vary)), cases, pairing.only_baseline, pairing.only_candidate,
        claims, overall, entries, alike, machine_spread, least, tuple(plans(overall, pairs, least)), means,
    )  # fmt: skip


def _compared(p: Pair, title: str, machine_spread: float) -> Compared:
    differences = {m.key: difference(p, m, machine_spread) for m in METRICS}
    return Compared(title, p, differences, _break_even(p))


def difference(p: Pair, metric: Metric, machine_spread: float) -> Difference:
    """Both sides' values of one metric and, where it means anything, their ratio."""
    baseline, candidate = side(p.baseline, metric), side(p.candidate, metric)
    if isinstance(baseline.value, Absent) or isinstance(candidate.value, Absent) or not metric.ratio:
        return Difference(metric.key, baseline, candidate, None)
    if metric.key == "peak_memory_bytes" and p.baseline.said["memory_scope"] != p.candidate.said["memory_scope"]:
        return Difference(metric.key, baseline, candidate, None)  # the ledger says what each covers
    effect = ratios.of_pair(p, metric.key, machine_spread)
    if effect is not None:
        if metric.sensed:
            effect = replace(effect, gain=_gain(p, metric.key))
        return Difference(metric.key, baseline, candidate, effect)
    if min(baseline.value, candidate.value) <= 0:  # energy above idle may be less than nothing
        return Difference(metric.key, baseline, candidate, None)
    runs = [len(case.values(metric.key)) for case in (p.baseline, p.candidate)]
    log = math.log(candidate.value / baseline.value)
    return Difference(metric.key, baseline, candidate, Effect(log, "run", runs[0], runs[1]))


def _gain(p: Pair, metric: str) -> Error:
    """Of both sides' sensors. The same machines have the same sensors, whose errors cancel out.

    Cards of one model need not be off by the same, and more of them not by less: a part of it is the model's.
    """
    levels = [case.level(metric) for case in (p.baseline, p.candidate)]
    if levels[0] is not None and levels[1] is not None and levels[0].names == levels[1].names:
        return Error()
    return Error(math.hypot(p.baseline.gain, p.candidate.gain))


def side(case: CaseEvidence, metric: Metric) -> Side:
    """The case's value of the metric, with an interval where its processes or runs allow one."""
    if metric.sensed and case.sharing > 1:
        many = f"{UNKNOWN_MANY} of" if math.isinf(case.sharing) else f"{case.sharing:g}"
        return Side(Absent(f"its sensor measures {many} devices or partitions together"), unit="run")
    level = case.level(metric.key)
    if level is not None:
        interval = level.interval(case.gain if metric.sensed else 0.0)
        return Side(math.exp(level.mean), interval, level.units, level.unit)
    value = typical(case, metric.key)
    if value is None:
        return Side(Absent(case.newest.absent.get(metric.key, "")), unit="run")
    return Side(value, None, len(case.values(metric.key)), "run")


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
    reason = "; ".join(p.reasons)
    if not reason and difference.effect is None:
        values = (difference.baseline.value, difference.candidate.value)
        reason = next((v.reason for v in values if isinstance(v, Absent) and v.reason), "not measured")
    complete = None not in (p.baseline.level(metric), p.candidate.level(metric))
    return claim(p.baseline.newest.workload, case.title, metric, "iso-batch", difference.effect,
                 reason=reason, complete=complete)  # fmt: skip


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
        # The effect of a pair that is there already is taken as it is: `tested` knows the two claims by it.
        as_pair = next((c for c in cases if c.pair.baseline is left and c.pair.candidate is right), None)
        effect = as_pair.differences[HEADLINE].effect if as_pair is not None else None
        if effect is None and levels[0] is not None and levels[1] is not None:
            # Of the machine's change only pairs know; the largest of theirs.
            shift = max(abs(c.pair.shift) for c in cases)
            effect = replace(between(levels[0], levels[1], machine_spread=machine_spread), shift=shift)
        if effect is None:
            continue
        newest = left.newest
        title = f"{newest.workload} · {newest.mode} · best batch, {newest.batch_size} against {right.newest.batch_size}"
        claims[works] = claim(newest.workload, title, HEADLINE, "best-batch", effect)
    return list(claims.values())


def _unbatched(case: CaseEvidence) -> tuple[str, ...]:
    """The work apart from its batch size."""
    fields = (as_text(value) for name, value in case.fields.items() if name != "batch_size")
    return (*(str(case.static.data[name]) for name in ("workload", *WORK)), *fields)


def _ranked(case: CaseEvidence) -> bool:
    """Whether the case may be its side's fastest."""
    good = "ok" in case.said["outcome"] and "wrong" not in case.said["correctness"]
    return good and case.level(HEADLINE) is not None


def _overall(cases: Sequence[Compared], machine_spread: float) -> Claim:
    """Geometric mean of throughput over workloads, for this set of workloads."""
    workloads = sorted({case.pair.baseline.newest.workload for case in _with(cases, HEADLINE)})
    if not workloads:
        reason = "no two cases can be compared" if cases else "the sides have no case in common"
        return claim("all", "all workloads", HEADLINE, "all workloads", None, reason=reason)
    title = f"{len(workloads)} workloads" if len(workloads) > 1 else workloads[0]
    return claim("all", title, HEADLINE, "all workloads", _mean(cases, HEADLINE, machine_spread))


def _mean(cases: Sequence[Compared], metric: str, machine_spread: float) -> Effect | None:
    """Geometric mean of a metric's ratios over workloads, each workload with the same weight; None without any."""
    by_workload: dict[str, list[tuple[Pair, Effect]]] = {}
    for case in _with(cases, metric):
        effect = case.differences[metric].effect
        assert effect is not None
        by_workload.setdefault(case.pair.baseline.newest.workload, []).append((case.pair, effect))
    if not by_workload:
        return None
    # A workload's cases share its weight, so that the weights sum to 1.
    weighted = [(*case, 1 / len(by_workload) / len(each)) for each in by_workload.values() for case in each]
    gains = [effect.gain for _, effect, _ in weighted]
    # One sensor's gain is the same in all cases: averaging them makes it no smaller.
    return replace(ratios.over_all(weighted, metric, machine_spread), gain=max(gains, key=lambda gain: gain.se))


def _with(cases: Sequence[Compared], metric: str) -> list[Compared]:
    """The cases whose pairs may be compared, and have a ratio of the metric."""
    return [case for case in cases if case.pair.allowed and case.differences[metric].effect is not None]
