"""Sampled signals of one process of a run, for a chart over time. From raw.npz and the phases in the record."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gpuprof.analysis.evidence import Evidence
from gpuprof.errors import StoreError
from gpuprof.report.charts.pictures import Timeline
from gpuprof.store.raw import Raw, read_raw

# Quantity, the signals that have it (the first that was sampled counts), and the factor to the chart's unit.
_QUANTITIES = (
    ("power", ("power_instant_w", "power_average_w"), 1.0),
    ("temperature", ("temperature_core_c", "temperature_hotspot_c"), 1.0),
    ("core clock", ("core_clock_hz",), 1e-6),
)


def of(*sides: tuple[str, Evidence]) -> Timeline:
    """The signals of each side's newest run, under the side's name.

    A run without samples, or whose raw.npz cannot be read, has no rows.
    """
    rows: list[dict[str, Any]] = []
    phases: list[dict[str, Any]] = []
    for name, side in sides:
        if side.newest is None or side.newest.sampled is None:
            continue
        prefix, marks = side.newest.sampled
        try:
            raw = read_raw(Path(side.newest.where), prefix)
        except StoreError:
            continue  # the record is of use without its raw series
        rows += _rows(raw, prefix, name)
        phases += [{"side": name, "name": phase, "start_s": start, "end_s": end} for phase, start, end in marks]
    return Timeline(rows, phases)


def _rows(raw: Raw, prefix: str, side: str) -> list[dict[str, Any]]:
    times, rows = raw.get(prefix + "t_s", []), []
    for quantity, signals, factor in _QUANTITIES:
        values = next((raw[prefix + signal] for signal in signals if prefix + signal in raw), [])
        rows += [
            {"t_s": t, "side": side, "quantity": quantity, "value": value * factor}
            for t, value in zip(times, values, strict=False)
            if math.isfinite(value)
        ]
    return rows
