"""`gpuprof calibrate-telemetry`: how a device's sensors behave, measured with a load that starts and stops.

What telemetry assumes (the counter's tick, how long the power sensor averages, which device is which) is documented
badly or not at all; this measures it on the card at hand.
"""

from __future__ import annotations

import gzip
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from gpuprof.absent import Absent
from gpuprof.system import environment
from gpuprof.system.clock import utc_now
from gpuprof.system.files import to_file
from gpuprof.telemetry import energy, ticks
from gpuprof.telemetry.device import Device, NoReading
from gpuprof.telemetry.summary import POWER
from gpuprof.telemetry.ticks import POLL_S

SCHEMA = "gpuprof.calibration/1"
_EDGES, _CALLS = 20, 100
_LEAST_STEP = 0.2  # a load that raises power by less than this share of it shows no averaging time
_LONGEST_S = 120.0

# Trains of pulses: their phases are random, so that no sensor's own period hides in step with them. A counter that
# sees all of the time tells the same of each (an H100's 510 to 544 W), one that sees 25 of 100 ms anything from idle
# to full load.
TRAINS, _PERIOD_S = 8, 0.1
_MOST_SPREAD = 0.25  # of the mean power
_LAGS_S = 0.03  # less is what the edges of a counter with a tick of 100 ms leave open

Trace = list[tuple[int, float]]  # (t_ns, watts or joules), oldest first


class Load(Protocol):
    """What `supervisor.load.Loaded` is."""

    @property
    def runs(self) -> Callable[[], bool]:
        """Whether it still does."""

    @property
    def start_ns(self) -> int:
        """When it began."""

    @property
    def marks(self) -> Mapping[str, Any]:
        """What `worker.load.load` returns, once it has ended; empty of a load that says nothing."""


def phases_s(rng: random.Random) -> list[float]:
    """One for each train: evenly spread over a period, all moved by the same random part of it."""
    moved = rng.random()
    return [(moved + train / TRAINS) % 1.0 * _PERIOD_S for train in range(TRAINS)]


def calibrate(
    device: Device, load: Callable[[], Load], *,
    clock: Callable[[], int] = time.monotonic_ns, wait: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Any], dict[str, Trace]]:  # fmt: skip
    """(everything about one device, as a part of `document`; the readings that it comes from). Raises Lost.

    `load` starts a load; times are ns of `clock`.
    """
    result: dict[str, Any] = {
        "device": device.id,
        "simulated": device.simulated,
        "identity": {key: value.model_dump() for key, value in device.identity().items()},
        "counter": counter(device, clock, wait),
        "calls_s": calls(device, clock, wait),
    }
    traces, counted, start_ns, end_ns, trains = _watch_load(device, load, clock, wait)
    result["power"] = {
        key: sensor(trace, start_ns, end_ns) if trace else {"absent": "this device does not report it"}
        for key, trace in traces.items()
    }
    result["agreement"] = agreement(traces, counted, start_ns, end_ns)
    result["load"] = {"start_ns": start_ns, "end_ns": end_ns}
    result["lag"] = lag(counted, end_ns)
    result["pulses"] = pulses(traces, counted, trains)
    result["finding"] = finding(result)
    return result, traces | {"energy_j": counted}


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
    device: Device, load: Callable[[], Load], clock: Callable[[], int], wait: Callable[[float], None]
) -> tuple[dict[str, Trace], Trace, int, int, list[list[int]]]:
    """(power by signal, energy, start_ns, end_ns, trains), from two seconds before the load until two after it.

    Start and end are of its steady part.
    """
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
    loaded = load()
    while loaded.runs() and clock() - loaded.start_ns < _LONGEST_S * 1e9:
        look()
        wait(POLL_S)
    end_ns = clock()
    idle(2.0)
    marks = loaded.marks
    return traces, counted, loaded.start_ns, marks.get("end_ns", end_ns), marks.get("trains", [])


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


def lag(counted: Trace, end_ns: int) -> dict[str, Any]:
    """How old the counter's joules are when it moves, from the end of the steady load; {"absent": reason} else.

    Where the line through its edges under load meets that through its edges at rest, less the end. What a device draws
    while it comes to rest is in it as well, so that it may be too long.
    """
    moved = _moved(counted)
    before = [m for m in moved if end_ns - 3_000_000_000 <= m[0] <= end_ns]
    after = [m for m in moved if end_ns + 400_000_000 <= m[0] <= end_ns + 2_000_000_000]
    if len(before) < 3 or len(after) < 3:
        return {"absent": "the energy counter moved too seldom around the end of the load"}
    (power, at), (rest, at_rest) = (
        statistics.linear_regression([(t - end_ns) / 1e9 for t, _ in part], [joules for _, joules in part])
        for part in (before, after)
    )
    if power - rest < _LEAST_STEP * power:
        return {"absent": "no power step at the end of the load"}
    return {"lag_s": (at_rest - at) / (power - rest)}


