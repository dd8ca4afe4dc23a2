"""chrome-trace: phases and sensors over time as Chrome trace JSON, for https://ui.perfetto.dev and chrome://tracing.

A process is a device, a thread one case of one run; slices are its repeats and their phases, counters the sensors'
samples. Times are microseconds. Within a run everything is on CLOCK_MONOTONIC, exactly. Runs are placed beside each
other by the wall-clock start of their first process, which is off by the seconds that a process takes to come up. A
counter has no gaps in this format: where no sample was taken, viewers continue the last one.
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gpuprof import __version__
from gpuprof.export.runs import Runs, in_order
from gpuprof.record.case import Case
from gpuprof.record.repeat import Repeat
from gpuprof.record.run import RunRecord
from gpuprof.system.clock import moment
from gpuprof.text import cleaned, one_line

Event = dict[str, Any]
# Suffix of a signal -> the unit of its track, and the factor from the signal's own unit.
_COUNTERS = (("_w", "W", 1.0), ("_c", "°C", 1.0), ("_hz", "MHz", 1e-6), ("_pct", "%", 1.0))


def render(runs: Runs) -> str:
    """A JSON object with `traceEvents`; the earliest run begins at 0."""
    events: list[Event] = []
    processes: dict[tuple[Any, ...], int] = {}
    begun = [start for record, _ in runs if (start := _begun(record)) is not None]
    tid = 0
    for record, raw in in_order(runs):
        device = record.device
        identity = (record.environment.hostname, record.simulated, device.kind, device.index, device.uuid, device.name)
        if identity not in processes:
            processes[identity] = len(processes) + 1
            events.append(_name("process", processes[identity], 0, _process_name(record)))
        pid = processes[identity]
        # CLOCK_MONOTONIC differs from boot to boot: within a run times count from its first mark (`origin`), and the
        # run is shifted by how much later than the earliest one it began.
        origin = min((phase.start_ns for case in record.cases for r in case.repeats for phase in r.phases), default=0)
        start = _begun(record)
        offset_us = 0.0 if start is None else (start - min(begun)).total_seconds() * 1e6
        series = raw()
        for case in record.cases:
            tid += 1
            events.append(_name("thread", pid, tid, one_line(f"{case.case_id} {record.run_id}")))
            for repeat in case.repeats:
                for event in _repeat(record, case, repeat, series):
                    at = offset_us + (event.pop("ns") - origin) / 1e3
                    events.append({**event, "pid": pid, "tid": tid, "ts": at})
    metadata = {
        "gpuprof": __version__, "simulated": any(record.simulated for record, _ in runs),
        "clock": "microseconds; CLOCK_MONOTONIC within a run, runs placed by their wall-clock start",
    }  # fmt: skip
    document = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": metadata}
    return json.dumps(cleaned(document), allow_nan=False) + "\n"


def _begun(record: RunRecord) -> datetime | None:
    """When the first process with marks was started, by the wall clock; None without one."""
    marked = [repeat for case in record.cases for repeat in case.repeats if repeat.phases]
    first = min(marked, key=lambda repeat: min(phase.start_ns for phase in repeat.phases), default=None)
    return None if first is None else moment(first.started_at)


def _process_name(record: RunRecord) -> str:
    device = record.device
    which = device.kind if device.index is None else f"{device.kind}:{device.index}"
    mark = "SIMULATED " if record.simulated else ""
    return one_line(f"{mark}{which} {device.name} on {record.environment.hostname}")


def _name(what: str, pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "name": f"{what}_name", "pid": pid, "tid": tid, "args": {"name": name}}


def _repeat(record: RunRecord, case: Case, repeat: Repeat, series: Mapping[str, Sequence[float]]) -> Iterator[Event]:
    """The events of a repeat, with `ns` on CLOCK_MONOTONIC in place of `ts`; none without marks."""
    if not repeat.phases:
        return
    start, end = min(phase.start_ns for phase in repeat.phases), max(phase.end_ns for phase in repeat.phases)
    facts = {"outcome": repeat.outcome, "reason": repeat.reason, "order": repeat.order, "simulated": record.simulated}
    yield _slice(f"repeat {repeat.index + 1}", start, end, facts)
    for phase in repeat.phases:
        yield _slice(phase.name, phase.start_ns, phase.end_ns, _results(repeat, phase.name))
    prefix = f"{case.case_id}/{repeat.index}/telemetry/"
    times = series.get(f"{prefix}t_s", ())
    for key, values in sorted(series.items()):
        signal = key.removeprefix(prefix)
        unit = next(((unit, scale) for suffix, unit, scale in _COUNTERS if signal.endswith(suffix)), None)
        if signal == key or unit is None:
            continue
        name, scale = f"{signal.rpartition('_')[0].replace('_', ' ')} ({unit[0]})", unit[1]
        for t, value in zip(times, values, strict=False):
            if math.isfinite(t * 1e9) and math.isfinite(value):
                yield {
                    "ph": "C",
                    "name": name,
                    "cat": "sensor",
                    "ns": start + t * 1e9,
                    "args": {unit[0]: value * scale},
                }


def _slice(name: str, start_ns: int, end_ns: int, facts: Mapping[str, Any]) -> Event:
    args = {key: value for key, value in facts.items() if value is not None}
    dur = max(0, end_ns - start_ns) / 1e3
    return {"ph": "X", "name": name, "cat": "gpuprof", "ns": start_ns, "dur": dur, "args": args}


def _results(repeat: Repeat, phase: str) -> dict[str, Any]:
    """The numbers shown for a slice that is clicked on; None where not measured."""
    rate, latency = repeat.throughput, repeat.latency
    energy = repeat.telemetry.energy.get(phase) if repeat.telemetry is not None else None
    results: dict[str, Any] = {"energy_j": None if energy is None else energy.energy_j}
    if phase == "throughput" and rate is not None:
        results |= {"samples_per_s": rate.samples_per_s, "steps": rate.steps}
    if phase == "latency" and latency is not None:
        results |= {"p50_s": latency.p50, "p99_s": latency.p99, "requests": latency.requests}
    return results
