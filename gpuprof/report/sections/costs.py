"""What the energies cover and their systematic errors; when a longer first step has paid off."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.absent import Absent
from gpuprof.analysis.compare import HEADLINE, BreakEven
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Bullets, Notice
from gpuprof.report.wording import percent
from gpuprof.text import listed

_JOULES = "energy_j_per_sample"


def blocks(subject: Subject) -> Iterable[Block]:
    """The energies' systematic errors, or why none is compared; break-even."""
    compared = subject.comparison
    if all(case.differences[_JOULES].effect is None for case in compared.cases):
        pairs = [case.differences[_JOULES] for case in compared.cases]
        energies = [side.value for pair in pairs for side in (pair.baseline, pair.candidate)]
        reasons = sorted({value.reason for value in energies if isinstance(value, Absent) and value.reason})
        yield Notice(f"Energy is not compared: {'; '.join(reasons) or 'not measured on both sides'}.", "dim")
    else:
        yield Notice(_sensors(subject), "dim")
    # One-time costs pay off through a difference in speed; where none was shown there is no break-even.
    decided = {c.case for c in compared.claims if c.metric == HEADLINE and c.verdict in ("faster", "slower")}
    paid = [f"{case.title}: {_break_even(case.break_even)}" for case in compared.cases if case.title in decided]
    if paid:
        yield Notice("First step and break-even: steps until one-time tuning and compilation pay for themselves.")
        yield Bullets(paid)


def _break_even(even: BreakEven | Absent) -> str:
    return even.reason if isinstance(even, Absent) else f"{even.steps:,.0f} {even.says}"


def _sensors(subject: Subject) -> str:
    """What the energies cover, and their sensors' gain errors."""
    comparison, parts = subject.comparison, []
    same = comparison.baseline.machines.keys() == comparison.candidate.machines.keys()
    for name, side in zip(subject.names, (comparison.baseline, comparison.candidate), strict=True):
        gains = {case.gain for case in side.cases.values()}
        unknown = any(None in case.gains for case in side.cases.values())
        scope = listed(sorted(side.facts.get("scope", {}))) or "unknown"
        why = ", assumed: nobody has published a comparison with a meter" if unknown else ""
        gain = "" if same else f", sensor gain ± {percent(max(gains))} (one standard deviation{why})"
        parts.append(f"{name} covers {scope}{gain}")
    how = "the same sensors on both sides, so their gain errors cancel out" if same else (
        "intervals include the sensors' gain errors, which more runs do not reduce"
    )  # fmt: skip
    return f"Energy: {how}; {'; '.join(parts)}."
