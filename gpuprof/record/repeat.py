"""What one process measured."""

from __future__ import annotations

from pydantic import Field

from gpuprof.record.part import Count, EnergyMethod, NonNegative, Part, RepeatOutcome, SensorReading, Summary


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
