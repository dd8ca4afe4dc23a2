"""The first line of a comparison: no more than the data carry, and what weighs on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import ENOUGH, HEADLINE, Compared, Comparison
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.report.wording import change, confidence, percent, tells_nothing, times, times_interval
from gpuprof.text import listed, plural

_ALONE = 0.8  # a workload that gives so much of the mean's logarithm is the mean
# Rows of the ledger that say what was measured rather than how well, the heaviest first, and how a sentence names them.
_HEAVY = (
    ("partition", "a partition is compared"), ("yardstick", "the machine itself changed between the sides"),
    ("throttled", "a device was throttled"),
    ("power limit", "a power limit is not, or not known to be, its default"),
    ("correctness", "some results are inexact or unchecked"),
    ("regime", "some cases are host-bound"), ("host busy", "other work used the host"),
    ("quick protocol", "runs are quick ones"), ("steady", "some cases were not steady"),
)  # fmt: skip
_HEAVIEST = 2
_FATES = {
    "memory": "ran out of memory on {side}", "wrong": "wrong on {side}", "failed": "failed on {side}",
    "unsupported": "unsupported on {side}", "not_run": "not run on {side}", "missing": "not run on {side}",
    "unlike": "not alike on both sides",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A sentence each, "" where there is nothing to say."""

    first: str  # the answer itself
    numbers: str
    plan: str = ""  # what would settle it
    weak: str = ""  # what weighs on it

    @property
    def whole(self) -> str:
        """All of it."""
        return _joined(self.first, self.numbers, self.plan, self.weak)


def answer(comparison: Comparison, sides: tuple[str, str]) -> Answer:
    """The answer, its numbers, and what weighs on it. `sides` are the names of baseline and candidate."""
    overall, candidate = comparison.overall, sides[1]
    gaps, weak = _gaps(comparison, sides), _weaknesses(comparison)
    if not overall.allowed or overall.ratio is None:
        return Answer(f"No verdict: {overall.reason}.", gaps)
    scope = f"over {overall.case}" if overall.case[0].isdigit() else f"on {overall.case}"
    numbers = f"{times(overall.ratio)} the throughput {scope}"
    if overall.interval is None or overall.verdict is None:
        return Answer(f"No verdict: {overall.reason}.", _joined(f"{candidate} showed {numbers}.", gaps), weak=weak)
    numbers = f"{numbers}, {confidence(overall)} interval {times_interval(overall.interval)}"
    first, second = _verdict(comparison, sides, numbers)
    plan = planned(comparison) if overall.verdict == "no difference shown" else ""
    return Answer(first, _joined(second, gaps), plan, weak)


_PLANS = {
    "processes": "processes a side in the same runs", "turns": "processes a side that take turns in one run",
    "runs": "runs a side, each on a day of its own", "machines": "machines a side",
}  # fmt: skip


def planned(comparison: Comparison) -> str:
    """What would show a difference that matters, where this comparison could hardly; "" where it could."""
    mde = comparison.overall.mde
    if mde is None or mde <= comparison.least:
        return ""
    ways = [
        f"{plan.needed} {_PLANS[plan.what]}" + (f" (now {plan.now})" if plan.now else "")
        for plan in comparison.plans if plan.needed is not None
    ]  # fmt: skip
    return f"To show {percent(comparison.least)}: {', or '.join(ways)}." if ways else ""


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _verdict(comparison: Comparison, sides: tuple[str, str], numbers: str) -> tuple[str, str]:
    """The answer where the overall claim was tested, and its numbers."""
    overall, (baseline, candidate) = comparison.overall, sides
    workloads, agreeing = _workloads(comparison), _agreeing(comparison)
    if split := _split(comparison, candidate):
        return split, f"Overall: {numbers}."
    none_shown = overall.verdict == "no difference shown"
    assert overall.interval is not None
    low, high = overall.interval
    if none_shown:
        numbers = f"{numbers}; MDE {percent(overall.mde or 0.0)}"
    alone = _alone(comparison)
    if comparison.coverage < ENOUGH:
        few = f"Only {_compared(comparison)} can be compared."
        if none_shown:
            return few, f"There no difference was shown between {baseline} and {candidate}: {numbers}."
        with_host = "With its host, " if _all_host_bound(comparison) else "There "
        mean = f"That mean is {alone} alone." if alone else ""
        return few, _joined(f"{with_host}{candidate} was {overall.verdict} than {baseline}: {numbers}.", mean)
    if none_shown:
        room = f"{candidate} may be {change(low)} or {change(high)} than {baseline}"
        nothing = f"these runs do not tell {candidate} from {baseline}"
        return f"Too close to call: {nothing if tells_nothing((low, high)) else room}.", f"{numbers}."
    if _all_host_bound(comparison):
        first = "These runs compare hosts: every case is bound by its CPU."
        return first, f"With its host, {candidate} was {overall.verdict} than {baseline}: {numbers}."
    if len(workloads) > 1 and (alone or 2 * len(agreeing) <= len(workloads)):
        rest = len(workloads) - len(agreeing)
        of = f"in {len(agreeing)} of {len(workloads)} workloads" + (f" ({listed(agreeing)})" if agreeing else "")
        first = f"{candidate} is {overall.verdict} than {baseline} {of}, no difference shown in {rest}."
        return first, _joined(f"Overall: {numbers}.", f"That mean is {alone} alone." if alone else "")
    also = "" if len(agreeing) == len(workloads) else f", {overall.verdict} in {len(agreeing)} of {len(workloads)}"
    least, most = sorted((abs(low - 1), abs(high - 1)))
    by = f"by {percent(least)} to {percent(most)}"
    return f"{candidate} is {overall.verdict} than {baseline}, {by}.", f"{numbers}{also}."


