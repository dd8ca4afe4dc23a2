"""`gpuprof calibrate-telemetry`: how a device's sensors behave, measured with a load that starts and stops.

What telemetry assumes (the counter's tick, how long the power sensor averages, which device is which) is documented
badly or not at all; this measures it on the card at hand.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gpuprof.absent import Absent
from gpuprof.system import environment
from gpuprof.system.clock import utc_now
from gpuprof.telemetry import ticks
from gpuprof.telemetry.device import Device, NoReading
from gpuprof.telemetry.summary import POWER
from gpuprof.telemetry.ticks import POLL_S

SCHEMA = "gpuprof.calibration/1"
_EDGES, _CALLS = 20, 100
_LEAST_STEP = 0.2  # a load that raises power by less than this share of it shows no averaging time
_LONGEST_S = 120.0

Trace = list[tuple[int, float]]  # (t_ns, watts or joules), oldest first


def calibrate(
    device: Device, load: Callable[[], tuple[Callable[[], bool], int]], *,
    clock: Callable[[], int] = time.monotonic_ns, wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:  # fmt: skip
    """Everything about one device, as a part of `document`. Raises Lost.

    `load` starts the load and returns (a function that tells whether it still runs, when it began in ns of `clock`).
    """
    result: dict[str, Any] = {
        "device": device.id,
        "simulated": device.simulated,
        "identity": {key: value.model_dump() for key, value in device.identity().items()},
        "counter": counter(device, clock, wait),
        "calls_s": calls(device, clock, wait),
    }
    traces, counted, start_ns, end_ns = _watch_load(device, load, clock, wait)
    result["power"] = {
        key: sensor(trace, start_ns, end_ns) if trace else {"absent": "this device does not report it"}
        for key, trace in traces.items()
    }
    result["agreement"] = agreement(traces, counted, start_ns, end_ns)
    result["load"] = {"start_ns": start_ns, "end_ns": end_ns}
    return result


def counter(device: Device, clock: Callable[[], int], wait: Callable[[float], None]) -> dict[str, Any]:
    """The energy counter's tick, from 20 edges on the device as it is; {"absent": reason} where it has none."""
    edges = ticks.watch({"": device.energy_j}, clock, wait, count=_EDGES)[""]
    if isinstance(edges, Absent):
        return {"absent": edges.reason}
    gaps = sorted((b.t_ns - a.t_ns) / 1e9 for a, b in pairwise(edges))
    steps = [b.energy_j - a.energy_j for a, b in pairwise(edges)]
    return {
        "tick_s": statistics.median(gaps),
        "tick_min_s": gaps[0],
        "tick_max_s": gaps[-1],
        "edges": len(edges),
        "smallest_step_j": min(steps),
        "power_w": ticks.draw(edges).power_w,
        "resolution_of_this_s": statistics.median(edge.slack_s for edge in edges),
    }


