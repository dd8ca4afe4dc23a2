"""The story of a comparison. SECTIONS is its table of contents; each has `blocks`, of the subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gpuprof
from gpuprof.analysis.compare import HEADLINE, Claim, Comparison
from gpuprof.analysis.evidence import Evidence
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.sections import cases, charts, decision, fairness, method, verdict
from gpuprof.report.sections.subject import TONES, Subject, names
from gpuprof.report.story import Block, Section, Story
from gpuprof.report.wording import SIMULATED, percent, times, times_interval
from gpuprof.text import listed, plural, shortened

_UNITS = {"process": "processes", "run": "runs", "machine": "machines", "pair of processes": "pairs of processes"}


def story(found: Comparison, now: str, timeline: Timeline | None = None) -> Story:
    """`now` is the time of making it (ISO 8601)."""
    subject = Subject(found, names(found.baseline, found.candidate), timeline or Timeline())
    sections = [Section(key, title, list(tell(subject))) for key, title, tell in SECTIONS]
    overall, (answer, numbers) = found.overall, headline(found, subject.names)
    simulated = " and ".join(sorted({s.device for s in (found.baseline, found.candidate) if True in s.simulated}))
    return Story(
        title=f"{subject.names[1]} against {subject.names[0]}",
        headline=answer,
        detail=numbers,
        tone="warn" if not overall.allowed else TONES[overall.verdict],
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from the records of "
        f"{plural(len(found.baseline.runs), 'run')} and {plural(len(found.candidate.runs), 'run')}",
        facts=[("Baseline", _side_facts(found.baseline)),
               ("Candidate", _side_facts(found.candidate)), ("Inference", _inference(overall))],
    )  # fmt: skip


def headline(found: Comparison, sides: tuple[str, str]) -> tuple[str, str]:
    """The answer in one sentence, and its numbers."""
    overall, (one, other) = found.overall, sides
    if not overall.allowed or overall.ratio is None:
        return f"No verdict: {overall.reason}.", ""
    scope = f"over {overall.case}" if overall.case[0].isdigit() else f"on {overall.case}"
    numbers = f"{times(overall.ratio)} the throughput {scope}"
    if overall.ci95 is None:
        return f"No verdict: {overall.reason}.", f"{other} showed {numbers}."
    interval = f"95% interval {times_interval(overall.ci95)}"
    if split := _split(found, other):
        return split, f"Over all: {numbers}, {interval}."
    if overall.verdict == "no difference shown":
        low, high = overall.ci95
        room = f"anything from {low - 1:+.0%} to {high - 1:+.0%} remains possible; MDE {percent(overall.mde or 0.0)}"
        return f"No difference shown between {one} and {other}.", f"{numbers}, {interval}: {room}."
    return f"{other} is {overall.verdict} than {one}.", f"{numbers}, {interval}."


def _split(found: Comparison, other: str) -> str:
    """Where cases have verdicts that contradict each other, or the whole: no one word would be true."""
    made = [c for c in found.claims if c.metric == HEADLINE and c.view == "iso-batch"]
    words = {w: [c.case for c in made if c.verdict == w] for w in ("faster", "slower")}
    contradicted = {"faster": "slower", "slower": "faster"}.get(found.overall.verdict or "")
    if all(words.values()) or (contradicted and words[contradicted]):
        said = (f"{word} on {listed(cases)}" for word, cases in words.items() if cases)
        return f"It depends: {other} is {', and '.join(said)}."
    return ""


def _side_facts(side: Evidence) -> str:
    parts = [side.device, "" if side.text == side.device else shortened(side.text), plural(len(side.runs), "run")]
    parts.append(f"on {plural(len(side.machines), 'machine')}")
    if torch := side.facts.get("torch"):
        parts.append("torch " + listed(sorted(torch)))
    if driver := side.facts.get("driver_version"):
        parts.append("driver " + listed(sorted(driver)))
    return " · ".join(part for part in parts if part)


def _inference(claim: Claim) -> str:
    if not claim.unit:
        return "none"
    unit = _UNITS.get(claim.unit, claim.unit)
    counts = (
        f"{claim.units[0]} {unit}"
        if claim.unit == "pair of processes"
        else f"{claim.units[0]} and {claim.units[1]} {unit}"
    )
    spread = f", with {percent(claim.spread)} added for what they cannot show" if claim.spread else ""
    return f"{counts}{spread}"


SECTIONS: tuple[tuple[str, str, Callable[[Subject], Iterable[Block]]], ...] = (
    ("verdict", "Verdict", verdict.blocks),
    ("decision", "Decision numbers", decision.blocks),
    ("fairness", "Fairness ledger", fairness.blocks),
    ("cells", "Case by case", cases.blocks),
    ("charts", "Charts", charts.blocks),
    ("raw", "Raw numbers and method", method.blocks),
)
