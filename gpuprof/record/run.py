"""The record of a run: the one thing that every part of gpuprof knows.

Units are SI and stand in the field names. A quantity that was not measured is None, and `absent` of the same part
then holds the reason under the field's name; a None without a reason, or a reason beside a value, does not validate.

Schema history
  gpuprof.record/1  first version.
  gpuprof.record/2  telemetry in run, case and repeat: power, energy, temperatures, clocks, throttling of the device.
  gpuprof.record/3  config.shard and config.held: which of the configuration's cases are this run's, and why.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

SCHEMA = "gpuprof.record/3"
OLDER = ("gpuprof.record/1", "gpuprof.record/2")

Mode = Literal["train", "infer"]
Precision = Literal["ieee", "tf32", "bf16", "fp16"]
Variant = Literal["eager", "compile", "graph"]
Verdict = Literal["pass", "drift", "wrong"]
Regime = Literal["cpu", "host-bound", "device-bound"]
RunOutcome = Literal["ok", "partial", "failed", "interrupted"]
CaseOutcome = Literal["ok", "failed", "unsupported", "not_run"]
RepeatOutcome = Literal["ok", "error", "out_of_memory", "killed", "crashed", "timeout", "unsupported", "interrupted"]
SensorStatus = Literal["ok", "unsupported", "no_permission", "transient", "lost"]
EnergyMethod = Literal["counter", "power_trapezoid"]
Interval = tuple[float, float]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RunId = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[a-z0-9_-]{1,80}-[0-9a-f]{8}$")]
CaseId = Annotated[str, Field(pattern=r"^[a-z0-9_.+=-]{1,200}$")]


class Part(BaseModel):
    """A frozen piece of a record. `absent` names each field that is None and says why."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    absent: dict[str, str] = Field(default_factory=dict, description="field that is null -> why it is")

    @model_validator(mode="after")
    def _every_none_has_its_reason(self) -> Part:
        empty = {name for name in type(self).model_fields if getattr(self, name) is None}
        if unexplained := empty - self.absent.keys():
            raise ValueError(f"null without a reason in `absent`: {', '.join(sorted(unexplained))}")
        if stray := self.absent.keys() - empty:
            raise ValueError(f"`absent` names a field that has a value or does not exist: {', '.join(sorted(stray))}")
        return self


class SensorReading(BaseModel):
    """What a sensor or a vendor library said, or why it said nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: JsonValue
    status: SensorStatus
    reason: str | None = Field(description="why there is no value; null beside a value")

    @model_validator(mode="after")
    def _value_or_reason(self) -> SensorReading:
        good = self.status == "ok"
        if good != (self.value is not None) or good != (self.reason is None):
            raise ValueError("a reading has a value and status ok, or a reason and another status")
        return self


class Estimate(Part):
    """A headline number: geometric mean over processes, with its 95% interval (Student t on logarithms)."""

    value: float
    ci95: Interval | None
    processes: Count


class Throughput(Part):
    """Asynchronous blocks of steps with one synchronisation each, in one process."""

    samples_per_s: NonNegative = Field(description="batch size / median block step time")
    samples_per_s_total: NonNegative = Field(description="samples / time, over all blocks together")
    step_s: NonNegative = Field(description="median over blocks of block time / steps in the block")
    submit_s: NonNegative = Field(description="median host time to submit one step, before any synchronisation")
    blocks: Count
    steps: Count
    steps_per_block: Count
    total_s: NonNegative
    drift: NonNegative | None = Field(description="spread of the medians of the window's three thirds / middle one")


class DeviceSpan(Part):
    """Time between device events at both ends of a block: an upper bound of the time that the device was busy."""

    step_s: NonNegative = Field(description="median over blocks of event time / steps in the block")


class Percentiles(Part):
    """Latency of one process: a synchronisation after every request (a request is one step)."""

    p50: NonNegative
    p90: NonNegative | None
    p99: NonNegative | None
    p50_upper95: NonNegative | None = Field(description="order-statistic upper bound, 95% confidence")
    p90_upper95: NonNegative | None
    p99_upper95: NonNegative | None
    requests: Count
    submit_s: NonNegative = Field(description="median host time to submit one step to an idle device")


class Latency(Part):
    """Latency of a case: geometric means over processes of each process's percentiles; the bounds are the largest."""

    p50: NonNegative
    p90: NonNegative | None
    p99: NonNegative | None
    ci95: Interval | None = Field(description="95% interval of p50 over processes")
    p50_upper95: NonNegative | None
    p90_upper95: NonNegative | None
    p99_upper95: NonNegative | None
    requests: Count
    processes: Count


