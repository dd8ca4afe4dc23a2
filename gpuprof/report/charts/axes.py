"""What charts share: their look, axes, scales, legends and numbers, as parts of Vega-Lite specifications."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuprof.units import show_interval

Row = Mapping[str, Any]
Spec = dict[str, Any]

WIDTH = 560  # two side by side on a page of 1280 pixels
POINTER = "-pointer"  # ends the names of layers that are there for tooltips alone; pictures leave them out
_SERIES = tuple(f"var(--{name})" for name in ("second", "third", "fourth", "nvidia", "amd", "cpu"))
_SHAPES = ("circle", "diamond", "square", "triangle-up")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_WIDE_RANGE = 20  # from here on a linear axis would hide the small values
_RATIO_TICKS = (
    (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2),
    (0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4),
    (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20),
    (0.001, 0.01, 0.1, 1, 10, 100, 1000),
)
_THIN = 120  # stretches of a line; of each the lowest and the highest point are kept
_PAUSE = 3.5  # times the usual step: in a longer one nothing was sampled

# Vega takes long to measure long labels, so they are cut before.
CUT = "length(datum.label) > 60 ? slice(datum.label, 0, 60) + '…' : datum.label"
BOTH = "isValid(datum.low) && isValid(datum.high)"


def spec(data: list[Spec], *, params: Sequence[Spec] = (), columns: int = 2, **parts: Any) -> Spec:
    """A whole specification in the look that all charts share.

    `columns` are those of legends. `parts` (layer, height, vconcat ...) are put at the top level.
    """
    single = {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}} if "layer" in parts else {}
    quiet = {"labelColor": "var(--soft)", "titleColor": "var(--soft)", "titleFontWeight": "normal"}
    text = {"labelFontSize": 12, "titleFontSize": 12}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        # Room for readers whose font is wider than the one measured here.
        "padding": {"left": 24, "top": 4, "right": 8, "bottom": 4},
        **single,
        **({"params": list(params)} if params else {}),
        "data": {"values": data},
        **parts,
        "config": {
            "aria": False,
            "view": {"stroke": None},
            "text": {"color": "var(--ink)", "fontSize": 11},
            "title": {"color": "var(--ink)", "fontSize": 12, "fontWeight": 600, "anchor": "start", "frame": "group"},
            "axis": {**quiet, **text, "gridColor": "var(--line)", "domainColor": "var(--line)",
                     "tickColor": "var(--line)", "titlePadding": 10, "labelPadding": 6, "labelSeparation": 6},
            "axisY": {"labelLimit": 220},
            "legend": {**text, "labelColor": "var(--ink)", "orient": "top", "direction": "horizontal", "title": None,
                       "symbolSize": 90, "labelLimit": 190, "columnPadding": 20, "offset": 12, "columns": columns},
        },
    }  # fmt: skip


def x(field: str, title: str, scale: Spec, axis: Spec) -> Spec:
    """A quantitative axis, horizontal or vertical."""
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def y(data: Iterable[Row]) -> Spec:
    """A vertical axis with the rows' labels, from the first at the top."""
    labels = list(dict.fromkeys(row["label"] for row in data))
    return {"field": "label", "type": "nominal", "title": None, "scale": {"domain": labels},
            "axis": {"domain": False, "ticks": False, "labelExpr": CUT}}  # fmt: skip


def offset(names: Iterable[str]) -> Spec:
    """A yOffset that puts the sides of a case below each other."""
    return {"field": "side", "type": "nominal", "sort": None, "scale": {"domain": list(names)}}


def series(names: Mapping[str, str]) -> Spec:
    """Colour and shape by side, in one legend."""
    scale = {"domain": list(names), "range": cycle(_SHAPES, len(names))}
    return {
        "color": colour(names),
        "shape": {"field": "side", "type": "nominal", "scale": scale, "legend": {"labelExpr": CUT}},
    }


def colour(names: Mapping[str, str]) -> Spec:
    """Colour by side, as `sides` gives them."""
    scale = {"domain": list(names), "range": list(names.values())}
    return {"field": "side", "type": "nominal", "scale": scale, "legend": {"labelExpr": CUT}}


