"""Samples and counter readings -> the energy and conditions of a window, in a run or of a monitored command. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuprof.absent import Absent
from gpuprof.record.part import SensorReading, Summary
from gpuprof.record.repeat import Energy
from gpuprof.telemetry import energy, summary
from gpuprof.telemetry.device import LASTING, NoReading, ThrottleCounters, reading
from gpuprof.telemetry.energy import WindowEnergy
from gpuprof.telemetry.sampler import Feed
from gpuprof.telemetry.ticks import Bracket, Draw, Edge
from gpuprof.throttling import NONE, throttled

Brackets = tuple[Bracket, Sequence[Edge]]  # the counter before a window and after it
_ABSURD, _FEW = 2.0, 5
_CACHED_J = 5.0  # vendor libraries may answer from a cache of some milliseconds
THROTTLED = 0.01  # a reason that held for less of the window is not worth a warning
SLOW = 0.8  # of the rate asked for


@dataclass(frozen=True)
class Judged:
    """The energy of a window: by the counter, by the better of the two estimators, and integrated from samples.

    `best` is the counter's where it can be used, else the trapezoid; `trapezoid` is then absent, as it has no other to
    be compared with.
    """

    counted: WindowEnergy | Absent
    best: WindowEnergy | Absent
    trapezoid: WindowEnergy | Absent


def judge(
    feed: Feed, power_signal: str | None, start_ns: int, end_ns: int, brackets: Brackets | Absent,
    idle: Draw | None, lag_s: tuple[float, float] | None = None, *, trusted: bool = False,
) -> Judged:  # fmt: skip
    """The energy of [start, end], by both estimators.

    `power_signal` is the signal to integrate, None where the device has none; `brackets` are the counter's edge before
    the window and all edges after it; `idle` is the floor, None where it is not known; `lag_s` the counter's lag.
    Where a counter that no calibration has shown to be right (`trusted`) is far from the sampled power, there is no
    energy: which of them is wrong cannot be told.
    """
    counted = _counted(feed, brackets, start_ns, end_ns, idle, lag_s)
    integrated: WindowEnergy | Absent = Absent("this device reports no power")
    if power_signal is not None:
        columns = feed.between(start_ns, end_ns)
        pairs = [(int(t), w) for t, w in zip(columns["t_ns"], columns[power_signal], strict=True) if w == w]
        integrated = energy.by_power(
            [t for t, _ in pairs], [w for _, w in pairs], start_ns, end_ns,
            window_s=power_window_s(feed, power_signal), idle=idle,
        )  # fmt: skip
    if not isinstance(counted, Absent):
        absurd = None if trusted or power_signal is None else _absurd(feed, power_signal, start_ns, counted)
        return Judged(absurd or counted, absurd or counted, integrated)
    if not isinstance(integrated, Absent):
        return Judged(counted, integrated, Absent("energy itself was integrated from power"))
    # Where there is no power sensor either, the counter's fault is reason enough.
    neither = counted if power_signal is None else Absent(f"{counted.reason}; {integrated.reason}")
    return Judged(counted, neither, integrated)


def _counted(
    feed: Feed, brackets: Brackets | Absent, start_ns: int, end_ns: int, idle: Draw | None,
    lag_s: tuple[float, float] | None,
) -> WindowEnergy | Absent:  # fmt: skip
    if isinstance(brackets, Absent):
        return brackets
    return _fell(feed, *brackets) or energy.by_counter(*brackets, start_ns, end_ns, idle, lag_s)


def _absurd(feed: Feed, power_signal: str, start_ns: int, counted: WindowEnergy) -> Absent | None:
    """What is wrong where counter and sampled power differ by more than a factor of two, in windows of any length.

    Sensors that see a part of the time err by less, unless a load keeps step with them. Nothing is said where both
    cover different hardware, or where the sensor's average reaches back beyond the window in all but a few samples.
    """
    power = feed.device.power
    if power.energy_covers != power.scope:
        return None
    end_ns = start_ns + int(counted.seconds * 1e9)
    settled_ns = start_ns + int(power_window_s(feed, power_signal) * 1e9)
    watts = [w for w in feed.between(settled_ns, end_ns)[power_signal] if w == w]
    if len(watts) < _FEW:
        return None
    sampled_w, counted_w = statistics.fmean(watts), counted.energy_j / counted.seconds
    if sampled_w <= _ABSURD * counted_w and counted_w <= _ABSURD * sampled_w:
        return None
    return Absent(
        f"it counted {counted_w:.0f} W where {sampled_w:.0f} W were sampled: "
        "one of them is wrong, and gpuprof calibrate-telemetry tells which"
    )


def _fell(feed: Feed, opening: Bracket, after: Sequence[Edge]) -> Absent | None:
    """The fault of a counter that was reset. It may end above its beginning all the same: the samples show the fall."""
    low, high = opening.edge, after[-1]
    between = feed.between(low.t_ns, high.t_ns).get("energy_j", [])
    readings = [low.energy_j, *(joules for joules in between if joules == joules), high.energy_j]
    fell = max(a - b for a, b in pairwise(readings))
    return Absent(f"the energy counter fell by {fell:.3f} J during the window") if fell > _CACHED_J else None


def recorded(best: WindowEnergy, trapezoid: WindowEnergy | Absent) -> Energy:
    """For the record of a repeat."""
    trapezoid_j = None if isinstance(trapezoid, Absent) else trapezoid.energy_j
    known = {
        "above_idle_j": best.above_idle_j,
        "above_idle_error_j": best.above_idle_error_j,
        "trapezoid_j": trapezoid_j,
        "disagreement": None if trapezoid_j is None or best.energy_j <= 0 else trapezoid_j / best.energy_j - 1,
    }
    reasons = dict.fromkeys(("above_idle_j", "above_idle_error_j"), "idle power was not measured")
    no_trapezoid = trapezoid.reason if isinstance(trapezoid, Absent) else "the counter did not move"
    reasons |= dict.fromkeys(("trapezoid_j", "disagreement"), no_trapezoid)
    return Energy(
        method=best.method,  # type: ignore[arg-type]
        seconds=best.seconds,
        energy_j=best.energy_j,
        error_j=best.error_j,
        **known,
        absent={name: reasons[name] for name, value in known.items() if value is None},
    )


def power_window_s(feed: Feed, power_signal: str | None) -> float:
    """The time over which the device's sensor averages this signal."""
    power = feed.device.power
    return power.instant_window_s if power_signal == summary.POWER[0] else power.average_window_s


