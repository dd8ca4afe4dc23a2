"""The chart over time."""

from __future__ import annotations

import re

import pytest

from gpuprof.report.charts import drawing, over_time
from gpuprof.report.charts.over_time import timeline


def test_a_long_timeline_is_thinned_and_keeps_its_peak():
    rows = [{"t_s": t / 10, "side": "x", "quantity": "power_instant_w", "value": 300.0 + t % 7} for t in range(20_000)]
    rows[7_777]["value"] = 999.0
    rows.append({"t_s": 1.0, "side": "x", "quantity": "core_clock_hz", "value": 1.9e9})
    spec = timeline(rows, [{"side": "x", "name": "warm-up", "start_s": 0, "end_s": 60}])
    assert [view["name"] for view in spec["vconcat"]] == ["phases", "power", "core"]
    power, clock = (view["data"]["values"] for view in spec["vconcat"][1:])
    assert len(power) <= 240
    assert max(point["value"] for point in power) == 999.0
    assert clock[0]["shown"] == "1,900 MHz"


def test_no_line_is_drawn_across_a_pause():
    times = [0.0, 0.1, 0.2, 0.3, 3.0, 3.1, 3.2]
    rows = [{"t_s": t, "side": "x", "quantity": "power_instant_w", "value": 300.0} for t in times]
    (view,) = timeline(rows)["vconcat"]
    values = [point["value"] for point in view["data"]["values"]]
    assert values == [300.0] * 4 + [None] + [300.0] * 3
    (path,) = re.findall(r'mark-line.*?<path d="([^"]*)"', drawing.svg(timeline(rows)))
    assert path.count("M") == 2


@pytest.mark.parametrize(("days", "form"), [(1, "%m-%d %H:%M"), (3, "%m-%d %H:%M"), (4, "%Y-%m-%d"), (40, "%Y-%m-%d")])
def test_times_on_an_axis_are_written_alike_and_by_24_hours(days, form):
    rows = [
        {"at": f"2026-{10 + day // 28:02d}-{1 + day % 28:02d}T23:00:00Z", "run": "r", "value": 1.0, "level": 1.0,
         "segment": 0}
        for day in range(days)
    ]  # fmt: skip
    spec = over_time.history(rows, [], "throughput", "samples/s")
    axes = [layer["encoding"]["x"]["axis"]["format"] for layer in spec["layer"]]
    assert set(axes) == {form}
