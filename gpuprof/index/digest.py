"""What comparing and reporting need of a run: a small part of its record, plain enough to be kept in an index.

Nothing here is new: every value is read from the record, by the table of metrics where it is a headline number.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import statistics
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gpuprof import throttling
from gpuprof.metrics import METRICS, Metric

if TYPE_CHECKING:
    from gpuprof.record.case import Case
    from gpuprof.record.part import SensorReading
    from gpuprof.record.run import RunRecord

# Run-level facts of telemetry's first look, by their name in the record.
_READ_BEFORE = ("power_limit_w", "power_limit_default_w", "ecc_enabled", "core_clock_max_hz")
_IDENTITY = ("driver_version", "vbios_version", "partition")


@dataclass(frozen=True, slots=True)
class CaseDigest:
    case_id: str
    workload: str
    mode: str
    variant: str
    precision: str | None  # the arithmetic that ran; None where the probe could not tell
    requested: str
    batch_size: int
    seq_len: int | None
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
    facts: dict[str, Any] = field(default_factory=dict)  # what a fairness audit looks at


@dataclass(frozen=True, slots=True)
class Digest:
    run_id: str
    started_at: str
    outcome: str
    simulated: bool
    kind: str
    vendor: str | None
    device: str
    host: str
    machine: str  # tells devices of one model apart
    facts: dict[str, Any]
    cases: list[CaseDigest]
    # Where raw.npz has the samples of one process with telemetry, and [name, start, end] of its phases in seconds.
    sampled: tuple[str, list[tuple[str, float, float]]] | None = None
    where: str = ""  # directory or file of the record

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "") -> Digest:
        cases = [CaseDigest(**case) for case in data["cases"]]
        return cls(**{**data, "cases": cases, "where": where})


_LEAST = 1e-30  # of any metric in its unit, where it is not 0; and the other way round the most

# What tells cases of one workload and mode apart, in the order in which a reader wants to know of a difference.
FIELDS = ("precision", "variant", "batch_size", "seq_len", "params", "threads")
_STATIC = (
    "case_id", "workload", "mode", *FIELDS, "requested", "fallback", "outcome", "reason", "correctness", "steady",
    "regime", "energy_method",
)  # fmt: skip
# Of each metric in one run, in the table's order: number of processes, mean and sum of squared deviations of the
# logarithms of their values, and the headline. NaN, nowhere but in here, stands for what is not there.
Numbers = Sequence[float]
PER_METRIC = 4
NOTABLE = 0.05  # share of the time from which on throttling, or others on the host's cores, are told
_MEANING = 12  # raise it where a value comes to mean something else and none of the tables below shows it


def version(metrics: Sequence[Metric] = METRICS) -> int:
    """What tells an index that holds something else: it is made anew. 31 bits, as SQLite keeps a signed 32-bit number.

    It follows the tables by itself: a row more in METRICS moves every number that an index holds.
    """
    tables = (
        _MEANING, [(metric.key, metric.unit, metric.each is not None) for metric in metrics], PER_METRIC, NOTABLE,
        _STATIC, _READ_BEFORE, _IDENTITY, throttling.against_its_will((*throttling.REASONS, throttling.NONE)),
        [[one.name for one in dataclasses.fields(kind)] for kind in (CaseDigest, Digest)],
    )  # fmt: skip
    return int.from_bytes(hashlib.sha256(json.dumps(tables).encode()).digest()[:4], "big") >> 1


VERSION = version()


class Shared:
    """A piece of text that many runs have in common, parsed once."""

    __slots__ = ("data", "key", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data: dict[str, Any] = json.loads(text)
        self.key = (self.data.get("workload"), self.data.get("mode"), *(as_text(self.data.get(n)) for n in FIELDS))


shared = functools.lru_cache(maxsize=1 << 16)(Shared)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Brief:
    """What folding thousands of runs together needs of each: texts that are the same in many, and numbers."""

    name: str
    run_id: str
    started_at: str
    where: str
    head: Shared
    facts: Shared
    cases: Sequence[tuple[Shared, Numbers]]


def brief(found: Digest, name: str = "") -> Brief:
    head = {
        name: getattr(found, name) for name in ("outcome", "simulated", "kind", "vendor", "device", "host", "machine")
    }
    head |= {"torch": found.facts.get("torch"), "driver": found.facts.get("driver_version")}
    return Brief(
        name, found.run_id, found.started_at, found.where, shared(as_text(head)), shared(as_text(found.facts)),
        [(shared(static(case)), _all_numbers(case)) for case in found.cases],
    )  # fmt: skip


def static(case: CaseDigest) -> str:
    """The part of a case that later runs of it have in common with it."""
    facts = case.facts
    shares = facts.get("throttled_share") or {}
    slowed = sorted(name for name, share in throttling.throttled(shares).items() if share > NOTABLE)
    doubts = [check for check in facts.get("checks") or () if not check.startswith("throttled")]
    crowded = max(facts.get("cpu_waiting") or 0.0, facts.get("cpu_stolen") or 0.0) > NOTABLE
    return as_text(
        {name: getattr(case, name) for name in _STATIC}
        | {
            "flags": as_text(facts.get("flags")), "slowed": ", ".join(slowed), "doubtful": bool(doubts),
            "clocks_held": shares.get(throttling.CLOCKS_SETTING, 0.0) > NOTABLE, "crowded": crowded,
            "repeats": len(case.order), "memory_scope": facts.get("memory_scope"), "weights": facts.get("weights"),
        }
    )  # fmt: skip


def _all_numbers(case: CaseDigest) -> Numbers:
    return array("d", [number for metric in METRICS for number in _numbers(case, metric.key)])


def _numbers(case: CaseDigest, metric: str) -> tuple[float, float, float, float]:
    headline, values = case.values.get(metric, math.nan), case.processes.get(metric)
    if not values:
        return (math.nan, math.nan, math.nan, headline)
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    return (len(logs), mean, math.fsum((one - mean) ** 2 for one in logs), headline)


def digest(record: RunRecord, where: str = "") -> Digest:
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
        "kernel": environment.kernel,
        "os": environment.os,
        "python": environment.python,
        "config": record.config.sha256[:12],
        "config_file": PurePath(record.config.file).name,
        "protocol": record.protocol.model_dump(mode="json", exclude={"absent"}),
    }
    if telemetry is not None:
        facts |= {
            "scope": telemetry.scope,
            "shared_by": telemetry.shared_by,
            "gain_error": telemetry.gain_error,
            **{name: _said(telemetry.identity, name) for name in _IDENTITY},
        }
        looks = (r.telemetry.before for case in record.cases for r in case.repeats if r.telemetry is not None)
        before = next(looks, {})
        facts |= {name: _said(before, name) for name in _READ_BEFORE}
    return Digest(
        run_id=record.run_id,
        started_at=record.started_at,
        outcome=record.outcome,
        simulated=record.simulated,
        kind=device.kind,
        vendor=device.vendor,
        device=device.name,
        host=host,
        # A UUID is the card's own, in whatever container or host it is seen.
        machine=device.uuid or f"{host} {device.pci or device.name}",
        facts={name: value for name, value in facts.items() if value is not None},
        cases=[_case(case) for case in record.cases],
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


def _case(case: Case) -> CaseDigest:
    good = [repeat for repeat in case.repeats if repeat.outcome == "ok" and repeat.throughput is not None]
    processes: dict[str, list[float]] = {}
    values: dict[str, float] = {}
    absent: dict[str, str] = {}
    for metric in METRICS:
        reading = metric.read(case)
        if reading.value is None:
            absent[metric.key] = reading.absent
            continue
        if reading.value and not _LEAST < abs(reading.value) < 1 / _LEAST:
            absent[metric.key] = "no device has such a value: the record is damaged"
            continue
        values[metric.key] = reading.value
        each = [] if metric.each is None else [metric.each(case, repeat) for repeat in good]
        known = [value for value in each if value is not None and _LEAST < value < 1 / _LEAST]
        if known and len(known) == len(each):
            processes[metric.key] = known
    checks = sorted({check for r in good if r.telemetry is not None for check in r.telemetry.checks})
    waits = [r.cpu.waiting for r in good if r.cpu is not None and r.cpu.waiting is not None]
    stolen = [r.cpu.stolen for r in good if r.cpu is not None and r.cpu.stolen is not None]
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
        "gpu_utilization_pct": None if case.gpu_utilization_pct is None else case.gpu_utilization_pct.mean,
        "idle_power_w": case.idle_power_w,
        "energy_error_j_per_sample": case.energy_error_j_per_sample,
        "checks": checks or None,
    }
    return CaseDigest(
        case_id=case.case_id,
        workload=case.workload,
        mode=case.mode,
        variant=case.variant,
        precision=case.precision.effective,
        requested=case.precision.requested,
        batch_size=case.batch_size,
        seq_len=case.seq_len,
        threads=case.threads,
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
        values=values,
        absent=absent,
        facts={name: value for name, value in facts.items() if value is not None},
    )
