"""Charts as Vega-Lite specifications, from plain rows. Colours are CSS variables: one picture serves light and dark.

A row's `label` and `side` are shown as they stand. Sides keep the order of `sides`, or of their first row: the first is
the baseline. Every difference that has a colour has a shape, a dash or a place too. Values that cannot be drawn (none,
not finite, not positive on a log axis) are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Spec = dict[str, Any]

WIDTH = 716
POINTER = "-pointer"  # ends the names of layers that only a pointer needs
_SERIES = ("var(--baseline)", "var(--candidate)", "var(--third)", "var(--fourth)")
_SHAPES = ("circle", "diamond", "square", "triangle-up")
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_WIDE_RANGE = 20  # from here on a linear axis would hide the small values
_NOT_COMPARABLE = "not comparable"
# What a ratio was found to be: colour, shape, filled.
_VERDICTS = {
    "faster": ("var(--good)", "triangle-right"),
    "no difference shown": ("var(--soft)", "circle"),
    "slower": ("var(--bad)", "triangle-left"),
    "no verdict": ("var(--ink)", "square"),
    _NOT_COMPARABLE: ("var(--faint)", "cross"),
}
_RATIO_TICKS = (
    (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2),
    (0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4),
    (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20),
    (0.001, 0.01, 0.1, 1, 10, 100, 1000),
)
_PERCENTILES = ("p50", "p90", "p99")
# What a timeline shows, top to bottom: the start of the quantity's name, title, unit.
_PANELS = (("power", "Power", "W"), ("temperature", "Temperature", "°C"), ("core", "Core clock", "MHz"))
_THIN = 120  # a line keeps the lowest and the highest of as many stretches
_PAUSE = 3.5  # times the usual step: what is longer was not sampled


def ratios(rows: Sequence[Row]) -> Spec:
    """Forest plot of candidate over baseline: `label`, `ratio`, `low`, `high` (or None), `verdict`, `allowed`."""
    data = []
    for row in rows:
        if not _positive(row["ratio"]):
            continue
        state = (row["verdict"] or "no verdict") if row["allowed"] else _NOT_COMPARABLE
        low, high = row.get("low"), row.get("high")
        data.append({
            "label": row["label"], "ratio": row["ratio"], "low": low if _positive(low) else None,
            "high": high if _positive(high) else None, "state": state if state in _VERDICTS else "no verdict",
            "shown": f"{_number(row['ratio'])}×", "interval": _interval(low, high, "×"),
        })  # fmt: skip
    values = [value for row in data for value in (row["ratio"], row["low"], row["high"]) if value]
    low, high = min([*values, 0.9]), max([*values, 1 / 0.9])
    pad = (high / low) ** 0.06
    domain = [low / pad, high * pad]
    states = [state for state in _VERDICTS if any(row["state"] == state for row in data)]
    x = _x("ratio", "candidate over baseline, log scale", {"type": "log", "domain": domain, "nice": False}, axis={
        "values": _ratio_ticks(*domain), "labelExpr": "format(datum.value, '.3~g') + '×'",
    })  # fmt: skip
    colour = {
        "field": "state", "type": "nominal", "legend": {},
        "scale": {"domain": states, "range": [_VERDICTS[state][0] for state in states]},
    }  # fmt: skip
    shape = {**colour, "scale": {"domain": states, "range": [_VERDICTS[state][1] for state in states]}}
    y = _y(data)
    tooltip = _tooltip(label="case", shown="ratio", interval="95% interval", state="verdict")
    return _spec(data, columns=3, height=_height(len(data), 26), layer=[
        {"mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 1}}},
        {"transform": [{"filter": _BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y, "color": colour,
                      "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
         "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": tooltip}},
    ])  # fmt: skip


def throughput(rows: Sequence[Row], sides: Sequence[str] = ()) -> Spec:
    """Each case's throughput by side, with its interval: `label`, `side`, `value`, `low`, `high` in samples/s."""
    data = [
        {**_picked(row, "label", "side", "value", "low", "high"), "shown": f"{_number(row['value'])} samples/s",
         "interval": _interval(row["low"], row["high"], " samples/s")}
        for row in rows if _positive(row["value"])
    ]  # fmt: skip
    names = _sides(data, sides)
    scale, axis = _scale([row[key] for row in data for key in ("value", "low", "high")])
    tooltip = _tooltip(label="case", side="side", shown="throughput", interval="95% interval")
    place = {"y": _y(data), "yOffset": _offset(names)}
    return _spec(data, height=_height(len({row["label"] for row in data}), 18 * max(2, len(names))), layer=[
        {"transform": [{"filter": _BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, **place,
                      "color": _colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
         "encoding": {"x": _x("value", "samples/s", scale, axis=axis), **place, **_series(names), "tooltip": tooltip}},
    ])  # fmt: skip


def latency(rows: Sequence[Row], sides: Sequence[str] = ()) -> Spec:
    """Each case's latency by side and percentile: `label`, `side`, `percentile` (p50, p90, p99), `value_s`."""
    data = [
        {**_picked(row, "label", "side", "percentile"), "ms": row["value_s"] * 1e3,
         "shown": f"{_number(row['value_s'] * 1e3)} ms"}
        for row in rows if _positive(row["value_s"])
    ]  # fmt: skip
    names = _sides(data, sides)
    scale, axis = _scale([row["ms"] for row in data])
    tooltip = _tooltip(label="case", side="side", percentile="percentile", shown="latency")
    place = {"y": _y(data), "yOffset": _offset(names)}
    x = _x("ms", "ms", scale, axis=axis)
    series = _series(names)
    size = {"field": "percentile", "type": "ordinal",
            "legend": {"symbolFillColor": "var(--ink)", "orient": "bottom", "columns": 3},
            "scale": {"domain": list(_PERCENTILES), "range": [120, 60, 24]}}  # fmt: skip
    return _spec(data, height=_height(len({row["label"] for row in data}), 18 * max(2, len(names))), layer=[
        {"mark": {"type": "line", "strokeWidth": 1.5},
         "encoding": {"x": x, **place, "color": series["color"], "detail": {"field": "label"}}},
        {"mark": {"type": "point", "filled": True, "opacity": 1},
         "encoding": {"x": x, **place, **series, "size": size, "tooltip": tooltip}},
    ])  # fmt: skip


def energy(rows: Sequence[Row], sides: Sequence[str] = ()) -> Spec:
    """Energy a sample against throughput, a case's sides joined.

    Rows: `label`, `side`, `throughput`, `energy_j`, and its interval `low`, `high` (or None).
    """
    drawn = [row for row in rows if _positive(row["throughput"]) and _positive(row["energy_j"])]
    factor, unit = _joules([row["energy_j"] for row in drawn])
    data = []
    for row in drawn:
        low, high = (None if bound is None else bound * factor for bound in (row["low"], row["high"]))
        data.append({
            **_picked(row, "label", "side", "throughput"), "energy": row["energy_j"] * factor, "low": low, "high": high,
            "shown": f"{_number(row['energy_j'] * factor)} {unit}", "interval": _interval(low, high, f" {unit}"),
            "rate": f"{_number(row['throughput'])} samples/s",
        })  # fmt: skip
    names = _sides(data, sides)
    last: dict[str, Spec] = {}
    for row in data:  # the name of a case stands beside its last side
        last[row["label"]] = row
    named = [
        {**row, "name": row["label"][:60] if last[row["label"]] is row and len(last) <= 12 else ""} for row in data
    ]
    scale, axis = _scale([row["throughput"] for row in data])
    y_scale, y_axis = _scale([row[key] for row in data for key in ("energy", "low", "high")])
    x = _x("throughput", "throughput, samples/s", scale, axis=axis)
    y = _x("energy", f"energy a sample, {unit}", y_scale, axis=y_axis)
    tooltip = _tooltip(label="case", side="side", shown="energy a sample", interval="95% interval", rate="throughput")
    return _spec(named, height=340, layer=[
        {"mark": {"type": "line", "color": "var(--faint)", "strokeWidth": 1},
         "encoding": {"x": x, "y": y, "detail": {"field": "label"}, "order": {"field": "side", "sort": names}}},
        {"transform": [{"filter": _BOTH}], "mark": {"type": "rule", "strokeWidth": 1.5},
         "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"},
                      "color": _colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
         "encoding": {"x": x, "y": y, **_series(names), "tooltip": tooltip}},
        {"name": "names", "transform": [{"filter": "datum.name"}],
         "mark": {"type": "text", "align": "left", "dx": 9, "dy": -7, "limit": 180, "color": "var(--soft)"},
         "encoding": {"x": x, "y": y, "text": {"field": "name"}}},
    ])  # fmt: skip


def sweep(rows: Sequence[Row], sides: Sequence[str] = ()) -> Spec:
    """Throughput against batch size, both log: `side`, `label`, `batch_size`, `value`, `low`, `high` in samples/s."""
    data = [
        {**_picked(row, "label", "side", "batch_size", "value", "low", "high"),
         "shown": f"{_number(row['value'])} samples/s", "interval": _interval(row["low"], row["high"], " samples/s")}
        for row in rows if _positive(row["value"]) and _positive(row["batch_size"])
    ]  # fmt: skip
    names = _sides(data, sides)
    labels = list(dict.fromkeys(row["label"] for row in data))
    sizes = sorted({row["batch_size"] for row in data})
    scale, axis = _scale([row[key] for row in data for key in ("value", "low", "high")], log=True)
    x = _x("batch_size", "batch size", {"type": "log", "base": 2, "nice": False, "padding": 16}, axis={
        "values": sizes, "format": "d"})  # fmt: skip
    y = _x("value", "samples/s", scale, axis=axis)
    tooltip = _tooltip(side="side", label="case", batch_size="batch size", shown="throughput", interval="95% interval")
    dash = {
        "field": "label", "type": "nominal", "scale": {"domain": labels, "range": _cycle(_DASHES, len(labels))},
        "legend": {"symbolStrokeColor": "var(--ink)", "columns": 3, "labelExpr": _CUT} if len(labels) > 1 else None,
    }  # fmt: skip
    return _spec(data, height=320, layer=[
        {"mark": {"type": "line", "strokeWidth": 2},
         "encoding": {"x": x, "y": y, "color": _colour(names), "strokeDash": dash}},
        {"transform": [{"filter": _BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"},
                      "color": _colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
         "encoding": {"x": x, "y": y, **_series(names), "tooltip": tooltip}},
    ])  # fmt: skip


def timeline(rows: Sequence[Row], phases: Sequence[Row] = (), sides: Sequence[str] = ()) -> Spec:
    """Power, temperature and core clock over one time axis that can be dragged and zoomed, phases as bands.

    Rows: `t_s`, `side`, `quantity` (begins with power, temperature or core; `..._hz` is turned into MHz), `value`.
    Phases: `side`, `name`, `start_s`, `end_s`.
    """
    names = _sides([*rows, *phases], sides)
    bands = [{**_picked(phase, "side", "name", "start_s", "end_s"), "brief": phase["name"][:60],
              "shown": f"{_number(phase['start_s'])} s – {_number(phase['end_s'])} s"} for phase in phases]  # fmt: skip
    times = [row["t_s"] for row in rows] + [band[key] for band in bands for key in ("start_s", "end_s")]
    scale = {"domain": [min(times, default=0), max(times, default=1)], "nice": False}
    inside = "scale('x', datum.end_s) - scale('x', datum.start_s) - 8"
    x = {"field": "start_s", "type": "quantitative", "scale": scale}
    y = {"field": "side", "type": "nominal", "sort": None, "scale": {"domain": names},
         "axis": {"grid": False, "domain": False, "ticks": False, "labelLimit": 70, "labelExpr": _CUT}}  # fmt: skip
    views: list[Spec] = []
    if bands:
        views.append({
            "name": "phases", "data": {"values": bands}, "width": WIDTH - 90, "height": 22 * len(names),
            "title": "Phases",
            "encoding": {"x": {**x, "axis": None}, "y": {**y, "title": None},
                         "tooltip": _tooltip(name="phase", side="side", shown="time")},
            "layer": [
                {"mark": {"type": "bar", "clip": True, "fillOpacity": 0.2, "stroke": "var(--panel)", "height": 18},
                 "encoding": {"x2": {"field": "end_s"}, "color": _colour(names)}},
                {"mark": {"type": "text", "align": "left", "dx": 4, "clip": True,
                          "limit": {"expr": f"max(1, {inside})"}, "opacity": {"expr": f"{inside} < 12 ? 0 : 1"}},
                 "encoding": {"text": {"field": "brief"}}},
            ],
        })  # fmt: skip
    for begin, title, unit in _PANELS:
        points = [
            {"t": t, "value": value, "side": side, "at": f"{_number(t)} s",
             "shown": "" if value is None else f"{_number(value)} {unit}"}
            for side in names
            for t, value in _line([
                (row["t_s"], row["value"] * (1e-6 if row["quantity"].endswith("_hz") else 1))
                for row in rows
                if row["side"] == side and row["quantity"].startswith(begin) and _finite(row["value"])
            ])
        ]  # fmt: skip
        if not points:
            continue
        time = {"field": "t", "type": "quantitative", "title": "time, s", "scale": scale}
        value = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": begin == "power"},
                 "axis": {"tickCount": 4}}  # fmt: skip
        views.append({
            "name": begin, "data": {"values": points}, "width": WIDTH - 90, "height": 110,
            "title": f"{title}, {unit}",
            "layer": [
                {"data": {"values": bands}, "mark": {"type": "rule", "clip": True, "opacity": 0.35},
                 "encoding": {"x": {"field": "start_s", "type": "quantitative"}, "color": _colour(names),
                              "tooltip": _tooltip(name="phase", side="side", shown="time")}},
                {"mark": {"type": "line", "clip": True, "strokeWidth": 1.5, "interpolate": "linear"},
                 "encoding": {"x": time, "y": value, "color": _colour(names), "strokeDash": _dash(names)}},
                {"name": begin + POINTER,
                 "mark": {"type": "point", "clip": True, "filled": True, "size": 120, "opacity": 0},
                 "encoding": {"x": time, "y": value, "color": _colour(names),
                              "tooltip": _tooltip(side="side", at="time", shown=title.lower())}},
            ],
        })  # fmt: skip
    for view in views[:-1]:
        for layer in view["layer"]:
            if "axis" not in layer.get("encoding", {}).get("x", {}) and "x" in layer.get("encoding", {}):
                layer["encoding"]["x"]["axis"] = {"labels": False, "title": None, "ticks": False}
    for view in views:
        view["layer"][0]["name"] = f"{view['name']}-plane"
    zoom = {"name": "zoom", "views": [f"{view['name']}-plane" for view in views], "bind": "scales", "select": {
        "type": "interval", "encodings": ["x"], "zoom": "wheel![event.ctrlKey || event.metaKey]"}}  # fmt: skip
    return _spec([], params=[zoom] if views else [], vconcat=views, spacing=14, resolve={"scale": {"x": "shared"}})


def history(rows: Sequence[Row], changes: Sequence[Row], title: str, unit: str) -> Spec:
    """One series over time with the level of each segment, and a rule where the level changed.

    Rows: `at` (ISO 8601), `run`, `value`, `level`, `segment`. Changes: `at`, `ratio`, `worse`, `why`.
    """
    data = [
        {**_picked(row, "at", "run", "value", "level", "segment"), "shown": f"{_number(row['value'])} {unit}"}
        for row in rows if _positive(row["value"])
    ]  # fmt: skip
    marks = [
        {"at": change["at"], "state": "regression" if change["worse"] else "improvement",
         "shown": f"{_number(change['ratio'])}×", "why": change["why"] or "nothing that the records hold"}
        for change in changes
    ]  # fmt: skip
    scale, axis = _scale([row["value"] for row in data])
    if "zero" in scale:
        scale["zero"] = False  # points and lines: a step of some percent is what is looked for
    time = {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc", "padding": 8}}
    states = {"regression": ("var(--bad)", [6, 3]), "improvement": ("var(--good)", [2, 2])}
    seen = [state for state in states if any(mark["state"] == state for mark in marks)]
    colour = {"field": "state", "type": "nominal", "scale": {"domain": seen, "range": [states[s][0] for s in seen]}}
    dash = {**colour, "scale": {"domain": seen, "range": [states[s][1] for s in seen]}}
    y = _x("value", f"{title}, {unit}", scale, axis=axis)
    return _spec(data, height=200, layer=[
        {"data": {"values": marks}, "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": time, "color": colour, "strokeDash": dash,
                      "tooltip": _tooltip(at="since", shown="ratio", state="direction", why="what else changed")}},
        {"mark": {"type": "line", "color": "var(--ink)", "strokeWidth": 1.5},
         "encoding": {"x": time, "y": {**y, "field": "level"}, "detail": {"field": "segment"}}},
        {"mark": {"type": "point", "filled": True, "size": 50, "opacity": 1, "color": "var(--baseline)"},
         "encoding": {"x": time, "y": y, "tooltip": _tooltip(run="run", at="started", shown=title)}},
    ])  # fmt: skip


# Measuring a label to fit its place takes long where the label is long.
_CUT = "length(datum.label) > 60 ? slice(datum.label, 0, 60) + '…' : datum.label"
_BOTH = "isValid(datum.low) && isValid(datum.high)"


def _spec(data: list[Spec], *, params: Sequence[Spec] = (), columns: int = 2, **parts: Any) -> Spec:
    """A whole specification with the look that all charts share."""
    single = {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}} if "layer" in parts else {}
    quiet = {"labelColor": "var(--soft)", "titleColor": "var(--soft)", "titleFontWeight": "normal"}
    text = {"labelFontSize": 12, "titleFontSize": 12}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        # Room for readers whose font is wider than the one that was measured.
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


def _x(field: str, title: str, scale: Spec, axis: Spec) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _y(data: Iterable[Row]) -> Spec:
    labels = list(dict.fromkeys(row["label"] for row in data))
    return {"field": "label", "type": "nominal", "title": None, "scale": {"domain": labels},
            "axis": {"domain": False, "ticks": False, "labelExpr": _CUT}}  # fmt: skip


def _offset(names: Sequence[str]) -> Spec:
    return {"field": "side", "type": "nominal", "sort": None, "scale": {"domain": list(names)}}


def _series(names: Sequence[str]) -> Spec:
    """Colour and shape by side, in one legend."""
    scale = {"domain": list(names), "range": _cycle(_SHAPES, len(names))}
    return {
        "color": _colour(names),
        "shape": {"field": "side", "type": "nominal", "scale": scale, "legend": {"labelExpr": _CUT}},
    }


def _colour(names: Sequence[str]) -> Spec:
    scale = {"domain": list(names), "range": _cycle(_SERIES, len(names))}
    return {"field": "side", "type": "nominal", "scale": scale, "legend": {"labelExpr": _CUT}}


def _dash(names: Sequence[str]) -> Spec:
    return {"field": "side", "type": "nominal", "legend": {"symbolType": "stroke", "labelExpr": _CUT},
            "scale": {"domain": list(names), "range": _cycle(_DASHES, len(names))}}  # fmt: skip


def _cycle(values: Sequence[Any], count: int) -> list[Any]:
    return [values[i % len(values)] for i in range(count)]


def _tooltip(**titles: str) -> list[Spec]:
    return [{"field": field, "type": "nominal", "title": title} for field, title in titles.items()]


def _sides(rows: Iterable[Row], sides: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*sides, *(row["side"] for row in rows)]))


