"""The part of a record that a digest is made from, with the record's own types and limits; the rest is skipped.

Reading it takes a third of the time of the whole record. `gpuprof store verify` reads everything. Of what
metrics are read from it has every number, estimate and summary, so that a new one needs no line here.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from gpuprof.record import case, config, part, repeat, run

_CONFIG = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


def _seen(model: type[BaseModel], *names: str, **inner: Any) -> Any:
    """These fields of `model` as they are, and those of `inner` with another, smaller type."""
    fields: dict[str, Any] = {name: (model.model_fields[name].annotation, model.model_fields[name]) for name in names}
    fields |= {name: (smaller, model.model_fields[name].default) for name, smaller in inner.items()}
    make: Any = create_model
    return make(f"{model.__name__}Seen", __config__=_CONFIG, **fields)


def _of_type(model: type[BaseModel], *types: Any) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.annotation in types]


def _with_numbers(model: type[BaseModel], *names: str, **inner: Any) -> Any:
    """As `_seen`, with every field that is a number, or None where there is none."""
    numbers = _of_type(model, int, float, float | None, part.Count | None, part.NonNegative | None)
    return _seen(model, *names, *numbers, **inner)


_READINGS: Any = dict[str, _seen(part.SensorReading, "value")]  # type: ignore[misc]
_SUMMARY: Any = _with_numbers(part.Summary)
_ESTIMATE: Any = _seen(part.Estimate, "value", "ci95")
_ENERGY: Any = _seen(repeat.Energy, "method", "energy_j", "above_idle_j")
_TELEMETRY: Any = _seen(
    repeat.RepeatTelemetry, "checks", energy=dict[str, _ENERGY], window=dict[str, _SUMMARY], before=_READINGS
)
_REPEAT: Any = _seen(
    repeat.Repeat, "index", "outcome", "phases",
    throughput=_with_numbers(repeat.Throughput) | None,
    device_span=_with_numbers(repeat.DeviceSpan) | None,
    latency=_with_numbers(repeat.Percentiles) | None,
    memory=_seen(repeat.Memory, "scope", "alloc_retries") | None,
    cpu=_seen(repeat.Cpu, "waiting", "stolen") | None,
    yardstick=_with_numbers(repeat.Yardstick) | None,
    telemetry=_TELEMETRY | None,
)  # fmt: skip
_CASE: Any = _with_numbers(
    case.Case, "absent", "case_id", "workload", *(key.name for key in case.ASKED), "params", "outcome", "reason",
    "steady", "regime", "energy_method", "fallback_of", "item", "throttled_share",
    precision=_seen(case.PrecisionRecord, "requested", "effective", "flags"),
    correctness=_seen(case.Correctness, "verdict", "tolerance"),
    weights=_seen(case.WeightsRecord, "source", "sha256") | None,
    latency_s=_with_numbers(case.Latency, "absent", "ci95") | None,
    repeats=list[_REPEAT],
    **dict.fromkeys(_of_type(case.Case, part.Estimate | None), _ESTIMATE | None),
    **dict.fromkeys(_of_type(case.Case, part.Summary | None), _SUMMARY | None),
)  # fmt: skip
RunSeen: Any = _seen(
    run.RunRecord, "schema_", "run_id", "started_at", "outcome", "simulated", "protocol",
    device=_seen(
        run.Device, "kind", "vendor", "name", "uuid", "pci", "architecture", "memory_total_bytes", "compute_units"
    ),
    environment=_seen(
        run.Environment, "hostname", "gpuprof", "gpuprof_commit", "torch", "torch_build", "libraries", "variables",
        "container", "cpu", "cpu_physical_cores", "cpu_logical_cores", "memory_total_bytes", "kernel", "os", "python",
    ),
    config=_seen(config.ConfigRecord, "file", "sha256"),
    telemetry=_seen(
        run.TelemetrySource, "scope", "energy_scope", "shared_by", "gain_error", "power_signal", "hz", "library",
        "version", "simulated", identity=_READINGS,
    ) | None,
    cases=list[_CASE],
)  # fmt: skip
