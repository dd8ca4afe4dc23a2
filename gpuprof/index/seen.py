"""The part of a record that a digest is made from, with the record's own types and limits; the rest is skipped.

Reading it takes a third of the time of the whole record. `gpuprof store verify` reads everything.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from gpuprof.record import case, config, part, repeat, run

_CONFIG = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


def _seen(model: type[BaseModel], *names: str, **inner: Any) -> Any:
    """These fields of `model` as they are, and those of `inner` with another, smaller type."""
    fields: dict[str, Any] = {name: (model.model_fields[name].annotation, model.model_fields[name]) for name in names}
    fields |= {name: (smaller, ...) for name, smaller in inner.items()}
    make: Any = create_model
    return make(f"{model.__name__}Seen", __config__=_CONFIG, **fields)


_READINGS: Any = dict[str, _seen(part.SensorReading, "value")]  # type: ignore[misc]
_SUMMARY: Any = _seen(part.Summary, "mean", "median", "max", "start", "end")
_ESTIMATE: Any = _seen(part.Estimate, "value", "ci95")
_ENERGY: Any = _seen(repeat.Energy, "method", "energy_j", "above_idle_j")
_TELEMETRY: Any = _seen(
    repeat.RepeatTelemetry, "checks", energy=dict[str, _ENERGY], window=dict[str, _SUMMARY], before=_READINGS
)
_REPEAT: Any = _seen(
    repeat.Repeat, "index", "outcome", "phases",
    throughput=_seen(repeat.Throughput, "samples_per_s", "samples_per_s_total", "steps") | None,
    device_span=_seen(repeat.DeviceSpan, "step_s") | None,
    latency=_seen(repeat.Percentiles, "p50", "p90", "p99") | None,
    memory=_seen(repeat.Memory, "scope") | None,
    cpu=_seen(repeat.Cpu, "waiting", "stolen") | None,
    telemetry=_TELEMETRY | None,
)  # fmt: skip
_CASE: Any = _seen(
    case.Case, "absent", "case_id", "workload", *(key.name for key in case.ASKED), "params", "outcome", "reason",
    "steady", "regime", "energy_method", "fallback_of", "first_step_s", "peak_memory_bytes", "throttled_share",
    "idle_power_w", "energy_error_j_per_sample",
    precision=_seen(case.PrecisionRecord, "requested", "effective", "flags"),
    correctness=_seen(case.Correctness, "verdict"),
    weights=_seen(case.WeightsRecord, "source", "sha256") | None,
    latency_s=_seen(case.Latency, "absent", "p50", "p90", "p99", "ci95") | None,
    repeats=list[_REPEAT],
    throughput_per_s=_ESTIMATE | None, throughput_total_per_s=_ESTIMATE | None, device_span_s=_ESTIMATE | None,
    energy_j_per_sample=_ESTIMATE | None, energy_above_idle_j_per_sample=_ESTIMATE | None,
    power_w=_SUMMARY | None, temperature_c=_SUMMARY | None, gpu_utilization_pct=_SUMMARY | None,
    core_clock_hz=_SUMMARY | None,
)  # fmt: skip
RunSeen: Any = _seen(
    run.RunRecord, "schema_", "run_id", "started_at", "outcome", "simulated", "protocol",
    device=_seen(run.Device, "kind", "vendor", "name", "uuid", "pci"),
    environment=_seen(
        run.Environment, "hostname", "gpuprof", "gpuprof_commit", "torch", "torch_build", "libraries", "variables",
        "container", "cpu", "cpu_physical_cores", "kernel", "os", "python",
    ),
    config=_seen(config.ConfigRecord, "file", "sha256"),
    telemetry=_seen(run.TelemetrySource, "scope", "shared_by", "gain_error", identity=_READINGS) | None,
    cases=list[_CASE],
)  # fmt: skip
