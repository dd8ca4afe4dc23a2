"""Every metric of a case on both sides, and the conditions it was measured under."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gpuprof.absent import Absent
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.case_keys import HEADINGS, SETTINGS
from gpuprof.metrics import METRICS
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Cell, Notice, Table
from gpuprof.report.wording import NONE, inverse, number, ratio, samples_per_joule
from gpuprof.throttling import throttled
from gpuprof.units import show

_MOST_CASES = 40


def blocks(subject: Subject) -> Iterable[Block]:
    """A table for each of the first 40 cases: metrics that either side has, then conditions."""
    cases = subject.comparison.cases
    if len(cases) > _MOST_CASES:
        yield Notice(f"First {_MOST_CASES} of {len(cases)} cases; narrow the selection to see the others.", "dim")
    for case in cases[:_MOST_CASES]:
        struck = not case.pair.allowed
        rows = []
        for metric in METRICS:
            difference = case.differences[metric.key]
            if isinstance(difference.baseline.value, Absent) and isinstance(difference.candidate.value, Absent):
                continue
            sides = [number(s.value, metric.unit, s.ci95) for s in (difference.baseline, difference.candidate)]
            better = f"{metric.better} is better" if metric.ratio else ""
            rows.append(
                [Cell(metric.title, note=better), *sides, ratio(difference.effect, struck=struck, detailed=True)]
            )
            if metric.key == "energy_j_per_sample":
                inverses = [samples_per_joule(s.value, s.ci95) for s in (difference.baseline, difference.candidate)]
                rows.append([Cell("samples per joule"), *inverses, inverse(None if struck else difference.effect)])
        for title, condition in CONDITIONS:
            texts = [condition(side) for side in (case.pair.baseline, case.pair.candidate)]
            if any(texts):
                rows.append([Cell(title), *(Cell(text or NONE, number=True) for text in texts), Cell("")])
        reason = f" (not comparable: {'; '.join(case.pair.reasons)})" if struck else ""
        yield Table(case.title + reason, ("", *subject.names, "ratio"), rows, folded=True)


def _fact(name: str, spell: Callable[[Any], str]) -> Callable[[CaseEvidence], str]:
    """A fact of the newest run in words; empty where it has none."""

    def condition(case: CaseEvidence) -> str:
        value = case.newest.facts.get(name)
        return "" if value is None else spell(value)

    return condition


def _setting(name: str) -> Callable[[CaseEvidence], str]:
    return lambda case: str(getattr(case.newest, name))


def _throttled(shares: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in throttled(shares).items()) or "no"


def _temperatures(case: CaseEvidence) -> str:
    start, end = (case.newest.facts.get(f"temperature_{when}_c") for when in ("start", "end"))
    return "" if start is None or end is None else f"{start:.0f} to {end:.0f} °C"


# Title, and the condition of a side's newest run in words, "" for unknown. A row appears if either side has words.
CONDITIONS: tuple[tuple[str, Callable[[CaseEvidence], str]], ...] = (
    ("regime", lambda case: case.newest.regime or ""),
    ("effective precision", lambda case: case.newest.precision or "unknown"),
    ("correctness", lambda case: case.newest.correctness or "unchecked"),
    *((HEADINGS[name], _setting(name)) for name in SETTINGS),
    ("throttled", _fact("throttled_share", _throttled)),
    ("temperature, start to end", _temperatures),
    ("core clock", _fact("core_clock_hz", lambda value: show(value, "Hz"))),
    ("GPU utilisation", _fact("gpu_utilization_pct", lambda value: f"{value:.0f}%")),
    (
        "energy method",
        lambda case: {"counter": "energy counter", "power_trapezoid": "integrated power"}.get(
            case.newest.energy_method or "", ""
        ),
    ),
    ("energy error, one process", _fact("energy_error_j_per_sample", lambda value: "± " + show(value, "J"))),
    ("peak power", _fact("power_max_w", lambda value: show(value, "W"))),
    ("idle power", _fact("idle_power_w", lambda value: show(value, "W"))),
)
