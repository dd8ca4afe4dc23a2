"""The result of a night as an OpenMetrics textfile for node_exporter."""

from __future__ import annotations

import contextlib
import socket
import time

from gpuprof.analysis import history as following
from gpuprof.errors import StoreError
from gpuprof.export import openmetrics
from gpuprof.nightly.night import METRIC, Night
from gpuprof.store import runs


def _labels(series: following.Series) -> str:
    """The labels of the run's own metrics, so that both can be joined, and whatever else tells series apart."""
    point = series.points[-1]
    facts = point.facts.data
    labels = {
        "model": series.device, "machine": series.machine, "hostname": socket.gethostname(),
        "simulated": str(series.simulated).lower(), "case": point.static.data["case_id"],
        "config": str(facts.get("config_file", "")), "protocol": str(facts.get("protocol", {}).get("name", "")),
    }  # fmt: skip
    return ",".join(f'{name}="{openmetrics.escape(value)}"' for name, value in labels.items())


def textfile(night: Night) -> str:
    """Tonight's runs as `gpuprof export openmetrics` has them, then counts, ratios and the end of the night.

    A run that cannot be read any more is left out.
    """
    records = []
    for name in night.runs:
        with contextlib.suppress(StoreError):  # the report and the line have it among the failures
            records.append((runs.read(night.plan.store / name), dict))
    lines = openmetrics.render(records).removesuffix("# EOF\n").splitlines()
    families = (
        ("gpuprof_nightly_regressions", "cases that got worse", [("", len(night.worse))]),
        ("gpuprof_nightly_failed", "configurations that failed", [("", len(night.failed))]),
        ("gpuprof_nightly_ratio", f"newest {METRIC} relative to earlier nights", [
            (f"{{{_labels(series)}}}", series.newest.ratio) for series in night.judged if series.newest is not None
        ]),
        ("gpuprof_nightly_cannot_tell", "cases of which a change of 10% would not show yet",
         [("", sum(not series.can_tell() for series in night.judged))]),
        ("gpuprof_nightly_worse", "1 where the case got worse", [
            (f"{{{_labels(series)}}}", int(any(worse.series is series for worse in night.worse)))
            for series in night.judged
        ]),
        ("gpuprof_nightly_resolution_ratio", f"smallest relative change of {METRIC} that would show", [
            (f"{{{_labels(series)}}}", series.resolution) for series in night.judged if series.resolution is not None
        ]),
        ("gpuprof_nightly_finished_timestamp_seconds", "time the last night finished", [("", round(time.time(), 3))]),
    )  # fmt: skip
    for name, about, samples in families:
        if samples:
            unit = [f"# UNIT {name} {word}" for word in ("seconds", "ratio") if name.endswith(f"_{word}")]
            lines += [f"# TYPE {name} gauge", *unit, f"# HELP {name} {about}"]
            lines += [f"{name}{labels} {value!r}" for labels, value in samples]
    return "".join(f"{line}\n" for line in (*lines, "# EOF"))
