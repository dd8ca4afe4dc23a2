"""Words and cells that all stories share: numbers with their units, intervals, ratios."""

from __future__ import annotations

from dataclasses import replace

from gpuprof import units
from gpuprof.absent import Absent
from gpuprof.analysis.claims import Claim
from gpuprof.analysis.effect import Effect
from gpuprof.report.story import Cell, Tone
from gpuprof.stats import Interval
from gpuprof.units import digits, show, show_interval

NONE = "–"
_TELLS_NOTHING = 1e4  # between the ends of an interval
SIMULATED = "SIMULATED: a simulator stood in for {names}; no number below comes from that hardware."


def number(value: float | Absent, unit: str, ci95: Interval | None = None, *, tone: Tone = "plain",
           struck: bool = False, terse: bool = False) -> Cell:  # fmt: skip
    """A value (in `unit`) with its interval below, or a dash with the reason below; `terse` leaves out the reason."""
    if isinstance(value, Absent):
        return Cell(NONE, "dim", number=True, note="" if terse else value.reason)
    note = "" if ci95 is None else show_interval(ci95, "" if unit == "samples/s" else unit)
    return Cell(show(value, unit, digits(ci95)), tone, number=True, note=note, struck=struck)


def inverse(effect: Effect | None) -> Cell:
    """The inverse of a ratio, with its interval."""
    return ratio(None if effect is None else replace(effect, difference=-effect.difference))


def samples_per_joule(joules: float | Absent, ci95: Interval | None = None) -> Cell:
    """The inverse of joules per sample, with its interval below; a dash where that is absent or 0."""
    if isinstance(joules, Absent) or not joules:
        return Cell(NONE, "dim", number=True)
    note = "" if ci95 is None else show_interval((1 / ci95[1], 1 / ci95[0]), "")
    return Cell(units.number(1 / joules), number=True, note=note)


def times(ratio: float) -> str:
    """A ratio in three significant digits: 1.38×, 0.951×, 12.0×."""
    return f"{_three(ratio)}×"


def times_interval(ci95: Interval | None) -> str:
    """The interval of a ratio, such as [1.31, 1.45]; empty for None. One that tells nothing is not spelt out."""
    if ci95 is None:
        return ""
    return "anything" if tells_nothing(ci95) else f"[{_three(ci95[0])}, {_three(ci95[1])}]"


def confidence(claim: Claim) -> str:
    """That of the claim's interval, such as 95% or 99.83%; empty where it has none."""
    return "" if claim.interval is None else f"{100 * (1 - claim.level):.4g}%"


def _three(ratio: float) -> str:
    """Three significant digits, zeros included."""
    return f"{ratio:#.3g}".rstrip(".") if 1e-3 <= ratio < 999.5 else f"{ratio:,.0f}" if ratio > 1 else f"{ratio:.2g}"


def percent(share: float) -> str:
    """A share (0.034) in per cent, in two significant digits: 0.2%, 3.4%, 25%."""
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.0f}%" if share < 10 else "over 1,000%"


def change(ratio: float) -> str:
    """A ratio of speeds as people say it: 3% slower, 13% faster."""
    return f"{percent(abs(ratio - 1))} {'faster' if ratio >= 1 else 'slower'}"


def tells_nothing(interval: Interval) -> bool:
    """Whether it is so wide that its ends mean nothing."""
    return interval[1] > _TELLS_NOTHING * interval[0]


def ratio(effect: Effect | None, *, struck: bool = False, detailed: bool = False) -> Cell:
    """A ratio with its interval below and as a bar; struck, without a bar, where the pair may not be compared.

    `detailed`: beside it the interval without the sensors' own errors, where there are such.
    """
    if effect is None:
        return Cell(NONE, "dim", number=True)
    bar = (effect.ci95[0], effect.ratio, effect.ci95[1]) if effect.ci95 and not struck else None
    note = times_interval(effect.ci95)
    if detailed and effect.gain.se:
        note += f"; scatter alone {times_interval(effect.scatter_ci95)}"
    return Cell(times(effect.ratio), "plain", struck, True, note, bar)
