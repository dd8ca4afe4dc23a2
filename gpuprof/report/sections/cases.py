"""One row a case, with both sides in it; those without a shown difference folded where there are many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpuprof.absent import Absent
from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import HEADLINE, Compared
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Cell, Dots, Table, without_empty
from gpuprof.report.wording import NONE, number, ratio, times, times_interval
from gpuprof.units import show

_MANY = 8
_BESIDE = ("energy_j_per_sample", "power_mean_w", "peak_memory_bytes")


def blocks(subject: Subject) -> Iterable[Block]:
    """The cases that may be compared, decided ones first."""
    claims = {c.case: c for c in subject.comparison.claims if c.metric == HEADLINE and c.view == "iso-batch"}
    cases = [case for case in subject.comparison.cases if case.pair.allowed]
    decided = [case for case in cases if _verdict(claims.get(case.title)) in ("faster", "slower")]
    rest = [case for case in cases if case not in decided]
    if not decided or len(cases) <= _MANY:
        decided, rest = decided + rest, []
    sides = [f"{name}, samples/s" for name in subject.names]
    heads = ("case", *sides, "processes", "speed", "verdict", "energy", "power", "memory")
    for caption, folded, some in (
        (f"Throughput of {subject.names[1]} over {subject.names[0]}", False, decided),
        ("Cases without a shown difference", True, rest),
    ):
        if some:
            rows = [_row(case, claims.get(case.title), subject) for case in some]
            yield without_empty(Table(caption, heads, rows, folded=folded))


def _row(case: Compared, claim: Claim | None, subject: Subject) -> Sequence[Cell]:
    rate = case.differences[HEADLINE]
    sides = [
        replace(number(side.value, "", side.ci95, terse=True), hue=hue)
        for side, hue in zip((rate.baseline, rate.candidate), subject.hues, strict=True)
    ]
    verdict = _verdict(claim)
    won = {"faster": 1, "slower": 0}.get(verdict)
    word = f"{subject.names[won]} faster" if won is not None else verdict or NONE
    hue = subject.hues[won] if won is not None else ""
    dots = [
        Dots(side.newest.processes.get(HEADLINE, ()), hue)
        for side, hue in zip((case.pair.baseline, case.pair.candidate), subject.hues, strict=True)
    ]
    return [
        Cell(case.title), *sides, Cell("", dots=dots if any(each.values for each in dots) else ()),
        _speed(claim), Cell(word, "strong" if won is not None else "dim", hue=hue),
        *(_beside(case, key) for key in _BESIDE),
    ]  # fmt: skip


def _verdict(claim: Claim | None) -> str:
    return "" if claim is None else claim.verdict or ""


def _speed(claim: Claim | None) -> Cell:
    """The claim's ratio with the interval that its verdict rests on."""
    if claim is None or claim.ratio is None:
        return Cell(NONE, "dim", number=True)
    interval = claim.interval
    bar = None if interval is None else (interval[0], claim.ratio, interval[1])
    return Cell(times(claim.ratio), "strong", number=True, note=times_interval(interval), bar=bar)


def _beside(case: Compared, key: str) -> Cell:
    """A ratio that is no claim, with its 95% interval and both sides' values."""
    difference, unit = case.differences[key], BY_KEY[key].unit
    values = [side.value for side in (difference.baseline, difference.candidate)]
    if any(isinstance(value, Absent) for value in values):
        return Cell(NONE, "dim", number=True)
    cell = ratio(difference.effect)
    both = " → ".join(dict.fromkeys(show(float(v), unit) for v in values if not isinstance(v, Absent)))
    return replace(cell, bar=None, note="\n".join(filter(None, (cell.note, both))))
