"""Charts over time: the signals sampled in a run, and a metric over many runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuprof.report.charts import axes
from gpuprof.report.charts.axes import POINTER, Row, Spec
from gpuprof.units import number, show

# The panels of a timeline, top to bottom: the start of the quantity's name, title, unit.
_PANELS = (("power", "Power", "W"), ("temperature", "Temperature", "°C"), ("core", "Core clock", "MHz"))


def timeline(rows: Sequence[Row], phases: Sequence[Row] = (), sides: Iterable[str] = ()) -> Spec:
    """Power, temperature and core clock over one time axis that can be dragged and zoomed, phases as bands.

    Rows: `t_s`, `side`, `quantity` (begins with power, temperature or core), `value` in W, °C or MHz; a quantity whose
    name ends with `_hz` is in Hz and converted. A panel without values is left out.
    Phases: `side`, `name`, `start_s`, `end_s`.
    """
    names = axes.sides([*rows, *phases], sides)
    bands = [{**axes.picked(phase, "side", "name", "start_s", "end_s"), "brief": phase["name"][:60],
              "shown": f"{number(phase['start_s'])} s – {number(phase['end_s'])} s"}
             for phase in phases]  # fmt: skip
    times = [row["t_s"] for row in rows] + [band[key] for band in bands for key in ("start_s", "end_s")]
    scale = {"domain": [min(times, default=0), max(times, default=1)], "nice": False}
    inside = "scale('x', datum.end_s) - scale('x', datum.start_s) - 8"
    x = {"field": "start_s", "type": "quantitative", "scale": scale}
    y = {"field": "side", "type": "nominal", "sort": None, "scale": {"domain": list(names)},
         "axis": {"grid": False, "domain": False, "ticks": False, "labelLimit": 70, "labelExpr": axes.CUT}}  # fmt: skip
    views: list[Spec] = []
    if bands:
        views.append({
            "name": "phases", "data": {"values": bands}, "width": axes.WIDTH - 90, "height": 22 * len(names),
            "title": "Phases",
            "encoding": {"x": {**x, "axis": None}, "y": {**y, "title": None},
                         "tooltip": axes.tooltip(name="phase", side="side", shown="time")},
            "layer": [
                {"mark": {"type": "bar", "clip": True, "fillOpacity": 0.2, "stroke": "var(--panel)", "height": 18},
                 "encoding": {"x2": {"field": "end_s"}, "color": axes.colour(names)}},
                {"mark": {"type": "text", "align": "left", "dx": 4, "clip": True,
                          "limit": {"expr": f"max(1, {inside})"}, "opacity": {"expr": f"{inside} < 12 ? 0 : 1"}},
                 "encoding": {"text": {"field": "brief"}}},
            ],
        })  # fmt: skip
    for begin, title, unit in _PANELS:
        points = [
            {"t": t, "value": value, "side": side, "at": f"{number(t)} s",
             "shown": "" if value is None else show(value, unit)}
            for side in names
            for t, value in axes.line([
                (row["t_s"], row["value"] * (1e-6 if row["quantity"].endswith("_hz") else 1))
                for row in rows
                if row["side"] == side and row["quantity"].startswith(begin) and axes.finite(row["value"])
            ])
        ]  # fmt: skip
        if not points:
            continue
        time = {"field": "t", "type": "quantitative", "title": "time, s", "scale": scale}
        value = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": begin == "power"},
                 "axis": {"tickCount": 4}}  # fmt: skip
        views.append({
            "name": begin, "data": {"values": points}, "width": axes.WIDTH - 90, "height": 110,
            "title": f"{title}, {unit}",
            "layer": [
                {"data": {"values": bands}, "mark": {"type": "rule", "clip": True, "opacity": 0.35},
                 "encoding": {"x": {"field": "start_s", "type": "quantitative"}, "color": axes.colour(names),
                              "tooltip": axes.tooltip(name="phase", side="side", shown="time")}},
                {"mark": {"type": "line", "clip": True, "strokeWidth": 1.5, "interpolate": "linear"},
                 "encoding": {"x": time, "y": value, "color": axes.colour(names), "strokeDash": axes.dash(names)}},
                {"name": begin + POINTER,
                 "mark": {"type": "point", "clip": True, "filled": True, "size": 120, "opacity": 0},
                 "encoding": {"x": time, "y": value, "color": axes.colour(names),
                              "tooltip": axes.tooltip(side="side", at="time", shown=title.lower())}},
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
    return axes.spec([], params=[zoom] if views else [], vconcat=views, spacing=14, resolve={"scale": {"x": "shared"}})


def history(rows: Sequence[Row], changes: Sequence[Row], title: str, unit: str) -> Spec:
    """One series over time with the level of each segment, and a rule where the level changed.

    Rows: `at` (ISO 8601), `run`, `value`, `level`, `segment`. Changes: `at`, `ratio`, `worse`, `why`.
    """
    data = [
        {**axes.picked(row, "at", "run", "value", "level", "segment"), "shown": show(row["value"], unit)}
        for row in rows if axes.positive(row["value"])
    ]  # fmt: skip
    marks = [
        {"at": change["at"], "state": "regression" if change["worse"] else "improvement",
         "shown": f"{number(change['ratio'])}×", "why": change["why"] or "no recorded change"}
        for change in changes
    ]  # fmt: skip
    scale, axis = axes.scale([row["value"] for row in data])
    if "zero" in scale:
        scale["zero"] = False  # points and lines, in which a step of a few per cent must be seen
    time = {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc", "padding": 8},
            "axis": {"format": _clock([row["at"] for row in data]), "tickCount": 6, "labelOverlap": True}}  # fmt: skip
    states = {"regression": ("var(--bad)", [6, 3]), "improvement": ("var(--good)", [2, 2])}
    seen = [state for state in states if any(mark["state"] == state for mark in marks)]
    colour = {"field": "state", "type": "nominal", "scale": {"domain": seen, "range": [states[s][0] for s in seen]}}
    dash = {**colour, "scale": {"domain": seen, "range": [states[s][1] for s in seen]}}
    y = axes.x("value", f"{title}, {unit}", scale, axis=axis)
    rules = [
        {"data": {"values": marks}, "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": time, "color": colour, "strokeDash": dash,
                      "tooltip": axes.tooltip(at="since", shown="ratio", state="direction", why="what else changed")}},
    ]  # fmt: skip
    return axes.spec(data, height=200, layer=[
        *(rules if marks else ()),  # a layer without data has no extent, and then the chart has none
        {"mark": {"type": "line", "color": "var(--ink)", "strokeWidth": 1.5},
         "encoding": {"x": time, "y": {**y, "field": "level"}, "detail": {"field": "segment"}}},
        {"mark": {"type": "point", "filled": True, "size": 50, "opacity": 1, "color": "var(--accent)"},
         "encoding": {"x": time, "y": y, "tooltip": axes.tooltip(run="run", at="started", shown=title)}},
    ])  # fmt: skip


def _clock(times: Sequence[str]) -> str:
    """How an axis writes times (ISO 8601): dates alike all along it, and hours of 24 where it spans a few days."""
    days = len({time[:10] for time in times})
    return "%Y-%m-%d" if days > 3 else "%m-%d %H:%M"
