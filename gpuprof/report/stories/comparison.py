"""The story of a comparison. SECTIONS is its table of contents: `blocks` of each file in sections/."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gpuprof
from gpuprof.analysis.compare import Comparison
from gpuprof.analysis.names import names
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.hues import hues
from gpuprof.report.sections import cases, charts, costs, details, fairness, method, verdict
from gpuprof.report.sections.subject import TONES, Subject
from gpuprof.report.stories.answer import answer
from gpuprof.report.stories.glance import glance
from gpuprof.report.story import Block, Section, Story
from gpuprof.report.terms import glossary
from gpuprof.report.wording import SIMULATED, percent
from gpuprof.text import plural

# Plurals of units of inference that take more than an -s.
_UNITS = {"process": "processes", "pair of processes": "pairs of processes", "mixed": "units of different kinds"}


def story(comparison: Comparison, now: str, timeline: Timeline | None = None, again: str = "") -> Story:
    """A comparison as a report, made at the time `now` (ISO 8601). Without a timeline that chart is left out.

    `again` is the command that makes it once more.
    """
    sides = (comparison.baseline, comparison.candidate)
    vendors = [next(iter(sorted(map(str, side.vendors))), "") for side in sides]
    subject = Subject(comparison, names(*sides), (*hues(vendors),), timeline or Timeline())  # type: ignore[arg-type]
    sections = [Section(key, title, list(blocks(subject))) for key, title, blocks in SECTIONS]
    overall, told = comparison.overall, answer(comparison, subject.names)
    simulated = " and ".join(sorted({side.device for side in sides if True in side.simulated}))
    return Story(
        title=f"{subject.names[1]} against {subject.names[0]}",
        headline=told.first,
        detail=told.numbers,
        tone="warn" if not overall.allowed else TONES[overall.verdict],
        left_out=sorted({*sides[0].skipped, *sides[1].skipped}),
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[*(section for section in sections if section.blocks), glossary()],
        made=f"gpuprof {gpuprof.__version__}, {now}, from the records of "
        f"{' and '.join(plural(len(side.runs), 'run') for side in sides)}",
        facts=[("Inference", _inference(comparison))],
        glance=glance(subject, told.weak, told.plan),
        again=again,
    )  # fmt: skip


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
    alike = sides[0].machines.keys() == sides[1].machines.keys() or not comparison.machine_spread
    days = "other days" if alike else "other machines and days"
    spread = f"; includes {percent(claim.spread)} on the ratio for {days}" if claim.spread else ""
    return f"{counts}{spread}"


SECTIONS: tuple[tuple[str, str, Callable[[Subject], Iterable[Block]]], ...] = (
    ("cases", "Case by case", cases.blocks),
    ("charts", "Charts", charts.blocks),
    ("costs", "Energy and one-time costs", costs.blocks),
    ("verdict", "Verdicts", verdict.blocks),
    ("fairness", "Fairness ledger", fairness.blocks),
    ("details", "Every metric of every case", details.blocks),
    ("raw", "Raw numbers and method", method.blocks),
)
