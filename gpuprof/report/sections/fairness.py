"""The fairness ledger: every difference between the sides, and how much it weighs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Bullets, Cell, Notice, Table, Tone
from gpuprof.report.wording import NONE
from gpuprof.text import listed, plural, shortened

_ABOUT = {"speed and energy": "both"}  # of the two, for a narrow column
_WEIGHTS: dict[str, Tone] = {"blocks": "bad", "weakens": "warn", "noted": "dim"}


def blocks(subject: Subject) -> Iterable[Block]:
    """The ledger as a table, cases that one side lacks, records that could not be read."""
    compared, count = subject.comparison, len(subject.comparison.cases)
    if compared.ledger:
        yield Table(
            "All differences between the sides", ("weight", "of", "what", *subject.names, "why it matters", "case"),
            [
                [Cell(e.weight, _WEIGHTS[e.weight]), Cell(_ABOUT.get(e.about, e.about)), Cell(e.key),
                 *(Cell(shortened(side or NONE, 200)) for side in (e.baseline, e.candidate)), Cell(e.why),
                 Cell(_about(e.cases, count), "dim")]
                for e in compared.ledger
            ],
        )  # fmt: skip
    else:
        yield Notice("The sides differ only in their devices.", "good")
    if compared.alike:
        yield Notice("On both sides alike:", "warn")
        yield Bullets([f"{e.key}: {shortened(e.baseline or NONE, 200)} ({e.why})" for e in compared.alike])
    for name, cases in ((subject.names[0], compared.only_baseline), (subject.names[1], compared.only_candidate)):
        if cases:
            yield Notice(f"Only on {name}: " + listed([case.newest.case_id for case in cases], 10), "dim")
    if skipped := {*compared.baseline.skipped, *compared.candidate.skipped}:
        yield Notice(f"{plural(len(skipped), 'record')} left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(skipped)[:20]])


def _about(cases: Sequence[str], count: int) -> str:
    """The cases that an entry concerns, of `count` in all; an entry without cases concerns the whole side."""
    return "all" if not cases or len(cases) == count else listed(cases, 4)
