"""THE table of headline numbers: name, unit, which way is better, and where a case holds it.

Beside it the yardsticks of the machine, which are kept like headline numbers and are none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gpuprof.absent import EARLIER, Absent
from gpuprof.stats import geometric_interval

if TYPE_CHECKING:
    from gpuprof.record.case import Case
    from gpuprof.record.part import Interval, Part
    from gpuprof.record.repeat import Repeat


@dataclass(frozen=True)
class Reading:
    """A headline number of one case, in its metric's unit, with its 95% interval where there is one."""

    value: float
    ci95: Interval | None = None


@dataclass(frozen=True)
class Metric:
    """One headline number of a case."""

    key: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    read: Callable[[Case], Reading | Absent]  # the case's value, or why it has none
    # The value of one process, from which intervals are made. No function where only a case has the number.
    each: Callable[[Case, Repeat], float | None] | None = None
    ratio: bool = True  # whether "twice as much" means anything: of temperatures it does not

    @property
    def sensed(self) -> bool:
        """Whether a sensor's gain error is in every value: of energies and powers."""
        return self.unit in ("J", "W")


def _why(part: Part, name: str) -> Absent:
    return Absent(part.absent.get(name, EARLIER))  # the index reads fewer fields, without this check of theirs


def _plain(name: str) -> Callable[[Case], Reading | Absent]:
    def read(case: Case) -> Reading | Absent:
        value = getattr(case, name)
        return _why(case, name) if value is None else Reading(value)

    return read


def _estimate(name: str) -> Callable[[Case], Reading | Absent]:
    def read(case: Case) -> Reading | Absent:
        part = getattr(case, name)
        return _why(case, name) if part is None else Reading(part.value, part.ci95)

    return read


def _latency(name: str) -> Callable[[Case], Reading | Absent]:
    def read(case: Case) -> Reading | Absent:
        if case.latency_s is None:
            return _why(case, "latency_s")
        value = getattr(case.latency_s, name)
        interval = case.latency_s.ci95 if name == "p50" else None
        return _why(case.latency_s, name) if value is None else Reading(value, interval)

    return read


def _summary(name: str, statistic: str) -> Callable[[Case], Reading | Absent]:
    def read(case: Case) -> Reading | Absent:
        part = getattr(case, name)
        return _why(case, name) if part is None else Reading(getattr(part, statistic))

    return read


def _of(part: str, field: str) -> Callable[[Case, Repeat], float | None]:
    def each(case: Case, repeat: Repeat) -> float | None:
        holder: Any = getattr(repeat, part)
        return None if holder is None else getattr(holder, field)

    return each


def _yardstick(name: str) -> Callable[[Case], Reading | Absent]:
    each = _of("yardstick", name)

    def read(case: Case) -> Reading | Absent:
        values = [value for repeat in case.repeats if repeat.outcome == "ok" and (value := each(case, repeat))]
        return Reading(geometric_interval(values)[0]) if values else Absent("no process has one")

    return read


def joules_per_sample(repeat: Repeat, batch_size: int, field: str, method: str | None) -> float | None:
    """A field (in joules) of the throughput window's energy, over the number of samples in that window.

    None where the process has no energy by this method: one by another method is no repeat of the same measurement.
    """
    telemetry, window = repeat.telemetry, repeat.throughput
    energy = None if telemetry is None else telemetry.energy.get("throughput")
    if energy is None or window is None or energy.method != method or window.steps == 0:
        return None
    joules: float | None = getattr(energy, field)
    return None if joules is None else joules / (window.steps * batch_size)


def _joules(field: str) -> Callable[[Case, Repeat], float | None]:
    def each(case: Case, repeat: Repeat) -> float | None:
        # Only what is above 0: intervals are made of logarithms.
        joules = joules_per_sample(repeat, case.batch_size, field, case.energy_method)
        return None if joules is None or joules <= 0 else joules

    return each


def _sensed(signal: str, statistic: str) -> Callable[[Case, Repeat], float | None]:
    def each(case: Case, repeat: Repeat) -> float | None:
        summary = None if repeat.telemetry is None else repeat.telemetry.window.get(signal)
        return None if summary is None else getattr(summary, statistic)

    return each


_RATE, _TOTAL = _of("throughput", "samples_per_s"), _of("throughput", "samples_per_s_total")
_JOULES, _ABOVE = "energy_j_per_sample", "energy_above_idle_j_per_sample"
METRICS = (
    Metric("throughput_per_s", "throughput", "samples/s", "higher", _estimate("throughput_per_s"), _RATE),
    Metric(
        "throughput_total_per_s", "… by total time", "samples/s", "higher", _estimate("throughput_total_per_s"), _TOTAL
    ),
    Metric("latency_p50_s", "latency p50", "s", "lower", _latency("p50"), _of("latency", "p50")),
    Metric("latency_p90_s", "latency p90", "s", "lower", _latency("p90"), _of("latency", "p90")),
    Metric("latency_p99_s", "latency p99", "s", "lower", _latency("p99"), _of("latency", "p99")),
    Metric(
        "device_span_s", "device time per step", "s", "lower", _estimate("device_span_s"), _of("device_span", "step_s")
    ),
    Metric("first_step_s", "first step", "s", "lower", _plain("first_step_s")),
    Metric("peak_memory_bytes", "peak memory", "B", "lower", _plain("peak_memory_bytes")),
    Metric(_JOULES, "energy per sample", "J", "lower", _estimate(_JOULES), _joules("energy_j")),
    Metric(_ABOVE, "… above idle", "J", "lower", _estimate(_ABOVE), _joules("above_idle_j")),
    Metric("power_mean_w", "mean power", "W", "lower", _summary("power_w", "mean"), _sensed("power_w", "mean")),
    Metric("temperature_max_c", "peak temperature", "°C", "lower", _summary("temperature_c", "max"), ratio=False),
)
BY_KEY = {metric.key: metric for metric in METRICS}
YARDSTICKS = tuple(
    Metric(
        f"yardstick_{name}_s", f"a fixed {name}", "s", "lower", _yardstick(f"{name}_s"), _of("yardstick", f"{name}_s")
    )
    for name in ("product", "copy")
)
INDEXED = (*METRICS, *YARDSTICKS)  # in the order in which an index keeps them
