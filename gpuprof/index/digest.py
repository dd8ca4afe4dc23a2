"""What comparing and reporting need of a run: a small part of its record, plain enough to be kept in an index.

Nothing here is new: every value is read from the record, by the table of metrics where it is a headline number.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuprof.absent import Absent
from gpuprof.case_keys import CaseKeys
from gpuprof.case_keys import values as values_of
from gpuprof.metrics import INDEXED

if TYPE_CHECKING:
    from gpuprof.record.case import Case
    from gpuprof.record.part import SensorReading
    from gpuprof.record.run import RunRecord, TelemetrySource

# Run-level facts of telemetry's first look, by their name in the record.
READ_BEFORE = ("power_limit_w", "power_limit_default_w", "ecc_enabled", "core_clock_max_hz", "memory_clock_max_hz")
COUNTED = ("items_per_sample", "parameters", "trainable_parameters", "flops_per_sample", "bytes_per_sample")
IDENTITY = ("driver_version", "vbios_version", "partition")
UNKNOWN_MANY = "an unknown number"  # in place of how many share a sensor, where they cannot be seen


def _covered(telemetry: TelemetrySource) -> str:
    """What power covers, and energy where that is something else."""
    energy = telemetry.energy_scope or telemetry.scope
    return telemetry.scope if energy == telemetry.scope else f"{telemetry.scope}; energy: {energy}"


def _plain(digest: Any) -> dict[str, Any]:
    return {part.name: getattr(digest, part.name) for part in dataclasses.fields(digest)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDigest(CaseKeys):
    """One case of a run: its keys, what became of it, and its headline numbers in the units of INDEXED."""

    case_id: str
    workload: str
    precision: str | None  # type: ignore[assignment]  # the arithmetic that ran; None where the probe could not tell
    requested: str
    threads: int
    params: dict[str, Any]
    fallback: bool
    outcome: str
    reason: str | None
    correctness: str | None
    steady: bool | None
    regime: str | None
    energy_method: str | None
    processes: dict[str, list[float]]  # by metric: a value for each process, in the order they ran
    order: list[int]  # which repeat each of the processes was
    values: dict[str, float]  # by metric, the headline
    absent: dict[str, str]  # by metric, why it has no headline
    partial: dict[str, list[int]] = field(default_factory=dict)  # `order` of a metric that not all processes have
    facts: dict[str, Any] = field(default_factory=dict)  # what a fairness audit looks at


@dataclass(frozen=True, slots=True)
class Digest:
    """One run: where it ran, and its cases. `facts` has only what the record holds, never None."""

    run_id: str
    started_at: str  # ISO 8601
    outcome: str
    simulated: bool
    kind: str  # cpu or gpu
    vendor: str | None
    device: str
    host: str
    machine: str  # tells devices of one model apart
    facts: dict[str, Any]
    cases: list[CaseDigest]
    # Where raw.npz has the samples of the first process with telemetry; name, start and end (s) of its phases.
    sampled: tuple[str, list[tuple[str, float, float]]] | None = None
    where: str = ""  # directory or file of the record

    def as_json(self) -> dict[str, Any]:
        """Plain data for json.dumps, which shares its lists with the digest."""
        return _plain(self) | {"cases": [_plain(case) for case in self.cases]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "") -> Digest:
        """The digest of which `data` is the `as_json`. Raises TypeError or KeyError for other data."""
        cases = [CaseDigest(**case) for case in data["cases"]]
        return cls(**{**data, "cases": cases, "where": where})


_GEOMETRIC = ("samples/s", "s")  # units of headlines that are geometric means over processes


def _borne_out(headline: float, processes: Sequence[float]) -> bool:
    """Whether a headline is its processes' geometric mean, but for rounding."""
    mean = math.fsum(math.log(value) for value in processes) / len(processes)
    return headline > 0 and abs(math.log(headline) - mean) < 1e-6


_LEAST = 1e-30  # of any metric in its unit, where it is not 0; its inverse is the most


def digest(record: RunRecord, where: str = "") -> Digest:
    """The digest of a record, or of the part of it that `seen.RunSeen` reads; `where` is its directory or file."""
    device, environment, telemetry = record.device, record.environment, record.telemetry
    host = environment.hostname
    facts: dict[str, Any] = {
        "gpuprof": environment.gpuprof,
        "gpuprof_commit": environment.gpuprof_commit,
        "torch": environment.torch,
        "torch_build": environment.torch_build,
        "libraries": environment.libraries,
        "variables": environment.variables,
        "container": environment.container,
        "cpu": environment.cpu,
        "cores": environment.cpu_physical_cores,
        "logical_cores": environment.cpu_logical_cores,
        "host_memory_bytes": environment.memory_total_bytes,
        "device_memory_bytes": device.memory_total_bytes,
        "compute_units": device.compute_units,
        "architecture": device.architecture,
        "kernel": environment.kernel,
        "os": environment.os,
        "python": environment.python,
        "config": record.config.sha256[:12],
        "config_file": record.config.file.rpartition("/")[2],
        "protocol": record.protocol.model_dump(mode="json", exclude={"absent"}),
    }
    if telemetry is not None:
        facts |= {
            "scope": _covered(telemetry),
            "shared_by": UNKNOWN_MANY if telemetry.shared_by is None else telemetry.shared_by,
            "gain_error": telemetry.gain_error,
            "power_signal": telemetry.power_signal,
            "telemetry_hz": telemetry.hz,
            "telemetry_library": f"{telemetry.library} {telemetry.version}",
            **{name: _said(telemetry.identity, name) for name in IDENTITY},
        }
        looks = (r.telemetry.before for case in record.cases for r in case.repeats if r.telemetry is not None)
        before = next(looks, {})
        facts |= {name: _said(before, name) for name in READ_BEFORE}
        # At rest a link may be in a slow state; which generation both ends can do does not change.
        link = [_said(before, name) for name in ("pcie_generation_max", "pcie_width")]
        facts["pcie"] = None if None in link else f"generation {link[0]}, {link[1]} lanes"
    return Digest(
        run_id=record.run_id,
        started_at=record.started_at,
        outcome=record.outcome,
        simulated=record.simulated or (telemetry is not None and telemetry.simulated),
        kind=device.kind,
        vendor=device.vendor,
        device=device.name,
        host=host,
        # A UUID is the card's own, in whatever container or host it is seen.
        machine=device.uuid or f"{host} {device.pci or device.name}",
        facts={name: value for name, value in facts.items() if value is not None},
        cases=[_case(case, facts.get("core_clock_max_hz")) for case in record.cases],
        sampled=next(_sampled(record), None),
        where=where,
    )


