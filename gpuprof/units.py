"""How numbers are shown: four significant digits, and a prefix where the unit takes one.

The one place for it, so that a value reads the same in a terminal, a table and a chart. Knows of no record.
"""

from __future__ import annotations

from collections.abc import Sequence

Prefixes = tuple[tuple[float, str], ...]  # factor for the value, and the prefix it then takes; largest prefix first

_LARGE: Prefixes = ((1e-15, "P"), (1e-12, "T"), (1e-9, "G"), (1e-6, "M"), (1e-3, "k"), (1.0, ""))
_SMALL: Prefixes = ((1e3, "m"), (1e6, "µ"), (1e9, "n"))
# Any other unit takes no prefix: watts are compared with one another, samples and plain numbers are counted.
_PREFIXES: dict[str, Prefixes] = {
    "B": ((2.0**-40, "Ti"), (2.0**-30, "Gi"), (2.0**-20, "Mi"), (2.0**-10, "Ki"), (1.0, "")),
    "B/s": _LARGE,  # powers of ten, as data sheets have it
    "FLOP/s": _LARGE,
    "Hz": _LARGE[3:],  # clocks are given in MHz, also above 1 GHz
    "J": (*_LARGE[3:], *_SMALL),
    "s": ((1.0, ""), *_SMALL),
}
_MANY, _FEW = 4, 2
_POWERS = (-5, 9)  # outside of these powers of ten a number in full is mostly zeros


def digits(interval: tuple[float, float] | None) -> int:
    """As many significant digits as an interval supports: two where its ends are a factor of two apart or more."""
    return _FEW if interval is not None and interval[1] >= 2 * interval[0] else _MANY


def show(value: float, unit: str, digits: int = _MANY) -> str:
    """A value with its unit, for instance `6.574 ms`, `2.850 TB/s`, `4,648 samples/s`."""
    if unit == "°C":
        return f"{value:.1f} °C"  # its zero is arbitrary, so that significant digits mean nothing
    if unit == "B" and abs(value) < 1024 and value == int(value):
        return f"{value:.0f} B"
    factor, prefix = _prefix(value, unit)
    return f"{number(value * factor, digits)} {prefix}{unit}".rstrip()


def show_interval(interval: tuple[float, float], unit: str) -> str:
    """Both bounds; the unit stands only once where neither has a prefix."""
    low, high = (show(bound, unit, digits(interval)) for bound in interval)
    return f"{low.removesuffix(f' {unit}') if high.endswith(f' {unit}') else low} – {high}"


def number(value: float, digits: int = _MANY) -> str:
    """A finite number with so many significant digits, thousands separated; a power of ten where zeros hide it."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if not _POWERS[0] <= power < _POWERS[1]:
        return f"{mantissa.rstrip('0').rstrip('.')}e{power}"
    text = (
        f"{round(value, digits - 1 - power):,.{max(0, digits - 1 - power)}f}"
        if digits < _MANY
        else (f"{value:,.{max(0, _MANY - 1 - power)}f}")
    )
    return text.rstrip("0") if power < -3 else text  # behind so many zeros, zeros at the end are hard to read


def joules(values: Sequence[float]) -> tuple[float, str]:
    """The factor for all of these energies (in J), and the unit they then have: the one that suits the smallest."""
    factor, prefix = _prefix(min(values, default=1.0), "J")
    return factor, f"{prefix}J"


def _prefix(value: float, unit: str) -> tuple[float, str]:
    """Factor and prefix: the largest prefix that leaves 1 or more when rounded, else the smallest there is."""
    prefixes = _PREFIXES.get(unit, ((1.0, ""),))
    if value == 0:
        return 1.0, ""
    return next((row for row in prefixes if abs(float(f"{value * row[0]:.3e}")) >= 1), prefixes[-1])