class Cold(Part):
    """What happens once, kept apart from the steady state."""

    import_s: NonNegative = Field(description="interpreter ready -> torch imported")
    build_s: NonNegative = Field(description="network, weights, optimiser and inputs put on the device")
    capture_s: NonNegative | None = Field(description="device graph capture, its warm-up steps included")
    first_step_s: NonNegative = Field(
        description="first call of the step: capture, compilation and library tuning included"
    )
    settle_steps: Count = Field(description="further steps until allocator and compiler counters stood still")
    settle_s: NonNegative


class Warmup(Part):
    steady: bool
    reason: str = Field(description="why it counts as steady, or why not")
    steps: Count
    seconds: NonNegative


class Memory(Part):
    peak_bytes: Count | None
    scope: str = Field(description="what the peak covers")
    reserved_bytes: Count | None
    alloc_retries: Count | None


class Cpu(Part):
    """Processor use of the worker in the throughput window."""

    seconds: NonNegative
    wall_s: NonNegative
    threads: Count = Field(description="threads that do the work: the CPU's, or on a GPU the one that submits")
    utilisation: NonNegative = Field(description="CPU seconds / (wall seconds x threads)")
    waiting: NonNegative | None = Field(description="seconds spent runnable but without a core / (wall x threads)")
    stolen: NonNegative | None = Field(description="share of all CPUs' time that a hypervisor gave to others")


class Phase(Part):
    """CLOCK_MONOTONIC marks, so that telemetry samples and phases share one time line."""

    name: str
    start_ns: Count
    end_ns: Count


class Summary(Part):
    """One sampled signal over a window."""

    mean: float
    median: float
    min: float
    max: float
    start: float
    end: float
    samples: Count


class Energy(Part):
    """Energy that the device drew in one phase. Errors are one standard deviation, the sensor's gain error apart."""

    method: EnergyMethod
    seconds: NonNegative
    energy_j: float = Field(description="all of it, the idle floor included")
    error_j: NonNegative
    above_idle_j: float | None = Field(description="energy less idle power x seconds")
    above_idle_error_j: NonNegative | None
    trapezoid_j: float | None = Field(description="the other estimator: integral of sampled power")
    disagreement: float | None = Field(description="trapezoid_j / energy_j - 1")


class RepeatTelemetry(Part):
    """What the device's sensors said during one process. The window is the throughput window."""

    samples: Count = Field(description="in the window")
    achieved_hz: NonNegative | None = Field(description="rate in the window")
    missed: Count = Field(description="samples left out because the one before was late, in the whole repeat")
    tick_s: NonNegative | None = Field(description="time between two moves of the energy counter, measured")
    idle_power_w: NonNegative | None = Field(
        description="before and after the window, with the process's context alive on the device"
    )
    idle_power_error_w: NonNegative | None
    energy: dict[str, Energy] = Field(description="by phase: cold, warmup, throughput")
    energy_absent: dict[str, str] = Field(default_factory=dict, description="phase without energy -> why")
    window: dict[str, Summary] = Field(description="by signal, for instance power_w, temperature_c, core_clock_hz")
    window_absent: dict[str, SensorReading] = Field(default_factory=dict)
    throttled_share: dict[str, NonNegative] | None = Field(description="share of the window, by reason")
    before: dict[str, SensorReading] = Field(description="facts before the process was started")
    after: dict[str, SensorReading] = Field(description="facts after it had ended")
    checks: list[str] = Field(default_factory=list, description="what makes this repeat's conditions doubtful")


class TelemetrySource(Part):
    """The device whose sensors were read, and how it was told apart from others."""

    vendor: str
    library: str
    version: str
    simulated: bool
    device: str = Field(description="as `gpuprof devices` names it")
    attributed_by: str
    scope: str = Field(description="what power and energy cover")
    shared_by: Annotated[int, Field(ge=1)]
    power_signal: str | None = Field(description="the signal that stands for power_w")
    temperature_signal: str | None = Field(description="the signal that stands for temperature_c")
    gain_error: NonNegative | None = Field(description="systematic relative error of the power sensor, one standard")
    gain_source: str
    hz: NonNegative
    identity: dict[str, SensorReading]
    tick_s: NonNegative | None
    call_s: NonNegative | None = Field(description="median time of the call that reads power and energy")
    cpu_share: NonNegative | None = Field(description="of one core, spent on sampling over the whole run")