def _sampled(record: RunRecord) -> Iterator[tuple[str, list[tuple[str, float, float]]]]:
    for case in record.cases:
        for repeat in case.repeats:
            if repeat.telemetry is not None and repeat.phases:
                start = min(phase.start_ns for phase in repeat.phases)
                phases = [(p.name, (p.start_ns - start) / 1e9, (p.end_ns - start) / 1e9) for p in repeat.phases]
                yield f"{case.case_id}/{repeat.index}/telemetry/", phases


def _said(readings: Mapping[str, SensorReading], name: str) -> Any:
    reading = readings.get(name)
    return None if reading is None else reading.value


def _is_positive(value: Any) -> bool:
    """Whether it is a number above 0: what a sensor said may be any JSON."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1 / _LEAST


def _case(case: Case, clock_max_hz: Any) -> CaseDigest:
    good = [repeat for repeat in case.repeats if repeat.outcome == "ok" and repeat.throughput is not None]
    processes: dict[str, list[float]] = {}
    values: dict[str, float] = {}
    absent: dict[str, str] = {}
    partial: dict[str, list[int]] = {}
    for metric in INDEXED:
        reading = metric.read(case)
        if isinstance(reading, Absent):
            absent[metric.key] = reading.reason
            continue
        if reading.value and not _LEAST < abs(reading.value) < 1 / _LEAST:
            absent[metric.key] = "impossible value: the record is damaged"
            continue
        values[metric.key] = reading.value
        each = {} if metric.each is None else {repeat.index: metric.each(case, repeat) for repeat in good}
        sound = {index: v for index, v in each.items() if v is not None and _LEAST < v < 1 / _LEAST}
        if sound:
            processes[metric.key] = list(sound.values())
            if len(sound) < len(good):
                partial[metric.key] = list(sound)
            if metric.unit in _GEOMETRIC and not _borne_out(reading.value, processes[metric.key]):
                absent[metric.key] = "its processes give another value: the record is damaged or was edited"
                del values[metric.key], processes[metric.key]
    checks = sorted({check for r in good if r.telemetry is not None for check in r.telemetry.checks})
    waits = [r.cpu.waiting for r in good if r.cpu is not None and r.cpu.waiting is not None]
    stolen = [r.cpu.stolen for r in good if r.cpu is not None and r.cpu.stolen is not None]
    retries = [r.memory.alloc_retries for r in good if r.memory is not None and r.memory.alloc_retries is not None]
    scope = next((r.memory.scope for r in good if r.memory is not None), None)
    facts = {
        "memory_scope": scope,
        "weights": None
        if case.weights is None
        else f"{case.weights.source} {(case.weights.sha256 or '')[:12]}".strip(),
        "cpu_waiting": statistics.median(waits) if waits else None,
        "cpu_stolen": statistics.median(stolen) if stolen else None,
        "flags": case.precision.flags or None,
        "throttled_share": case.throttled_share,
        "temperature_start_c": None if case.temperature_c is None else case.temperature_c.start,
        "temperature_end_c": None if case.temperature_c is None else case.temperature_c.end,
        "power_max_w": None if case.power_w is None else case.power_w.max,
        "core_clock_hz": None if case.core_clock_hz is None else case.core_clock_hz.median,
        "clock_share": None
        if case.core_clock_hz is None or not _is_positive(clock_max_hz)
        else case.core_clock_hz.median / clock_max_hz,
        "window_s": statistics.median(r.throughput.total_s for r in good if r.throughput is not None) if good else None,
        "alloc_retries": max(retries, default=None),
        "tolerance": case.correctness.tolerance,
        "item": case.item,
        **{name: getattr(case, name) for name in COUNTED},
        "gpu_utilization_pct": None if case.gpu_utilization_pct is None else case.gpu_utilization_pct.mean,
        "idle_power_w": case.idle_power_w,
        "energy_error_j_per_sample": case.energy_error_j_per_sample,
        "checks": checks or None,
    }
    return CaseDigest(
        case_id=case.case_id,
        workload=case.workload,
        **values_of(case, but=("precision",)),
        precision=case.precision.effective,
        requested=case.precision.requested,
        params=case.params,
        fallback=case.fallback_of is not None,
        outcome=case.outcome,
        reason=case.reason,
        correctness=case.correctness.verdict,
        steady=case.steady,
        regime=case.regime,
        energy_method=case.energy_method,
        processes=processes,
        order=[repeat.index for repeat in good],
        partial=partial,
        values=values,
        absent=absent,
        facts={name: value for name, value in facts.items() if value is not None},
    )
