"""Charts of cases: their order, axes, colours and units."""

from __future__ import annotations

import pytest

from gpuprof.report.charts import cases as charts


def _marks(spec, kind):
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == kind]


def test_ratios_keep_their_order_and_say_what_may_not_be_compared():
    rows = [
        {"label": "a", "ratio": 1.5, "low": None, "high": None, "verdict": "faster", "allowed": False},
        {"label": "b", "ratio": 0.5, "low": 0.4, "high": 0.6, "verdict": "slower", "allowed": True},
        {"label": "c", "ratio": 0.0, "low": None, "high": None, "verdict": "", "allowed": True},
    ]
    spec = charts.ratios(rows)
    assert [(row["label"], row["state"], row["interval"]) for row in spec["data"]["values"]] == [
        ("a", "not comparable", "none"), ("b", "slower", "0.4000 – 0.6000×"),
    ]  # fmt: skip
    (points,) = _marks(spec, "point")
    assert points["encoding"]["y"]["scale"]["domain"] == ["a", "b"]
    assert len(set(points["encoding"]["shape"]["scale"]["range"])) == 2
    assert points["encoding"]["x"]["scale"]["domain"][0] < 0.4
    assert 1 in points["encoding"]["x"]["axis"]["values"]


@pytest.mark.parametrize(("high", "kind"), [(15.0, None), (400.0, "log")])
def test_far_apart_values_take_a_log_axis(high, kind):
    rows = [{"label": "a", "side": s, "value": v, "low": None, "high": None} for s, v in (("x", 1.0), ("y", high))]
    (points,) = _marks(charts.throughput(rows), "point")
    assert points["encoding"]["x"]["scale"].get("type") == kind


def test_sides_keep_their_colour_when_one_of_them_is_missing():
    rows = [{"label": "a", "side": "y", "value": 1.0, "low": None, "high": None}]
    (points,) = _marks(charts.throughput(rows, {"x": "var(--amd)", "y": "var(--nvidia)"}), "point")
    assert points["encoding"]["color"]["scale"] == {"domain": ["x", "y"], "range": ["var(--amd)", "var(--nvidia)"]}
    assert points["encoding"]["shape"]["scale"]["range"] == ["circle", "diamond"]


def test_latency_is_in_milliseconds_and_energy_in_readable_joules():
    (row,) = charts.latency([{"label": "a", "side": "x", "percentile": "p50", "value_s": 0.0125}])["data"]["values"]
    assert (row["ms"], row["shown"]) == (12.5, "12.50 ms")
    (row,) = charts.energy([
        {"label": "a", "side": "x", "throughput": 1e3, "energy_j": 0.025, "low": 0.02, "high": 0.03},
    ])["data"]["values"]  # fmt: skip
    assert (row["energy"], row["shown"], row["interval"]) == (25.0, "25.00 mJ", "20.00 mJ – 30.00 mJ")
