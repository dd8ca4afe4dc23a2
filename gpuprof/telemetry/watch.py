"""Telemetry of one device during a run: read in the pauses between a worker's phases, folded when it has ended."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from gpuprof.absent import Absent
from gpuprof.messages import Go, Ready
from gpuprof.record.part import SensorReading, Summary
from gpuprof.record.protocol import Protocol
from gpuprof.record.repeat import Phase, RepeatTelemetry
from gpuprof.record.run import Calibration, TelemetrySource
from gpuprof.telemetry import energy, kept, summary, ticks, window
from gpuprof.telemetry.attribute import Match, attribute, simulated
from gpuprof.telemetry.device import LASTING, Backend, Device, Lost, NoReading, ThrottleCounters, reading
from gpuprof.telemetry.energy import WindowEnergy
from gpuprof.telemetry.sampler import DEFAULT_HZ, Feed, Sampler
from gpuprof.telemetry.ticks import Bracket, Draw, Edge
from gpuprof.telemetry.window import Judged

PHASES = ("cold", "warmup", "throughput")
MEASURED = "throughput"  # the phase whose window the record describes
# A pause has the name of the phase that comes next ("end" after the last). First the phase that has just ended and is
# closed there: latency has no energy. Then the pauses with idle power, by its index in `_idle`: none between throughput
# and latency, which would begin with clocks that have gone to rest.
_JUST_ENDED = {"warmup": "cold", "throughput": "warmup", "latency": "throughput"}
_IDLE_AT = {"warmup": 0, "end": 1}
_TICKS = 6
_UNCOUNTED = NoReading("throttle counters were not read", "transient")
_OPENING_EDGES, _CLOSING_EDGES = 2, 4  # two for a power; what follows a window takes more


class Station(AbstractContextManager["Station"]):
    """The sensors of the device that a run uses, or why there are none; sampled while it is entered."""

    def __init__(
        self, backends: Sequence[Backend], device: Mapping[str, Any], *, hz: float = DEFAULT_HZ,
        clock: Callable[[], int] = time.monotonic_ns, wait: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._clock, self._wait, self._device = clock, wait, device
        self.match = _match(backends, device)
        matched = [] if isinstance(self.match, Absent) else [self.match.device]
        self._version = next((b.version for b in backends if matched and b.vendor == matched[0].vendor), "")
        self._sampler = Sampler(matched, hz, clock)
        self.tick_s: float | Absent = Absent("no energy counter")
        self.power_signal: str | None = None
        self.temperature_signal: str | None = None
        self.calibration: Calibration | Absent = Absent("no sensors")
        self._identity: dict[str, SensorReading] = {}

    def __enter__(self) -> Station:
        self._sampler.__enter__()
        if not isinstance(self.match, Absent):
            try:
                self.tick_s = self.feed.lost or self._sampler.call(self._first_look)
            except Lost as error:
                self.tick_s = NoReading(str(error), "lost")
            if not self._identity and isinstance(self.tick_s, NoReading):
                self._identity = {"name": reading(self.tick_s)}
        return self

    def __exit__(self, *fault: object) -> None:
        self._sampler.__exit__(*fault)

    def _first_look(self) -> float | Absent:
        """The tick of the device's energy counter. Notes which device it is and which signals it offers as well."""
        self._identity = self.device.identity()
        driver = self._identity.get("driver_version")
        self.calibration = kept.kept(self.device, driver and driver.value)
        # A signal that fails now and then is there all the same.
        absent = {name: why for name, why in self.feed.absent.items() if why.status in LASTING}
        offered = [key for key in self.feed.keys if key not in absent]
        self.power_signal = next((name for name in summary.POWER if name in offered), None)
        self.temperature_signal = next((name for name in summary.TEMPERATURE if name in offered), None)
        if "energy_j" in absent:
            return absent["energy_j"]
        edges = self.edges(_TICKS)
        return edges if isinstance(edges, Absent) else ticks.tick_s(edges)

    @property
    def simulated(self) -> bool:
        """Whether the device or its sensors are a simulator's."""
        return simulated(self._device["name"], self.match)

    @property
    def device(self) -> Device:
        """The device with the sensors; there must be one (`match` is no Absent)."""
        assert not isinstance(self.match, Absent)
        return self.match.device

    @property
    def feed(self) -> Feed:
        """The samples of `device`."""
        return self._sampler.feeds[self.device.id]

    @property
    def power_window_s(self) -> float:
        """The averaging time of the sensor behind `power_signal`."""
        return window.power_window_s(self.feed, self.power_signal)

    def edges(self, count: int, least_s: float = ticks.LEAST_S) -> list[Edge] | Absent:
        """The next `count` moves of the energy counter or more, or its fault. To be called in the sampling thread."""
        return ticks.watch({"": self.device.energy_j}, self._clock, self._wait, count=count, least_s=least_s)[""]

    def source(self) -> TelemetrySource | Absent:
        """For the record of the run: the sensors, or why there are none."""
        if isinstance(self.match, Absent):
            return self.match
        device = self.device
        widths = self.feed.between(0, self._clock())["half_width_ns"]
        reasons = {
            "power_signal": "this device reports no power",
            "calibration": self.calibration.reason if isinstance(self.calibration, Absent) else "",
            "temperature_signal": "this device reports no temperature",
            "gain_error": device.power.gain_source or "no published comparison with an external meter",
            "tick_s": self.tick_s.reason if isinstance(self.tick_s, Absent) else "",
            **dict.fromkeys(("call_s", "cpu_share"), "nothing was sampled"),
            "shared_by": device.power.scope,
        }
        known: dict[str, Any] = {
            "shared_by": device.power.shared_by,
            "power_signal": self.power_signal,
            "calibration": None if isinstance(self.calibration, Absent) else self.calibration,
            "temperature_signal": self.temperature_signal,
            "gain_error": device.power.gain_error,
            "tick_s": None if isinstance(self.tick_s, Absent) else self.tick_s,
            "call_s": statistics.median(widths) * 2e-9 if widths else None,
            "cpu_share": self._sampler.cpu_share if widths else None,
        }
        return TelemetrySource(
            vendor=device.vendor, library=device.library, version=self._version, simulated=device.simulated,
            attributed_by=self.match.by, scope=device.power.scope, energy_scope=device.power.energy_covers,
            device=device.id, gain_source=device.power.gain_source, hz=self._sampler.hz, identity=self._identity,
            **known, absent={name: reasons[name] for name, value in known.items() if value is None},
        )  # fmt: skip

    def repeat(self, protocol: Protocol) -> Watch:
        """What watches the next process; reads the device's facts before it starts."""
        return Watch(self, self._sampler, protocol, self._clock, self._wait)