def calls(device: Device, clock: Callable[[], int], wait: Callable[[float], None]) -> dict[str, Any]:
    """Seconds that each call of a sample takes (p50, p99, max of 100), by its signals joined with "+"."""
    result = {}
    for probe in device.probes():
        if not probe.keys:
            continue  # of the signals that a device lacks, where it lacks none
        took = []
        for _ in range(_CALLS):
            wait(0.01)  # with caches as cold as between samples
            started = clock()
            probe.call()
            took.append((clock() - started) / 1e9)
        took.sort()
        result["+".join(probe.keys)] = {"p50": took[_CALLS // 2], "p99": took[int(0.99 * _CALLS) - 1], "max": took[-1]}
    return result


def _watch_load(
    device: Device, load: Callable[[], tuple[Callable[[], bool], int]], clock: Callable[[], int],
    wait: Callable[[float], None],
) -> tuple[dict[str, Trace], Trace, int, int]:  # fmt: skip
    """(power by signal, energy, start_ns, end_ns): readings from two seconds before the load until two after it."""
    traces: dict[str, Trace] = {key: [] for key in POWER}
    counted: Trace = []
    probe = next(probe for probe in device.probes() if set(probe.keys) & set(POWER))

    def look() -> None:
        t = clock()
        for key, value in zip(probe.keys, probe.call(), strict=True):
            if key in traces and not isinstance(value, NoReading):
                traces[key].append((t, value))
        if not isinstance(joules := device.energy_j(), NoReading):
            counted.append((t, joules))

    def idle(seconds: float) -> None:
        until = clock() + int(seconds * 1e9)
        while clock() < until:
            look()
            wait(POLL_S)

    idle(2.0)
    runs, start_ns = load()
    while runs() and clock() - start_ns < _LONGEST_S * 1e9:
        look()
        wait(POLL_S)
    end_ns = clock()
    idle(2.0)
    return traces, counted, start_ns, end_ns


def sensor(trace: Sequence[tuple[int, float]], start_ns: int, end_ns: int) -> dict[str, Any]:
    """Update period and averaging time of one power reading, from its response to the load's beginning.

    A reading that is the mean of the last w seconds rises from 10% to 90% of a step in 0.8 w, but no faster than it is
    renewed. `update_s` and `window_s` are None where the trace does not show them, with the reason under `absent_...`.
    """
    changes = [t for (_, a), (t, b) in pairwise(trace) if a != b]
    gaps = [(b - a) / 1e9 for a, b in pairwise(changes)]
    result: dict[str, Any] = {"changes": len(changes), "update_s": statistics.median(gaps) if len(gaps) >= 5 else None}
    if result["update_s"] is None:
        result["absent_update"] = f"too few changes ({len(changes)}) to tell"
    low = [w for t, w in trace if t < start_ns]
    high = [w for t, w in trace if (start_ns + end_ns) / 2 <= t <= end_ns]
    if not low or not high:
        return result | {"window_s": None, "absent_window": "the load was too short"}
    floor, top = statistics.median(low), statistics.median(high)
    result |= {"idle_w": floor, "load_w": top}
    if top - floor < _LEAST_STEP * max(top, 1.0):
        no_step = f"no power step: {floor:.0f} W before the load, {top:.0f} W during it"
        return result | {"window_s": None, "absent_window": no_step}
    crossed = {}
    for share in (0.1, 0.9):
        level = floor + share * (top - floor)
        crossed[share] = next(t for t, w in trace if t >= start_ns and w >= level)
    rise_s = (crossed[0.9] - crossed[0.1]) / 1e9
    result |= {"delay_s": (crossed[0.1] - start_ns) / 1e9, "rise_s": rise_s, "window_s": rise_s / 0.8}
    least_s = result["update_s"] or POLL_S
    if rise_s <= least_s:
        result |= {"window_s": None, "absent_window": f"rises within one update: shorter than {least_s:.3g} s"}
    return result


def agreement(
    traces: Mapping[str, Sequence[tuple[int, float]]], counted: Sequence[tuple[int, float]], start_ns: int, end_ns: int
) -> dict[str, Any]:
    """Mean power in the second half of the load by each reading, as a ratio to the energy counter's."""
    middle = (start_ns + end_ns) / 2
    inside = [(t, joules) for t, joules in counted if middle <= t <= end_ns]
    moves = [b for a, b in pairwise(inside) if a[1] != b[1]]
    if len(moves) < 2:
        return {"absent": "no energy counter moved under load"}
    counter_w = (moves[-1][1] - moves[0][1]) / (moves[-1][0] - moves[0][0]) * 1e9
    means = {
        key: statistics.fmean(w for t, w in trace if middle <= t <= end_ns) / counter_w
        for key, trace in traces.items()
        if any(middle <= t <= end_ns for t, _ in trace)
    }
    return {"counter_w": counter_w, "over_counter": means}


def document(devices: Sequence[dict[str, Any]], mapping: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `--json` prints: this machine, which device each of torch's is, and the results of `calibrate`."""
    facts = environment.describe()
    return {
        "schema": SCHEMA,
        "measured_at": utc_now(),
        "hostname": facts["hostname"],
        "kernel": facts["kernel"],
        "gpuprof": facts["gpuprof"],
        "mapping": list(mapping),
        "devices": list(devices),
    }