def pulses(traces: Mapping[str, Trace], counted: Trace, trains: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Mean power of each train by the counter and by each power reading, and how far those of the counter lie apart.

    From 300 ms after the train's start on, when a lagging counter has got there; by the counter from edge to edge.
    """
    if not trains:
        return {"absent": "the load was not pulsed"}
    found = []
    for start, end, on in trains:
        settled = start + 300_000_000
        inside = [m for m in _moved(counted) if settled <= m[0] <= end]
        known = len(inside) >= 3
        found.append(
            {
                "phase": start / 1e9 % _PERIOD_S / _PERIOD_S,
                "on": on / (end - start),
                "counter_w": (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]) * 1e9 if known else None,
            }
            | {
                key: statistics.fmean(watts) if (watts := [w for t, w in trace if settled <= t <= end]) else None
                for key, trace in traces.items()
            }
        )
    watts = [train["counter_w"] for train in found if train["counter_w"] is not None]
    spread = (max(watts) - min(watts)) / statistics.fmean(watts) if len(watts) == len(found) else None
    return {"period_s": _PERIOD_S, "trains": found, "spread": spread}


def finding(result: Mapping[str, Any]) -> dict[str, str]:
    """What kind of counter it is, and in a sentence what that means for a run's energy."""
    if "absent" in result["counter"]:
        kind = "frozen" if "did not move" in result["counter"]["absent"] else "none"
        return {"kind": kind, "means": result["counter"]["absent"]}
    spread = result["pulses"].get("spread")
    if spread is not None and spread > _MOST_SPREAD:
        means = f"equal pulses read up to {spread:.0%} apart, by their phase: the counter sees a part of the time"
        return {"kind": "part-time", "means": means}
    ratios = result["agreement"].get("over_counter", {})
    if ratios and not any(energy.AGREEMENT[0] <= ratio <= energy.AGREEMENT[1] for ratio in ratios.values()):
        off = " and ".join(f"{ratio:.2f}" for ratio in ratios.values())
        return {"kind": "mis-scaled", "means": f"sampled power under a steady load is {off} times the counter's"}
    lag_s = result["lag"].get("lag_s")
    if lag_s is not None and lag_s > ticks.LONGEST_LAG_S:
        means = f"its joules are up to {lag_s * 1e3:.0f} ms old, more than a run's energy allows for"
        return {"kind": "late", "means": means}
    if spread is None or lag_s is None or not ratios:
        tried = {"that it sees all of the time": spread, "how old its joules are": lag_s, "its scale": ratios or None}
        return {"kind": "unproven", "means": f"not shown: {', '.join(k for k, v in tried.items() if v is None)}"}
    if lag_s > max(_LAGS_S, 0.3 * result["counter"]["tick_s"]):
        means = f"its joules are up to {lag_s * 1e3:.0f} ms old, which a run's energy allows for"
        return {"kind": "lagging", "means": means}
    return {"kind": "ideal", "means": "all of the time is counted, at once"}


def _moved(counted: Trace) -> list[tuple[int, float]]:
    """(when, joules) of the counter's moves: between the reading before and the first that has the new value."""
    return [((a[0] + b[0]) // 2, b[1]) for a, b in pairwise(counted) if a[1] != b[1]]


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


def write(readings: Mapping[str, Mapping[str, Trace]], path: Path) -> None:
    """Every reading of every device, by its time in ns of CLOCK_MONOTONIC; compressed where the name ends with .gz.

    Raises GpuprofError where it cannot be written.
    """
    rows = sorted(
        (t, device, signal, value)
        for device, traces in readings.items() for signal, trace in traces.items() for t, value in trace
    )  # fmt: skip
    lines = ["t_ns,device,signal,value", *(f"{t},{device},{signal},{value:.6f}" for t, device, signal, value in rows)]
    content = "\n".join([*lines, ""]).encode("ascii")
    to_file(path, gzip.compress(content) if path.suffix == ".gz" else content, through_link=True)
