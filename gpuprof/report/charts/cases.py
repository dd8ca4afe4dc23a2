"""Charts of cases: verdicts, throughput, latency, energy, sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuprof.report.charts import axes
from gpuprof.report.charts.axes import Row, Spec
from gpuprof.units import joules, number, show

_NOT_COMPARABLE = "not comparable"
# Verdict on a ratio -> name in the legend, colour and shape, in the legend's order.
_VERDICTS = {
    "faster": ("faster", "var(--good)", "triangle-right"),
    "no difference shown": ("no difference shown", "var(--soft)", "circle"),
    "slower": ("slower", "var(--bad)", "triangle-left"),
    "no verdict": ("no verdict", "var(--ink)", "square"),
    _NOT_COMPARABLE: (_NOT_COMPARABLE, "var(--faint)", "cross"),
}
MOST = 4.0  # intervals are cut here, and at its inverse: a very wide one would shrink the others to points
_PERCENTILES = ("p50", "p90", "p99")


def ratios(rows: Sequence[Row], won: Mapping[str, tuple[str, str]] | None = None) -> Spec:
    """Forest plot of candidate over baseline. Rows: `label`, `ratio`, `low`, `high` (or None), `verdict`, `allowed`.

    `won` has the legend's name and the colour of "faster" and "slower". Intervals are cut at MOST, with an arrow.
    """
    look = {state: (*(won or {}).get(state, given[:2]), given[2]) for state, given in _VERDICTS.items()}
    data = []
    for row in rows:
        if not axes.positive(row["ratio"]):
            continue
        state = (row["verdict"] or "no verdict") if row["allowed"] else _NOT_COMPARABLE
        low, high = (bound if axes.positive(bound) else None for bound in (row.get("low"), row.get("high")))
        data.append({
            "label": row["label"], "ratio": _cut(row["ratio"]), "low": low and _cut(low), "high": high and _cut(high),
            "state": look.get(state, look["no verdict"])[0], "shown": f"{number(row['ratio'])}×",
            "interval": _times(low, high), "under": low is not None and low < 1 / MOST,
            "over": high is not None and high > MOST,
        })  # fmt: skip
    values = [value for row in data for value in (row["ratio"], row["low"], row["high"]) if value]
    low, high = min([*values, 0.9]), max([*values, 1 / 0.9])
    pad = (high / low) ** 0.06
    domain = [low / pad, high * pad]
    states = [given for given in look.values() if any(row["state"] == given[0] for row in data)]
    x = axes.x("ratio", "candidate over baseline, log scale", {"type": "log", "domain": domain, "nice": False}, axis={
        "values": axes.ratio_ticks(*domain), "labelExpr": "format(datum.value, '.3~g') + '×'",
    })  # fmt: skip
    names = [name for name, *_ in states]
    colour = {"field": "state", "type": "nominal", "legend": {"labelExpr": axes.CUT},
              "scale": {"domain": names, "range": [each for _, each, _ in states]}}  # fmt: skip
    shape = {**colour, "scale": {"domain": names, "range": [each for *_, each in states]}}
    y = axes.y(data)
    tooltip = axes.tooltip(label="case", shown="ratio", interval="interval", state="verdict")
    cut = [
        {"transform": [{"filter": f"datum.{side}"}], "mark": {"type": "text", "text": mark, "fontSize": 14, "dx": dx},
         "encoding": {"x": {"field": end, "type": "quantitative"}, "y": y, "color": colour}}
        for side, mark, end, dx in (("under", "◂", "low", -4), ("over", "▸", "high", 4))
        if any(row[side] for row in data)
    ]  # fmt: skip
    return axes.spec(data, columns=3, height=axes.height(len(data), 26), layer=[
        {"mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 1}}},
        {"transform": [{"filter": axes.BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y, "color": colour,
                      "tooltip": tooltip}},
        *cut,
        {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
         "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": tooltip}},
    ])  # fmt: skip


def _cut(ratio: float) -> float:
    return min(max(ratio, 1 / MOST), MOST)


def _times(low: Any, high: Any) -> str:
    return f"{number(low)} – {number(high)}×" if axes.finite(low) and axes.finite(high) else "none"


def throughput(rows: Sequence[Row], sides: Iterable[str] = ()) -> Spec:
    """Throughput of each case by side. Rows: `label`, `side`, `value`, `low`, `high` (or None) in samples/s."""
    data = [
        {**axes.picked(row, "label", "side", "value", "low", "high"), "shown": show(row["value"], "samples/s"),
         "interval": axes.interval(row["low"], row["high"], "samples/s")}
        for row in rows if axes.positive(row["value"])
    ]  # fmt: skip
    names = axes.sides(data, sides)
    scale, axis = axes.scale([row[key] for row in data for key in ("value", "low", "high")])
    tooltip = axes.tooltip(label="case", side="side", shown="throughput", interval="95% interval")
    place = {"y": axes.y(data), "yOffset": axes.offset(names)}
    return axes.spec(data, height=axes.height(len({row["label"] for row in data}), 18 * max(2, len(names))), layer=[
        {"transform": [{"filter": axes.BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, **place,
                      "color": axes.colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
         "encoding": {"x": axes.x("value", "samples/s", scale, axis=axis), **place, **axes.series(names),
                      "tooltip": tooltip}},
    ])  # fmt: skip


def latency(rows: Sequence[Row], sides: Iterable[str] = ()) -> Spec:
    """Latency of each case by side. Rows: `label`, `side`, `percentile` (p50, p90, p99), `value_s`."""
    data = [
        {**axes.picked(row, "label", "side", "percentile"), "ms": row["value_s"] * 1e3,
         "shown": show(row["value_s"], "s")}
        for row in rows if axes.positive(row["value_s"])
    ]  # fmt: skip
    names = axes.sides(data, sides)
    scale, axis = axes.scale([row["ms"] for row in data])
    tooltip = axes.tooltip(label="case", side="side", percentile="percentile", shown="latency")
    place = {"y": axes.y(data), "yOffset": axes.offset(names)}
    x = axes.x("ms", "ms", scale, axis=axis)
    series = axes.series(names)
    size = {"field": "percentile", "type": "ordinal",
            "legend": {"symbolFillColor": "var(--ink)", "orient": "bottom", "columns": 3},
            "scale": {"domain": list(_PERCENTILES), "range": [120, 60, 24]}}  # fmt: skip
    return axes.spec(data, height=axes.height(len({row["label"] for row in data}), 18 * max(2, len(names))), layer=[
        {"mark": {"type": "line", "strokeWidth": 1.5},
         "encoding": {"x": x, **place, "color": series["color"], "detail": {"field": "label"}}},
        {"mark": {"type": "point", "filled": True, "opacity": 1},
         "encoding": {"x": x, **place, **series, "size": size, "tooltip": tooltip}},
    ])  # fmt: skip


def energy(rows: Sequence[Row], sides: Iterable[str] = ()) -> Spec:
    """Energy per sample against throughput, with a line between the sides of a case.

    Rows: `label`, `side`, `throughput` in samples/s, `energy_j`, and its interval `low`, `high` in J (or None).
    """
    drawn = [row for row in rows if axes.positive(row["throughput"]) and axes.positive(row["energy_j"])]
    factor, unit = joules([row["energy_j"] for row in drawn])
    data = []
    for row in drawn:
        low, high = (None if bound is None else bound * factor for bound in (row["low"], row["high"]))
        data.append({
            **axes.picked(row, "label", "side", "throughput"), "energy": row["energy_j"] * factor,
            "low": low, "high": high, "interval": axes.interval(row["low"], row["high"], "J"),
            "shown": show(row["energy_j"], "J"), "rate": show(row["throughput"], "samples/s"),
        })  # fmt: skip
    names = axes.sides(data, sides)
    last: dict[str, Spec] = {}
    for row in data:  # a case is named beside its last side
        last[row["label"]] = row
    named = [
        {**row, "name": row["label"][:60] if last[row["label"]] is row and len(last) <= 12 else ""} for row in data
    ]
    scale, axis = axes.scale([row["throughput"] for row in data])
    y_scale, y_axis = axes.scale([row[key] for row in data for key in ("energy", "low", "high")])
    x = axes.x("throughput", "throughput, samples/s", scale, axis=axis)
    y = axes.x("energy", f"energy per sample, {unit}", y_scale, axis=y_axis)
    tooltip = axes.tooltip(
        label="case", side="side", shown="energy per sample", interval="95% interval", rate="throughput"
    )
    return axes.spec(named, height=340, layer=[
        {"mark": {"type": "line", "color": "var(--faint)", "strokeWidth": 1},
         "encoding": {"x": x, "y": y, "detail": {"field": "label"}, "order": {"field": "side", "sort": list(names)}}},
        {"transform": [{"filter": axes.BOTH}], "mark": {"type": "rule", "strokeWidth": 1.5},
         "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"},
                      "color": axes.colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
         "encoding": {"x": x, "y": y, **axes.series(names), "tooltip": tooltip}},
        {"name": "names", "transform": [{"filter": "datum.name"}],
         "mark": {"type": "text", "align": "left", "dx": 9, "dy": -7, "limit": 180, "color": "var(--soft)"},
         "encoding": {"x": x, "y": y, "text": {"field": "name"}}},
    ])  # fmt: skip


def sweep(rows: Sequence[Row], sides: Iterable[str] = ()) -> Spec:
    """Throughput against batch size, both log. Rows: as `throughput` has them, and `batch_size`."""
    data = [
        {**axes.picked(row, "label", "side", "batch_size", "value", "low", "high"),
         "shown": show(row["value"], "samples/s"),
         "interval": axes.interval(row["low"], row["high"], "samples/s")}
        for row in rows if axes.positive(row["value"]) and axes.positive(row["batch_size"])
    ]  # fmt: skip
    names = axes.sides(data, sides)
    labels = list(dict.fromkeys(row["label"] for row in data))
    sizes = sorted({row["batch_size"] for row in data})
    scale, axis = axes.scale([row[key] for row in data for key in ("value", "low", "high")], log=True)
    x = axes.x("batch_size", "batch size", {"type": "log", "base": 2, "nice": False, "padding": 16}, axis={
        "values": sizes, "format": "d"})  # fmt: skip
    y = axes.x("value", "samples/s", scale, axis=axis)
    tooltip = axes.tooltip(
        side="side", label="case", batch_size="batch size", shown="throughput", interval="95% interval"
    )
    dash = {
        "field": "label", "type": "nominal", "scale": {"domain": labels, "range": axes.cycle(axes.DASHES, len(labels))},
        "legend": {"symbolStrokeColor": "var(--ink)", "columns": 3, "labelExpr": axes.CUT} if len(labels) > 1 else None,
    }  # fmt: skip
    return axes.spec(data, height=320, layer=[
        {"mark": {"type": "line", "strokeWidth": 2},
         "encoding": {"x": x, "y": y, "color": axes.colour(names), "strokeDash": dash}},
        {"transform": [{"filter": axes.BOTH}], "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"},
                      "color": axes.colour(names), "tooltip": tooltip}},
        {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
         "encoding": {"x": x, "y": y, **axes.series(names), "tooltip": tooltip}},
    ])  # fmt: skip
