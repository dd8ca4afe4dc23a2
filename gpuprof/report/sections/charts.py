"""Charts of the claims, and of every case that may be compared."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.report.charts import pictures
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block


def blocks(subject: Subject) -> Iterable[Block]:
    cases = [
        (case.title, name, evidence)
        for case in subject.found.cases if case.pair.allowed
        for name, evidence in zip(subject.names, (case.pair.baseline, case.pair.candidate), strict=True)
    ]  # fmt: skip
    yield from pictures.of_claims((subject.found.overall, *subject.found.claims), subject.names)
    yield from pictures.of_cases(cases, subject.names, subject.timeline, "each side's")