def _iso(comparison: Comparison) -> list[Claim]:
    return [c for c in comparison.claims if c.metric == HEADLINE and c.view == "iso-batch" and c.allowed]


def _workloads(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(claim.workload for claim in _iso(comparison)))


def _agreeing(comparison: Comparison) -> list[str]:
    """Workloads in which some case has the overall verdict; with one workload, that one."""
    verdict, workloads = comparison.overall.verdict, _workloads(comparison)
    if len(workloads) == 1:
        return workloads
    return list(dict.fromkeys(claim.workload for claim in _iso(comparison) if claim.verdict == verdict))


def _alone(comparison: Comparison) -> str:
    """The workload that makes the mean what it is, although there are others; else ""."""
    logs: dict[str, list[float]] = {}
    for claim in _iso(comparison):
        if claim.ratio:
            logs.setdefault(claim.workload, []).append(math.log(claim.ratio))
    means = {workload: math.fsum(each) / len(each) for workload, each in logs.items()}
    total = math.fsum(means.values())
    most = max(means, key=lambda workload: abs(means[workload]), default="")
    return most if len(means) > 1 and abs(means[most]) >= _ALONE * abs(total) and means[most] * total > 0 else ""


def _split(comparison: Comparison, candidate: str) -> str:
    """The answer where verdicts contradict each other; "" where they do not."""
    by_verdict = {verdict: [c.case for c in _iso(comparison) if c.verdict == verdict] for verdict in _OPPOSITE}
    opposite = _OPPOSITE.get(comparison.overall.verdict or "")
    if all(by_verdict.values()) or (opposite and by_verdict[opposite]):
        parts = (f"{verdict} on {listed(cases)}" for verdict, cases in by_verdict.items() if cases)
        return f"It depends: {candidate} is {', and '.join(parts)}."
    for best in (c for c in comparison.claims if c.view == "best-batch" and c.verdict in _OPPOSITE):
        against = [c for c in _iso(comparison) if c.workload == best.workload and c.verdict == _OPPOSITE[best.verdict]]
        if against and best.ratio and against[0].ratio:
            return (
                f"It depends on the batch size: {candidate} is {against[0].verdict} on {against[0].case} "
                f"({times(against[0].ratio)}), and {best.verdict} with each side at its best ({times(best.ratio)})."
            )
    return ""


_OPPOSITE: dict[str | None, str] = {"faster": "slower", "slower": "faster"}


def _all_host_bound(comparison: Comparison) -> bool:
    cases = [
        side for case in comparison.cases if case.pair.allowed for side in (case.pair.baseline, case.pair.candidate)
    ]
    return bool(cases) and all(case.said["regime"] == {"host-bound"} for case in cases)


def _compared(comparison: Comparison) -> str:
    """How many of the workloads can be compared, or of the cases where it is not workloads that are missing."""
    everything = [*_sides(comparison)]
    workloads = {case.newest.workload for case, _, _ in everything}
    done = {case.pair.baseline.newest.workload for case in comparison.cases if case.pair.allowed}
    if len(done) < len(workloads):
        return f"{len(done)} of {plural(len(workloads), 'workload')}"
    allowed = sum(case.pair.allowed for case in comparison.cases)
    return f"{allowed} of {plural(allowed + len(comparison.gaps), 'case')}"


def _sides(comparison: Comparison) -> Iterator[tuple[CaseEvidence, int, Compared | None]]:
    """Every case of a side once, with the position of its side, and its pair if it has one."""
    for case in comparison.cases:
        yield case.pair.baseline, 0, case
        yield case.pair.candidate, 1, case
    for position, only in enumerate((comparison.only_baseline, comparison.only_candidate)):
        for case_ in only:
            yield case_, position, None


def _gaps(comparison: Comparison, sides: tuple[str, str]) -> str:
    """What is missing from the comparison and why, in a sentence; "" where nothing is."""
    fates: Counter[str] = Counter()
    for gap in comparison.gaps:
        fates[_FATES[gap.fate].format(side=sides[gap.position])] += 1
    if not fates:
        return ""
    named = [f"{count} {fate}" if len(fates) > 1 else fate for fate, count in fates.most_common()]
    return f"Not compared: {plural(sum(fates.values()), 'case')} ({listed(named)})."


def _weaknesses(comparison: Comparison) -> str:
    """The heaviest rows of the ledger as a clause; "" where there are none."""
    weak = comparison.weakened_by
    heavy = [words for key, words in _HEAVY if key in weak and not (key == "regime" and _all_host_bound(comparison))]
    return f"Weakened: {'; '.join(heavy[:_HEAVIEST])}." if heavy else ""
