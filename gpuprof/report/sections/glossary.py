"""The words of a report, explained."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Cell, Table
from gpuprof.report.terms import TERMS


def blocks(subject: Subject) -> Iterable[Block]:
    """All terms, folded: they are for those who look for one."""
    rows = [
        [Cell(term, "strong"), Cell(meaning)] for term, meaning in sorted(TERMS.items(), key=lambda t: t[0].lower())
    ]
    yield Table("Terms", ("term", "meaning"), rows, folded=True)
