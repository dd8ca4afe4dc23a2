"""Decision numbers: what a buyer looks at first, and what is systematic in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from gpuprof import units
from gpuprof.analysis.compare import HEADLINE, Compared, Comparison
from gpuprof.analysis.evidence import Evidence
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Bullets, Cell, Notice, Table, without_empty
from gpuprof.report.wording import NONE, number, ratio, times
from gpuprof.text import listed
from gpuprof.units import show


def blocks(subject: Subject) -> Iterable[Block]:
    found, sides = subject.found, subject.names
    limits = [_limit(side) for side in (found.baseline, found.candidate)]
    rows: list[list[Cell]] = []
    for case in found.cases:
        if case.pair.allowed:
            rows += _decision_rows(case, sides, limits)
    if rows:
        heads = ("case", "side", "throughput", "energy a sample", "samples a joule", "power", "memory", "first step")
        yield without_empty(Table("What decides, case by case", heads, rows))
    if all(case.differences["energy_j_per_sample"].effect is None for case in found.cases):
        reasons = {d.absent for case in found.cases for d in _both(case, "energy_j_per_sample") if d.absent}
        yield Notice(
            "No energy is compared: " + ("; ".join(sorted(reasons)) or "not measured on both sides") + ".", "dim"
        )
    else:
        yield Notice(_sensors(found))
    # Where no difference in speed was shown there is nothing to make good with.
    decided = {c.case for c in found.claims if c.metric == HEADLINE and c.verdict in ("faster", "slower")}
    ends = [(c.title, c.break_even_steps, c.break_even_says) for c in found.cases if c.title in decided]
    if ends:
        said = [f"{title}: {f'{steps:,.0f} steps; ' if steps is not None else ''}{says}" for title, steps, says in ends]
        yield Notice("First step and break-even: how long one-time tuning and compilation take to pay for themselves.")
        yield Bullets(said)


def _limit(side: Evidence) -> str | None:
    """The power limit of its devices, as they reported it."""
    found = [show(float(v), "W") for v in side.facts.get("power_limit_w", {}) if v.replace(".", "", 1).isdigit()]
    return listed(sorted(found)) or None


def _both(case: Compared, metric: str) -> tuple[Any, Any]:
    return case.differences[metric].baseline, case.differences[metric].candidate


def _decision_rows(case: Compared, sides: tuple[str, str], limits: Sequence[str | None]) -> list[list[Cell]]:
    rows = []
    for position, name in enumerate(sides):
        values = {key: _both(case, key)[position] for key in BY_KEY}
        evidence = (case.pair.baseline, case.pair.candidate)[position]
        joules = values["energy_j_per_sample"].value
        power = number(values["power_mean_w"].value, "W")
        peak = None if values["power_mean_w"].value is None else evidence.newest.facts.get("power_max_w")
        notes = [
            "" if peak is None else f"peak {show(peak, 'W')}",
            "" if limits[position] is None else f"limit {limits[position]}",
        ]
        rows.append([
            Cell(case.title if position == 0 else ""), Cell(name),
            _value(values[HEADLINE], HEADLINE), _value(values["energy_j_per_sample"], "energy_j_per_sample"),
            Cell(NONE, "dim", number=True) if not joules else Cell(units.number(1 / joules), number=True),
            replace(power, note="" if power.text == NONE else ", ".join(filter(None, notes))),
            _value(values["peak_memory_bytes"], "peak_memory_bytes"), _value(values["first_step_s"], "first_step_s"),
        ])  # fmt: skip
    ratios = {key: case.differences[key].effect for key in BY_KEY}
    joules_effect = ratios["energy_j_per_sample"]
    rows.append([
        Cell(""), Cell("ratio", "strong"), *(ratio(ratios[key]) for key in (HEADLINE, "energy_j_per_sample")),
        Cell(NONE, "dim", number=True) if joules_effect is None else Cell(times(1 / joules_effect.ratio), number=True),
        *(ratio(ratios[key]) for key in ("power_mean_w", "peak_memory_bytes", "first_step_s")),
    ])  # fmt: skip
    return rows


def _value(side: Any, metric: str) -> Cell:
    return number(side.value, BY_KEY[metric].unit, side.ci95)


def _sensors(found: Comparison) -> str:
    """What is systematic in the energies, beside the scatter that the intervals show."""
    said = []
    for name, side in (("baseline", found.baseline), ("candidate", found.candidate)):
        gains = [float(v) for v in side.facts.get("gain_error", {})]
        scope = listed(sorted(side.facts.get("scope", {}))) or "unknown"
        gain = (
            f"± {max(gains):.0%} (one standard deviation)"
            if gains
            else "unknown: no comparison with a meter is published"
        )
        said.append(f"{name}: covers {scope}, gain error of the sensor {gain}")
    return "Energy intervals show scatter only. Systematic and on top of it: " + "; ".join(said) + "."