def shares(
    before: ThrottleCounters | NoReading, after: ThrottleCounters | NoReading, columns: Mapping[str, Sequence[float]]
) -> dict[str, float] | None:
    """Share of the window by throttle reason: counted where the device counts, else of the samples.

    A reason that was counted and is in no sample is left out: `unsampled` has it. None where there are neither
    counters nor samples.
    """
    counted, sampled = _counted_share(before, after), summary.sampled_share(columns.get("throttle", ()))
    if counted is None or sampled is None:
        return counted or sampled
    assert isinstance(after, ThrottleCounters)
    counters = {name for name, _ in after.counts}
    merged = {name: share for name, share in sampled.items() if name not in counters}
    merged |= {name: share for name, share in counted.items() if name in sampled}
    merged[NONE] = max(0.0, 1.0 - sum(throttled(merged).values()))
    return {name: share for name, share in merged.items() if share > 0}


def unsampled(
    before: ThrottleCounters | NoReading, after: ThrottleCounters | NoReading, columns: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Share of the window by throttle reason, of those that the device counted while none of the samples has them.

    NVIDIA's counter of power capping grows on cards far below their limit (RTX 2080 SUPER at 98 of 250 W, L40S at 110
    of 350 W; NVIDIA/DCGM#285), so that such a share alone is no throttling.
    """
    counted, sampled = _counted_share(before, after), summary.sampled_share(columns.get("throttle", ()))
    if counted is None or sampled is None:
        return {}
    return {name: share for name, share in throttled(counted).items() if name not in sampled}


def _counted_share(
    before: ThrottleCounters | NoReading, after: ThrottleCounters | NoReading
) -> dict[str, float] | None:
    both = isinstance(before, ThrottleCounters) and isinstance(after, ThrottleCounters)
    return summary.counted_share(before, after) if both else None  # type: ignore[arg-type]


def summaries(
    feed: Feed, columns: Mapping[str, Sequence[float]], start_ns: int
) -> tuple[dict[str, Summary], dict[str, SensorReading]]:
    """(summaries, reasons): each signal over the window, or why it is missing; all but throttling and the counter.

    A power sensor's first readings still hold what ran before the window: they count only where there are no others.
    """
    power = feed.device.power
    lags = {"power_instant_w": power.instant_window_s, "power_average_w": power.average_window_s}
    known: dict[str, Summary] = {}
    missing: dict[str, SensorReading] = {}
    for key in feed.keys:
        if key in ("throttle", "energy_j"):
            continue
        settled_ns = start_ns + lags.get(key, 0.0) * 1e9
        settled = [value for t, value in zip(columns["t_ns"], columns[key], strict=True) if t >= settled_ns]
        summarised = summary.summarise(settled) or summary.summarise(columns[key])
        if summarised is not None:
            known[key] = summarised
        else:
            gone = feed.lost or feed.absent.get(key)
            missing[key] = reading(gone or NoReading("no samples in the window", "transient"))
    return known, missing


def checks(
    feed: Feed, judged: Judged, throttle: Mapping[str, float] | None, rate: float | None, seconds: float, hz: float,
    start_ns: int,
) -> Iterator[str]:  # fmt: skip
    """Warnings about the window's conditions or its energy. `rate` is achieved, `hz` was asked for, both in Hz."""
    if feed.lost is not None:
        yield f"the device was lost: {feed.lost.reason}"
    if feed.overwritten(start_ns):
        yield "the sample buffer overflowed; the window's oldest samples are missing"
    slow = {name: share for name, share in throttled(throttle or {}).items() if share >= THROTTLED}
    if slow:
        listed = (f"{name.replace('_', ' ')} in {share:.0%} of the window" for name, share in slow.items())
        yield f"throttled: {', '.join(listed)}"
    if rate is not None and rate < SLOW * hz and seconds * hz >= 5 and feed.lost is None:
        yield f"telemetry was sampled at {rate:.1f} Hz instead of {hz:g} Hz"
    best = judged.best
    if isinstance(best, Absent):
        return
    missing = feed.absent.get("energy_j")
    has_counter = missing is None or missing.status not in LASTING  # a counter that does not exist needs no warning
    if isinstance(judged.counted, Absent) and has_counter:
        yield f"the energy counter could not be used: {judged.counted.reason}"
    covers = feed.device.power.energy_covers
    if covers != feed.device.power.scope and best.method == "counter":
        yield f"energy covers the {covers}, power the {feed.device.power.scope}"
    elif not isinstance(judged.trapezoid, Absent) and best.energy_j > 0:
        gap = judged.trapezoid.energy_j / best.energy_j - 1
        if not energy.AGREEMENT[0] <= 1 + gap <= energy.AGREEMENT[1]:
            yield f"integrated power differs from the energy counter by {gap:+.0%}: one of them is wrong"
    if feed.device.power.shared_by != 1:
        yield f"power and energy are for the {feed.device.power.scope}"