class Watch:
    """One process of one case. `pause` is called wherever the worker waits, `result` when it has ended."""

    def __init__(
        self, station: Station, sampler: Sampler, protocol: Protocol, clock: Callable[[], int],
        wait: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._station, self._sampler, self._protocol = station, sampler, protocol
        self._clock, self._wait = clock, wait
        self._opening: dict[str, Bracket] = {}
        self._closing: dict[str, Sequence[Edge]] = {}
        self._idle: list[Draw | None] = [None, None]  # before the warm-up, after the last phase
        self._throttle: list[ThrottleCounters | NoReading] = []
        self._missed = sampler.missed
        self._refused: Absent | None = None
        self._tick_s = station.tick_s  # absent from the moment on at which the counter fails
        self._facts = [self._read_facts()]

    def _read_facts(self) -> dict[str, SensorReading]:
        if isinstance(self._station.match, Absent):
            return {}
        try:
            return self._sampler.call(self._station.device.facts)
        except Lost as error:
            return {"power_limit_w": reading(NoReading(str(error), "lost"))}

    def pause(self, ready: Ready) -> Go:
        """Read everything that is read while the device is idle before the next phase; the answer is for the worker."""
        station, coming = self._station, ready.window
        if isinstance(station.match, Absent) or self._refused is not None:
            return Go()
        if ready.device is not None:
            again = attribute([station.device], ready.device)
            if isinstance(again, Absent):
                self._refused = Absent(f"the process did not use the device of this run: {again.reason}")
                return Go()
        phases = ready.phases
        if coming == "latency":  # the two throttle readings lie next to the window, inside of the edges
            self._count_throttling()
        if not isinstance(tick_s := self._tick_s, Absent):
            try:
                self._tick_s = self._sampler.call(lambda: self._at_edges(coming, phases, tick_s)) or tick_s
            except Lost as error:
                self._tick_s = NoReading(str(error), "lost")
        elif station.power_signal is not None and coming in _IDLE_AT:
            self._sample_idle(_IDLE_AT[coming])
        if coming != MEASURED:
            return Go()
        answer = Go(min_s=self._window_s(phases))  # judged by the warm-up, which was closed above
        self._count_throttling()
        return answer

    def _count_throttling(self) -> None:
        try:
            self._throttle.append(self._sampler.call(self._station.device.throttle_counters))
        except Lost as error:
            self._throttle.append(NoReading(str(error), "lost"))

    def _at_edges(self, coming: str, phases: Sequence[Phase], tick_s: float) -> Absent | None:
        """Close the last of `phases` and open the one that is coming, at edges of the idle device's counter.

        Returns the counter's fault, None without one. Runs in the sampling thread, so nothing is sampled meanwhile.
        An idle pause measures power over all of its length; that is the opening's draw as well. Nobody uses the
        openings of latency and end.
        """
        ended = _JUST_ENDED.get(coming)
        if ended is not None and phases:
            after = self._station.edges(_CLOSING_EDGES, ticks.closing_s(tick_s))
            if isinstance(after, Absent):
                return after
            self._closing[ended] = after
            edges = ticks.resting(after, phases[-1].end_ns)
        else:
            opening = self._station.edges(_OPENING_EDGES)
            if isinstance(opening, Absent):
                return opening
            edges = opening
        if coming in _IDLE_AT and self._protocol.idle_s > 0:
            first = edges[-1]
            self._wait(self._protocol.idle_s)
            later = self._station.edges(1)
            if isinstance(later, Absent):
                return later
            edges = [first, *later]
            self._idle[_IDLE_AT[coming]] = ticks.draw(edges)
        self._opening[coming] = ticks.opening(edges)
        return None

    def _sample_idle(self, index: int) -> None:
        """Idle power from samples, once the sensor has forgotten what ran before."""
        self._wait(self._station.power_window_s)
        started = self._clock()
        self._wait(max(self._protocol.idle_s, 5 / self._sampler.hz))
        columns = self._station.feed.between(started, self._clock())
        watts = [w for w in columns[self._station.power_signal or ""] if not math.isnan(w)]
        if len(watts) >= 3:
            self._idle[index] = Draw(statistics.fmean(watts), statistics.stdev(watts) / math.sqrt(len(watts)))

    def _window_s(self, phases: Sequence[Phase]) -> float | None:
        """How long the window must be for the energy error asked for; None where its usual length is enough."""
        station, protocol = self._station, self._protocol
        needed = 0.0
        idle, load = self._idle[0], self._load(phases)
        if isinstance(station.tick_s, Absent):
            if station.power_signal is not None:
                needed = max(10 * station.power_window_s, 21 / self._sampler.hz) + station.power_window_s
        elif idle is not None and not isinstance(load, Absent) and protocol.energy_error is not None:
            load_w = load.energy_j / load.seconds
            needed = energy.seconds_for(protocol.energy_error, idle, load_w, station.tick_s, above_idle=False)
        longest = max(protocol.measure_min_s, protocol.measure_max_s)
        return min(needed, longest) if needed > protocol.measure_min_s else None

    def _load(self, phases: Sequence[Phase]) -> WindowEnergy | Absent:
        """The energy of the warm-up, which does the same work as the window."""
        warmup = next((phase for phase in phases if phase.name == "warmup"), None)
        return Absent("there was no warm-up") if warmup is None else self._judge(warmup).best

    def _judge(self, phase: Phase) -> Judged:
        station, idle = self._station, energy.idle_of(*self._idle)
        return window.judge(
            station.feed, station.power_signal, phase.start_ns, phase.end_ns, self._brackets(phase.name), idle,
            kept.lag_s(station.calibration), trusted=kept.trusted(station.calibration),
        )  # fmt: skip

    def _brackets(self, phase: str) -> window.Brackets | Absent:
        if phase in self._opening and phase in self._closing:
            return self._opening[phase], self._closing[phase]
        if isinstance(self._tick_s, Absent):
            return self._tick_s
        return Absent("the energy counter was not read both before and after the window")

    def result(self, phases: Sequence[Phase]) -> RepeatTelemetry | Absent:
        """Everything of this repeat, or why there is nothing. `phases` carry the worker's own marks."""
        station = self._station
        if isinstance(station.match, Absent):
            return station.match
        if self._refused is not None:
            return self._refused
        marks = next((phase for phase in phases if phase.name == MEASURED), None)
        if marks is None:
            return Absent("the process did not finish its throughput window")
        self._facts.append(self._read_facts())
        columns = station.feed.between(marks.start_ns, marks.end_ns)
        seconds = (marks.end_ns - marks.start_ns) / 1e9
        judged = {phase.name: self._judge(phase) for phase in phases if phase.name in PHASES}
        energies = {name: j.best for name, j in judged.items() if not isinstance(j.best, Absent)}
        signals, missing = window.summaries(station.feed, columns, marks.start_ns)
        self._headline(signals, missing)
        before, after = self._throttle[-2:] if len(self._throttle) >= 2 else (_UNCOUNTED, _UNCOUNTED)
        shares = None if station.feed.lost is not None else window.shares(before, after, columns)
        idle = energy.idle_of(*self._idle)
        rate = len(columns["t_ns"]) / seconds if seconds > 0 else None
        neither = "this device reports neither energy nor power"
        no_idle = f"idle power was not measured: {self._tick_s.reason if isinstance(self._tick_s, Absent) else neither}"
        absent = {
            "achieved_hz": "the window has zero length" if rate is None else None,
            "tick_s": station.tick_s.reason if isinstance(station.tick_s, Absent) else None,
            "idle_power_w": no_idle if idle is None else None,
            "idle_power_error_w": no_idle if idle is None else None,
            "throttled_share": self._why_no_shares() if shares is None else None,
        }
        return RepeatTelemetry(
            samples=len(columns["t_ns"]),
            achieved_hz=rate,
            missed=self._sampler.missed - self._missed,
            tick_s=None if isinstance(station.tick_s, Absent) else station.tick_s,
            idle_power_w=None if idle is None else idle.power_w,
            idle_power_error_w=None if idle is None else idle.error_w,
            energy={name: window.recorded(best, judged[name].trapezoid) for name, best in energies.items()},
            energy_absent={name: j.best.reason for name, j in judged.items() if isinstance(j.best, Absent)},
            window=signals,
            window_absent=missing,
            throttled_share=shares,
            throttle_unsampled=window.unsampled(before, after, columns),
            before=self._facts[0],
            after=self._facts[-1],
            checks=[
                *window.checks(station.feed, judged[MEASURED], shares, rate, seconds, self._sampler.hz, marks.start_ns),
                *self._checks(energies.get(MEASURED)),
            ],
            absent={name: reason for name, reason in absent.items() if reason is not None},
        )

    def series(self, phases: Sequence[Phase]) -> dict[str, list[float]]:
        """Raw samples from the first to the last mark by series of raw.npz; times are seconds from the first mark."""
        if isinstance(self._station.match, Absent) or not phases:
            return {}
        start = min(phase.start_ns for phase in phases)
        columns = self._station.feed.between(start, max(phase.end_ns for phase in phases))
        times = [(t - start) / 1e9 for t in columns.pop("t_ns")]
        widths = [width / 1e9 for width in columns.pop("half_width_ns")]
        kept = {key: values for key, values in columns.items() if not all(map(math.isnan, values))}
        return {"telemetry/t_s": times, "telemetry/half_width_s": widths} | {
            f"telemetry/{key}": values for key, values in kept.items()
        }

    def _headline(self, signals: dict[str, Summary], missing: dict[str, SensorReading]) -> None:
        """Adds power_w and temperature_c: copies of whichever signal this device has."""
        for name, signal, candidates in (
            ("power_w", self._station.power_signal, summary.POWER),
            ("temperature_c", self._station.temperature_signal, summary.TEMPERATURE),
        ):
            if signal in signals:
                signals[name] = signals[signal]
            else:
                readings = (missing[candidate] for candidate in candidates if candidate in missing)
                missing[name] = next(readings, reading(NoReading("not available when the run began", "transient")))

    def _why_no_shares(self) -> str:
        feed = self._station.feed
        fault = feed.lost or feed.absent.get("throttle")
        return "this device does not report throttling" if fault is None else fault.reason

    def _checks(self, best: WindowEnergy | None) -> Iterator[str]:
        """Warnings that only a run can give."""
        yield from self._strangers()
        if best is not None and best.method == "counter":
            yield from kept.doubts(self._station.calibration)
        limit, default = (self._facts[0].get(name) for name in ("power_limit_w", "power_limit_default_w"))
        known = limit is not None and default is not None and limit.status == default.status == "ok"
        if known and limit.value < 0.99 * default.value:  # type: ignore[union-attr,operator]
            yield f"the power limit is {limit.value:g} W, below the default of {default.value:g} W"  # type: ignore[union-attr]
        asked = self._protocol.energy_error
        if best is not None and asked is not None and best.energy_j > 0 and best.error_j / best.energy_j > asked:
            why = "the protocol allows no longer window" if best.method == "counter" else "no usable energy counter"
            yield f"energy error is {best.error_j / best.energy_j:.1%}, above the requested {asked:.1%}: {why}"

    def _strangers(self) -> Iterator[str]:
        """Facts are read before the worker starts and after it has ended: any process on the device is a stranger's."""
        for when, facts in zip(("before", "after"), self._facts, strict=False):
            listed = facts.get("processes")
            if listed is not None and listed.status == "ok" and listed.value:
                pids = ", ".join(str(process["pid"]) for process in listed.value[:5])  # type: ignore[index,union-attr,call-overload]
                yield f"other processes used the device {when} the measurement: {len(listed.value)} (PID {pids})"  # type: ignore[arg-type]


def _match(backends: Sequence[Backend], identity: Mapping[str, Any]) -> Match | Absent:
    """The device whose sensors are the run's, or why there is none, with the fault of its vendor's library."""
    if not backends:
        return Absent("telemetry was switched off")
    match = attribute([device for backend in backends for device in backend.devices], identity)
    if isinstance(match, Absent):
        own = [b for b in backends if b.vendor == identity["vendor"]]
        faults = [reason for b in own for reason in ([b.fault.reason] if b.fault is not None else b.unusable)]
        return Absent("; ".join([*faults, match.reason]))
    return Match(match.device.attributed(), match.by)