class Repeat(Part):
    """One fresh process."""

    index: Count
    order: Count = Field(description="position in the whole run; shows how cases were interleaved")
    outcome: RepeatOutcome
    reason: str | None
    exit_code: int | None
    started_at: str
    duration_s: NonNegative
    cold: Cold | None
    warmup: Warmup | None
    throughput: Throughput | None
    device_span: DeviceSpan | None
    latency: Percentiles | None
    memory: Memory | None
    cpu: Cpu | None
    telemetry: RepeatTelemetry | None
    phases: list[Phase] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    output_tail: str = Field("", description="last lines the process printed, kept when it did not end well")


class ProbeResult(Part):
    """One operation in the case's precision against float64."""

    error: NonNegative | None = Field(description="||result - reference|| / ||reference||; unit: 1")
    effective: str | None
    dtype: str | None


class PrecisionRecord(Part):
    requested: Precision
    effective: str | None = Field(description="arithmetic that the probe found in the operations this workload uses")
    probe: dict[str, ProbeResult] = Field(default_factory=dict)
    flags: dict[str, JsonValue] = Field(default_factory=dict, description="torch's switches, read back")


class Correctness(Part):
    """Small seeded batch on the device, in the case's precision and variant, against a float64 CPU reference."""

    verdict: Verdict | None
    output_error: NonNegative | None
    loss_error: NonNegative | None
    gradient_norm_error: NonNegative | None
    loss_curve_error: NonNegative | None = Field(description="largest difference over the curve / first loss")
    loss_curve: list[float | None] = Field(default_factory=list)
    tolerance: NonNegative | None = Field(description="largest relative error that passes")
    wrong_above: NonNegative | None = Field(description="relative error from which the verdict is wrong")
    batch_size: Count | None
    seq_len: Count | None
    reference: str | None = Field(description="where the float64 reference came from")

    @classmethod
    def unknown(cls, reason: str) -> Correctness:
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


class Case(Part):
    case_id: CaseId
    fallback_of: str | None = Field(description="case that this one stands in for; null when asked for by the user")
    workload: str
    mode: Mode
    variant: Variant
    batch_size: Annotated[int, Field(ge=1)]
    seq_len: Annotated[int, Field(ge=1)] | None
    threads: Annotated[int, Field(ge=1)]
    seed: Count
    params: dict[str, JsonValue]
    outcome: CaseOutcome
    reason: str | None
    trainable_parameters: Count | None
    parameters: Count | None
    flops_per_sample: Count | None = Field(description="forward + backward when training, forward when inferring")
    flops: Flops | None
    bytes_per_sample: NonNegative | None = Field(
        description="bytes in and out of every operation in eager float32, forward (+ backward), at this batch size"
    )
    weights: WeightsRecord | None
    precision: PrecisionRecord
    correctness: Correctness
    steady: bool | None = Field(description="every good repeat: warm-up steady, and the window drifts by 5% at most")
    regime: Regime | None
    throughput_per_s: Estimate | None
    throughput_total_per_s: Estimate | None = Field(description="as throughput, from samples / total time")
    latency_s: Latency | None
    device_span_s: Estimate | None
    first_step_s: NonNegative | None = Field(description="of the first process that ran this case in this run")
    peak_memory_bytes: Count | None = Field(description="largest over processes")
    energy_j_per_sample: Estimate | None = Field(description="throughput window, the idle floor included")
    energy_above_idle_j_per_sample: Estimate | None
    energy_method: EnergyMethod | None
    energy_error_j_per_sample: NonNegative | None = Field(
        description="one standard deviation of a single process's value by the method's own error formula"
    )
    idle_power_w: NonNegative | None
    power_w: Summary | None = Field(
        description="over processes: means of mean, median, start and end; smallest min, largest max"
    )
    temperature_c: Summary | None
    gpu_utilization_pct: Summary | None
    core_clock_hz: Summary | None
    throttled_share: dict[str, NonNegative] | None = Field(description="mean over processes, by reason")
    repeats: list[Repeat]
    warnings: list[str] = Field(default_factory=list)