def dash(names: Mapping[str, str]) -> Spec:
    """Dash of a line by side."""
    return {"field": "side", "type": "nominal", "legend": {"symbolType": "stroke", "labelExpr": CUT},
            "scale": {"domain": list(names), "range": cycle(DASHES, len(names))}}  # fmt: skip


def cycle(values: Sequence[Any], count: int) -> list[Any]:
    """`count` of the values, from the first again when they run out."""
    return [values[i % len(values)] for i in range(count)]


def tooltip(**titles: str) -> list[Spec]:
    """A tooltip from field=title; fields are shown as they are, so numbers need one with their text."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in titles.items()]


def sides(rows: Iterable[Row], sides: Iterable[str]) -> dict[str, str]:
    """The colour of each side by its name: of `sides` in their order, then of those that only rows have.

    A mapping gives colours to its names; the others take the first that are free, and from the seventh on again.
    """
    own = sides if isinstance(sides, Mapping) else {}
    names = dict.fromkeys([*sides, *(row["side"] for row in rows)])
    free = itertools.cycle([colour for colour in _SERIES if colour not in own.values()])
    return {name: own.get(name) or next(free) for name in names}


def picked(row: Row, *keys: str) -> Spec:
    """The row with these keys alone: a specification holds no data that is not drawn."""
    return {key: row[key] for key in keys}


def height(count: int, each: int) -> int:
    """Pixels for `count` rows of `each` pixels."""
    return max(1, count) * each + 12


def finite(value: Any) -> bool:
    """Whether it is a finite number; None is not."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def positive(value: Any) -> bool:
    """Whether it is a finite number above 0, which a log axis can show."""
    return finite(value) and value > 0


def scale(values: Iterable[Any], *, log: bool = False) -> tuple[Spec, Spec]:
    """Scale and axis for these values: linear from 0, or log (on demand, or from a ratio of 20) with round ticks."""
    drawn = [value for value in values if positive(value)]
    low, high = min(drawn, default=1), max(drawn, default=1)
    if not log and high < _WIDE_RANGE * low:
        return {"zero": True, "nice": True}, {"tickCount": 6, "format": ",~r"}
    pad = (high / low) ** 0.06 if high > low else 1.5
    domain = [low / pad, high * pad]
    return {"type": "log", "domain": domain, "nice": False}, {"values": _log_ticks(*domain), "format": ",~r"}


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values inside the domain: 1, 2, 5 of each decade while these are few, else powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= 8:
            break
    return inside


def ratio_ticks(low: float, high: float) -> list[float]:
    """Some ten round ratios within the range, which must hold 1; 1 is among them."""
    for ticks in _RATIO_TICKS:
        if ticks[0] <= low * 1.1 and high <= ticks[-1] * 1.1:
            break
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 10 else inside[inside.index(1) % 2 :: 2]


def interval(low: Any, high: Any, unit: str) -> str:
    """An interval in `unit` as text; "none" where a bound is not finite."""
    return show_interval((low, high), unit) if finite(low) and finite(high) else "none"


def line(points: list[tuple[float, float]]) -> list[tuple[float, float | None]]:
    """The points (time, value) in time order, thinned.

    At each pause in the samples a point without a value keeps the line from being drawn across it.
    """
    points = sorted(points)
    steps = sorted(after[0] - before[0] for before, after in itertools.pairwise(points))
    pause = _PAUSE * steps[len(steps) // 2] if steps else 0
    ends = [i for i in range(1, len(points)) if points[i][0] - points[i - 1][0] > pause]
    size = math.ceil(len(points) / _THIN)
    line: list[tuple[float, float | None]] = []
    for start, end in itertools.pairwise([0, *ends, len(points)]):
        line += [*([(points[start][0], None)] if line else []), *_thinned(points[start:end], size)]
    return line


def _thinned(points: list[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """Of each stretch of `size` points the lowest and the highest: no peak is lost."""
    if size <= 2:
        return points
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept
