"""Charts of the claims, and of all cases that may be compared."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.report.charts import pictures
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block


def blocks(subject: Subject) -> Iterable[Block]:
    """The forest plot of ratios, then the charts of both sides that there are numbers for."""
    cases = [
        (case.title, name, evidence)
        for case in subject.comparison.cases if case.pair.allowed
        for name, evidence in zip(subject.names, (case.pair.baseline, case.pair.candidate), strict=True)
    ]  # fmt: skip
    colours = dict(zip(subject.names, subject.hues, strict=True))
    yield from pictures.of_claims((subject.comparison.overall, *subject.comparison.claims), colours)
    yield from pictures.of_cases(cases, colours, subject.timeline, "each side's")