class Device(Part):
    kind: Literal["cpu", "gpu"]
    vendor: str | None
    name: str
    index: Count | None
    uuid: str | None
    pci: str | None = Field(description="domain:bus:device.function")
    architecture: str | None
    memory_total_bytes: Count | None
    compute_units: Count | None = Field(description="GPU: multiprocessors or compute units; CPU: physical cores")


class Environment(Part):
    hostname: str
    os: str
    kernel: str
    cpu: str | None
    cpu_physical_cores: Count
    cpu_logical_cores: Count
    memory_total_bytes: Count | None
    container: str | None
    python: str
    gpuprof: str
    gpuprof_commit: str | None
    torch: str | None
    torch_build: Literal["cpu", "cuda", "rocm"] | None
    libraries: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict, description="environment variables that change results")


class Protocol(Part):
    """How long and how often; the same on every device."""

    name: Literal["full", "quick"]
    repeats: Annotated[int, Field(ge=1)]
    warmup_min_steps: Count
    warmup_min_s: NonNegative
    warmup_max_s: NonNegative
    block_min_s: NonNegative
    measure_min_blocks: Count
    measure_min_s: NonNegative
    measure_max_s: NonNegative
    latency_max_requests: Count
    latency_min_requests: Count
    latency_min_s: NonNegative
    latency_max_s: NonNegative
    idle_s: NonNegative = Field(description="idle power is measured this long before warm-up and after the window")
    energy_error: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        description="relative standard error of the window's energy that its length is chosen for"
    )
    timeout_s: NonNegative


class ConfigRecord(Part):
    file: str
    sha256: Sha256
    text: str
    overrides: list[str] = Field(default_factory=list, description="KEY=VALUE, of a suite file and of --set")
    shard: Annotated[str, Field(pattern=r"^[1-9][0-9]*/[1-9][0-9]*$")] = Field(
        default="1/1",
        description="K/N: the part of all planned cases that was this run's to measure; 1/1 is all of them",
    )
    held: dict[CaseId, RunId] = Field(
        default_factory=dict, description="case that --resume left out -> run of the same store that holds it"
    )


class RunRecord(Part):
    schema_: Literal["gpuprof.record/3"] = Field("gpuprof.record/3", alias="schema")
    run_id: RunId
    outcome: RunOutcome
    reason: str | None
    simulated: bool
    started_at: str
    finished_at: str
    config: ConfigRecord
    protocol: Protocol
    device: Device
    environment: Environment
    telemetry: TelemetrySource | None
    cases: list[Case]
    warnings: list[str] = Field(default_factory=list)

    def to_json(self) -> str:
        """The text of record.json; the same record always gives the same bytes."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


CASE_TELEMETRY = (
    "energy_j_per_sample", "energy_above_idle_j_per_sample", "energy_method", "energy_error_j_per_sample",
    "idle_power_w", "power_w", "temperature_c", "gpu_utilization_pct", "core_clock_hz", "throttled_share",
)  # fmt: skip


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """The document of an older schema as one of today's; what was not recorded then is absent, and says so."""
    if data["schema"] == "gpuprof.record/1":
        data = _with_telemetry(data)
    return {**data, "schema": SCHEMA}  # before schema 3 every run was all of its configuration: config's defaults


def _with_telemetry(data: dict[str, Any]) -> dict[str, Any]:
    reason = "this run was recorded before gpuprof had telemetry"

    def without(part: dict[str, Any], *names: str) -> dict[str, Any]:
        return {**part, **dict.fromkeys(names), "absent": {**part["absent"], **dict.fromkeys(names, reason)}}

    cases = [
        {**without(case, *CASE_TELEMETRY), "repeats": [without(repeat, "telemetry") for repeat in case["repeats"]]}
        for case in data["cases"]
    ]
    protocol = {**without(data["protocol"], "energy_error"), "idle_s": 0.0}
    return {**without(data, "telemetry"), "cases": cases, "protocol": protocol}


def json_schema() -> dict[str, JsonValue]:
    """JSON Schema (2020-12) of `record.json`."""
    schema = RunRecord.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **schema}