def _picked(row: Row, *keys: str) -> Spec:
    return {key: row[key] for key in keys}


def _height(count: int, each: int) -> int:
    return max(1, count) * each + 12


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _finite(value) and value > 0


def _scale(values: Iterable[Any], *, log: bool = False) -> tuple[Spec, Spec]:
    """Scale and axis: linear, or log with round ticks where values lie far apart."""
    drawn = [value for value in values if _positive(value)]
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


def _ratio_ticks(low: float, high: float) -> list[float]:
    for ticks in _RATIO_TICKS:
        if ticks[0] <= low * 1.1 and high <= ticks[-1] * 1.1:
            break
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 10 else inside[inside.index(1) % 2 :: 2]


def _joules(values: Sequence[float]) -> tuple[float, str]:
    """The factor and the unit in which energies of this size read well."""
    low = min(values, default=1)
    for factor, unit in ((1e-3, "kJ"), (1.0, "J"), (1e3, "mJ"), (1e6, "µJ")):
        if low * factor >= 1:
            return factor, unit
    return 1e9, "nJ"


def _number(value: float) -> str:
    """Four significant digits, thousands separated."""
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 9)}f}"


def _interval(low: Any, high: Any, unit: str) -> str:
    return f"{_number(low)} – {_number(high)}{unit}" if _finite(low) and _finite(high) else "none"


def _line(points: list[tuple[float, float]]) -> list[tuple[float, float | None]]:
    """The points in time order, thinned, with a point without a value in each pause: no line is drawn across it."""
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
    """Of each stretch of `size` points the lowest and the highest, so that no peak is lost."""
    if size <= 2:
        return points
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept
