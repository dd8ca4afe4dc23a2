"""bencher: {"benchmark": {"measure": {"value", "lower_value", "upper_value"}}}, the newest measurement of each.

`latency` (p50, in ns) and `throughput` (samples a second) are Bencher's own measures with their own units. Every other
measure is created under its name here, which therefore ends with its unit; times are in ns throughout.
https://bencher.dev/docs/reference/bencher-metric-format
"""

from __future__ import annotations

import json

from gpuprof.absent import Absent
from gpuprof.export.runs import Runs, benchmark_name, newest
from gpuprof.metrics import METRICS, Metric
from gpuprof.record.case import Case

_BUILT_IN = {"latency_p50_s": "latency", "throughput_per_s": "throughput"}
_NS_PER_S = 1e9


def render(runs: Runs) -> str:
    """A JSON object by benchmark name. Cases without any value are left out."""
    benchmarks = {benchmark_name(record, case): _measures(case) for record, case in newest(runs, benchmark_name)}
    measured = {name: measures for name, measures in benchmarks.items() if measures}
    return json.dumps(measured, indent=1, allow_nan=False) + "\n"


def measure(metric: Metric) -> str:
    """The slug that Bencher knows the metric by, such as latency-p99-ns; at most 64 characters."""
    key = f"{metric.key.removesuffix('_s')}_ns" if metric.unit == "s" else metric.key
    return _BUILT_IN.get(metric.key, key.replace("_", "-"))


def _measures(case: Case) -> dict[str, dict[str, float]]:
    """By slug, the value and the bounds of its interval, where it has one."""
    measures = {}
    for metric in METRICS:
        reading = metric.read(case)
        if isinstance(reading, Absent):
            continue
        bounds = dict(zip(("lower_value", "upper_value"), reading.ci95 or (), strict=False))
        values = {"value": reading.value, **bounds}
        scale = _NS_PER_S if metric.unit == "s" else 1
        measures[measure(metric)] = {name: value * scale for name, value in values.items()}
    return measures
