"""A case: what was asked for, what was checked once, and its headline numbers over the repeats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, create_model

from gpuprof.case_keys import KEYS, CaseKey, CaseKeys, Precision
from gpuprof.record.part import (
    LARGEST,
    CaseId,
    CaseOutcome,
    Count,
    EnergyMethod,
    Estimate,
    Interval,
    Item,
    NonNegative,
    Part,
    Regime,
    Sha256,
    Summary,
    Verdict,
)
from gpuprof.record.repeat import Repeat


class Latency(Part):
    """Latency of a case: geometric means of the processes' percentiles; the upper bounds are the largest of theirs."""

    p50: NonNegative
    p90: NonNegative | None
    p99: NonNegative | None
    ci95: Interval | None = Field(description="95% interval of p50 across processes")
    p50_upper95: NonNegative | None
    p90_upper95: NonNegative | None
    p99_upper95: NonNegative | None
    requests: Count
    processes: Count


class ProbeResult(Part):
    """One operation in the case's precision against float64."""

    error: NonNegative | None = Field(description="||result - reference|| / ||reference||; unit: 1")
    effective: str | None
    dtype: str | None


class PrecisionRecord(Part):
    requested: Precision
    effective: str | None = Field(description="precision actually used, as probed on the operations of this workload")
    probe: dict[str, ProbeResult] = Field(default_factory=dict)
    flags: dict[str, JsonValue] = Field(default_factory=dict, description="torch's precision settings, read back")


class Correctness(Part):
    """A small seeded batch on the device, in the case's precision and variant, against a float64 CPU reference."""

    verdict: Verdict | None
    output_error: NonNegative | None
    loss_error: NonNegative | None
    gradient_norm_error: NonNegative | None
    loss_curve_error: NonNegative | None = Field(description="largest difference along the curve / largest loss")
    batch_error: NonNegative | None = Field(
        None, description="a batch of the case's own size against the few rows that it repeats"
    )
    found_by: Literal["reference", "batch"] | None = Field(
        None, description="what a verdict other than `pass` comes from: the small batch, or that of the case's own size"
    )
    loss_curve: list[float | None] = Field(
        default_factory=list, description="all losses of all steps, in the order computed"
    )
    tolerance: NonNegative | None = Field(description="largest relative error that passes")
    wrong_above: NonNegative | None = Field(description="relative error above which the verdict is `wrong`")
    batch_size: Count | None
    seq_len: Count | None
    reference: str | None = Field(description="source of the float64 reference")

    @classmethod
    def unknown(cls, reason: str) -> Correctness:
        """The gate of a case that was not checked: every field absent for this reason."""
        empty = dict.fromkeys(set(cls.model_fields) - {"absent", "loss_curve"})
        return cls.model_validate({**empty, "absent": dict.fromkeys(empty, reason)})


class WeightsRecord(Part):
    source: Literal["random", "imagenet", "file"]
    note: str
    sha256: Sha256 | None


class Flops(Part):
    """Matmul and convolution FLOPs of one sample; 1 MAC = 2 FLOPs."""

    forward: Count
    backward: Count
    counted_on: Literal["closed form", "closed form, equal on the meta device"]


class _Named(Part):
    case_id: CaseId
    fallback_of: str | None = Field(description="case that this one replaces; null if the user requested this one")
    workload: str


# The case keys as plain fields. Precision is a part of its own: what was requested, and what was found.
ASKED = tuple(key for key in KEYS.values() if key.name != "precision")


def _field(key: CaseKey) -> tuple[Any, Any]:
    kind: Any = Literal[key.words] if key.words else Annotated[int, Field(ge=key.least, le=LARGEST)]
    return (kind | None if key.optional else kind, ... if key.in_old_records else key.default)


if TYPE_CHECKING:

    class _Keyed(_Named, CaseKeys):  # type: ignore[misc]  # both are frozen
        threads: Count
        precision: PrecisionRecord  # type: ignore[assignment]
else:
    _Keyed = create_model("_Keyed", __base__=_Named, **{key.name: _field(key) for key in ASKED})


class Case(_Keyed):  # type: ignore[misc]
    params: dict[str, JsonValue]
    item: Item = Field(default="sample", description="what the workload counts besides samples")
    items_per_sample: Annotated[int, Field(ge=1, le=LARGEST)] = 1
    outcome: CaseOutcome
    reason: str | None
    trainable_parameters: Count | None
    parameters: Count | None
    flops_per_sample: Count | None = Field(description="forward + backward when training, forward when inferring")
    flops: Flops | None
    bytes_per_sample: NonNegative | None = Field(
        description="bytes read and written by all operations, eager float32, forward (+ backward), at this batch size"
    )
    weights: WeightsRecord | None
    precision: PrecisionRecord
    correctness: Correctness
    steady: bool | None = Field(
        description="in every good repeat, warm-up reached a steady state and the window drifted by at most 5%"
    )
    regime: Regime | None
    throughput_per_s: Estimate | None
    throughput_total_per_s: Estimate | None = Field(description="like throughput, but samples / total time")
    latency_s: Latency | None
    device_span_s: Estimate | None
    first_step_s: NonNegative | None = Field(description="in the first process of this case in this run")
    peak_memory_bytes: Count | None = Field(description="largest of the processes")
    energy_j_per_sample: Estimate | None = Field(description="in the throughput window, idle power included")
    energy_above_idle_j_per_sample: Estimate | None
    energy_method: EnergyMethod | None
    energy_error_j_per_sample: NonNegative | None = Field(
        description="one standard deviation of a single process's value, from the method's error formula"
    )
    idle_power_w: NonNegative | None
    power_w: Summary | None = Field(
        description="across processes: means of mean, median, start and end; smallest min, largest max"
    )
    temperature_c: Summary | None
    gpu_utilization_pct: Summary | None
    core_clock_hz: Summary | None
    throttled_share: dict[str, NonNegative] | None = Field(description="mean across processes, by reason")
    repeats: list[Repeat]
    warnings: list[str] = Field(default_factory=list)


def no_length(keys: Iterable[CaseKey]) -> dict[str, str]:
    """Reasons, by name, why a case has none of these lengths."""
    return {key.name: f"the workload {key.without}" for key in keys}


CASE_TELEMETRY = (
    "energy_j_per_sample", "energy_above_idle_j_per_sample", "energy_method", "energy_error_j_per_sample",
    "idle_power_w", "power_w", "temperature_c", "gpu_utilization_pct", "core_clock_hz", "throttled_share",
)  # fmt: skip
