"""Decision numbers: what a buyer looks at first, and its systematic errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpuprof.absent import Absent
from gpuprof.analysis.compare import HEADLINE, BreakEven, Compared, Comparison, Side
from gpuprof.analysis.evidence import Evidence
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Bullets, Cell, Notice, Table, without_empty
from gpuprof.report.wording import NONE, inverse, number, percent, ratio, samples_per_joule
from gpuprof.text import listed
from gpuprof.units import show


def blocks(subject: Subject) -> Iterable[Block]:
    """A table of the comparable cases; the energies' systematic errors, or why none is compared; break-even."""
    compared, sides = subject.comparison, subject.names
    limits = [_limit(side) for side in (compared.baseline, compared.candidate)]
    rows: list[list[Cell]] = []
    for case in compared.cases:
        if case.pair.allowed:
            rows += _decision_rows(case, sides, limits)
    if rows:
        heads = ("case", "side", "throughput", "energy per sample", "samples per joule", "mean power", "memory",
                 "first step")  # fmt: skip
        yield without_empty(Table("Key numbers by case", heads, rows))
    if all(case.differences["energy_j_per_sample"].effect is None for case in compared.cases):
        energies = [side.value for case in compared.cases for side in _both(case, "energy_j_per_sample")]
        reasons = sorted({value.reason for value in energies if isinstance(value, Absent) and value.reason})
        yield Notice(f"Energy is not compared: {'; '.join(reasons) or 'not measured on both sides'}.", "dim")
    else:
        yield Notice(_sensors(compared))
    # One-time costs pay off through a difference in speed; where none was shown there is no break-even.
    decided = {c.case for c in compared.claims if c.metric == HEADLINE and c.verdict in ("faster", "slower")}
    paid = [f"{case.title}: {_break_even(case.break_even)}" for case in compared.cases if case.title in decided]
    if paid:
        yield Notice("First step and break-even: steps until one-time tuning and compilation pay for themselves.")
        yield Bullets(paid)


def _break_even(even: BreakEven | Absent) -> str:
    return even.reason if isinstance(even, Absent) else f"{even.steps:,.0f} {even.says}"


def _limit(side: Evidence) -> str | None:
    """The power limits that its devices reported, in words; None where none did."""
    reported = [show(float(v), "W") for v in side.facts.get("power_limit_w", {}) if v.replace(".", "", 1).isdigit()]
    return listed(sorted(reported)) or None


def _both(case: Compared, metric: str) -> tuple[Side, Side]:
    return case.differences[metric].baseline, case.differences[metric].candidate


def _decision_rows(case: Compared, sides: tuple[str, str], limits: Sequence[str | None]) -> list[list[Cell]]:
    """A row for each side and one of ratios; `limits` are the sides' power limits."""
    rows = []
    for position, name in enumerate(sides):
        values = {key: _both(case, key)[position] for key in BY_KEY}
        evidence = (case.pair.baseline, case.pair.candidate)[position]
        joules, watts = values["energy_j_per_sample"], values["power_mean_w"].value
        power = number(watts, "W", terse=True)
        peak = None if isinstance(watts, Absent) else evidence.newest.facts.get("power_max_w")
        notes = [
            "" if peak is None else f"peak {show(peak, 'W')}",
            "" if limits[position] is None else f"limit {limits[position]}",
        ]
        rows.append([
            Cell(case.title if position == 0 else ""), Cell(name),
            _value(values[HEADLINE], HEADLINE), _value(values["energy_j_per_sample"], "energy_j_per_sample"),
            samples_per_joule(joules.value, joules.ci95),
            replace(power, note="" if power.text == NONE else ", ".join(filter(None, notes))),
            _value(values["peak_memory_bytes"], "peak_memory_bytes"), _value(values["first_step_s"], "first_step_s"),
        ])  # fmt: skip
    ratios = {key: case.differences[key].effect for key in BY_KEY}
    rows.append([
        Cell(""), Cell("ratio", "strong"), *(ratio(ratios[key]) for key in (HEADLINE, "energy_j_per_sample")),
        inverse(ratios["energy_j_per_sample"]),
        *(ratio(ratios[key]) for key in ("power_mean_w", "peak_memory_bytes", "first_step_s")),
    ])  # fmt: skip
    return rows


def _value(side: Side, metric: str) -> Cell:
    return number(side.value, BY_KEY[metric].unit, side.ci95, terse=True)


def _sensors(comparison: Comparison) -> str:
    """What the energies cover, and their sensors' gain errors."""
    parts = []
    same = comparison.baseline.machines.keys() == comparison.candidate.machines.keys()
    for name, side in (("baseline", comparison.baseline), ("candidate", comparison.candidate)):
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
