"""The story of a comparison. SECTIONS is its table of contents: `blocks` of each file in sections/."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gpuprof
from gpuprof.analysis.compare import HEADLINE, Comparison
from gpuprof.analysis.evidence import Evidence
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.sections import cases, charts, decision, fairness, method, verdict
from gpuprof.report.sections.subject import TONES, Subject, names
from gpuprof.report.story import Block, Section, Story
from gpuprof.report.wording import SIMULATED, percent, times, times_interval
from gpuprof.text import listed, plural, shortened

# Plurals of units of inference that take more than an -s.
_UNITS = {"process": "processes", "pair of processes": "pairs of processes", "mixed": "units of different kinds"}


def story(comparison: Comparison, now: str, timeline: Timeline | None = None) -> Story:
    """A comparison as a report, made at the time `now` (ISO 8601). Without a timeline that chart is left out."""
    subject = Subject(comparison, names(comparison.baseline, comparison.candidate), timeline or Timeline())
    sections = [Section(key, title, list(blocks(subject))) for key, title, blocks in SECTIONS]
    overall, (answer, numbers) = comparison.overall, headline(comparison, subject.names)
    sides = (comparison.baseline, comparison.candidate)
    simulated = " and ".join(sorted({side.device for side in sides if True in side.simulated}))
    return Story(
        title=f"{subject.names[1]} against {subject.names[0]}",
        headline=answer,
        detail=numbers,
        tone="warn" if not overall.allowed else TONES[overall.verdict],
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from the records of "
        f"{' and '.join(plural(len(side.runs), 'run') for side in sides)}",
        facts=[("Baseline", _side_facts(sides[0])), ("Candidate", _side_facts(sides[1])),
               ("Inference", _inference(comparison))],
    )  # fmt: skip


def headline(comparison: Comparison, sides: tuple[str, str]) -> tuple[str, str]:
    """The answer in one sentence, and its numbers in another ("" if there are none).

    `sides` are the names of baseline and candidate.
    """
    overall, (baseline, candidate) = comparison.overall, sides
    if not overall.allowed or overall.ratio is None:
        return f"No verdict: {overall.reason}.", ""
    scope = f"over {overall.case}" if overall.case[0].isdigit() else f"on {overall.case}"
    numbers = f"{times(overall.ratio)} the throughput {scope}"
    if overall.ci95 is None:
        return f"No verdict: {overall.reason}.", f"{candidate} showed {numbers}."
    interval = f"95% interval {times_interval(overall.ci95)}"
    if split := _split(comparison, candidate):
        return split, f"Overall: {numbers}, {interval}."
    if overall.verdict == "no difference shown":
        low, high = overall.ci95
        room = f"anything from {low - 1:+.0%} to {high - 1:+.0%} is possible; MDE {percent(overall.mde or 0.0)}"
        return f"No difference shown between {baseline} and {candidate}.", f"{numbers}, {interval}: {room}."
    return f"{candidate} is {overall.verdict} than {baseline}.", f"{numbers}, {interval}."


def _split(comparison: Comparison, candidate: str) -> str:
    """The answer where cases' verdicts contradict each other or the overall one; "" where they do not."""
    claims = [c for c in comparison.claims if c.metric == HEADLINE and c.view == "iso-batch"]
    by_verdict = {verdict: [c.case for c in claims if c.verdict == verdict] for verdict in ("faster", "slower")}
    opposite = {"faster": "slower", "slower": "faster"}.get(comparison.overall.verdict or "")
    if all(by_verdict.values()) or (opposite and by_verdict[opposite]):
        parts = (f"{verdict} on {listed(cases)}" for verdict, cases in by_verdict.items() if cases)
        return f"It depends: {candidate} is {', and '.join(parts)}."
    return ""


def _side_facts(side: Evidence) -> str:
    parts = [side.device, "" if side.text == side.device else shortened(side.text), plural(len(side.runs), "run")]
    parts.append(plural(len(side.machines), "machine"))
    if torch := side.facts.get("torch"):
        parts.append("torch " + listed(sorted(torch)))
    if driver := side.facts.get("driver_version"):
        parts.append("driver " + listed(sorted(driver)))
    return " · ".join(part for part in parts if part)


def _inference(comparison: Comparison) -> str:
    """The units that the overall claim rests on, with their number on each side."""
    claim, sides = comparison.overall, (comparison.baseline, comparison.candidate)
    if not claim.unit:
        return "none"
    kinds = claim.unit.split(" | ")
    baseline, candidate = (
        plural(count, kind, _UNITS.get(kind, ""))
        for count, kind in zip(claim.units, (kinds[0], kinds[-1]), strict=True)
    )
    if claim.unit.startswith("pair"):
        counts = baseline
    elif baseline == candidate:
        counts = f"{baseline} per side"
    else:
        counts = f"{claim.units[0] if len(kinds) == 1 else baseline} and {candidate}"
    differ = "run-to-run" if len({name for side in sides for name in side.machines}) == 1 else "machine-to-machine"
    spread = f"; includes {percent(claim.spread)} for {differ} variation" if claim.spread else ""
    return f"{counts}{spread}"


SECTIONS: tuple[tuple[str, str, Callable[[Subject], Iterable[Block]]], ...] = (
    ("verdict", "Verdict", verdict.blocks),
    ("decision", "Decision numbers", decision.blocks),
    ("fairness", "Fairness ledger", fairness.blocks),
    ("cells", "Case by case", cases.blocks),
    ("charts", "Charts", charts.blocks),
    ("raw", "Raw numbers and method", method.blocks),
)
