"""What one process measured."""

from __future__ import annotations

from pydantic import Field

from gpuprof.record.part import Count, EnergyMethod, NonNegative, Part, RepeatOutcome, SensorReading, Summary


class Throughput(Part):
    """Asynchronous blocks of steps with one synchronisation each, in one process."""

    samples_per_s: NonNegative = Field(description="batch size / median block step time")
    samples_per_s_total: NonNegative = Field(description="samples / time, for all blocks together")
    step_s: NonNegative = Field(description="median across blocks of block time / steps in the block")
    submit_s: NonNegative = Field(description="median host time to submit one step, before any synchronisation")
    blocks: Count
    steps: Count
    steps_per_block: Count
    total_s: NonNegative
    drift: NonNegative | None = Field(description="spread of the medians of the window's three thirds / middle one")


class DeviceSpan(Part):
    """Time between device events at both ends of a block: an upper bound on the time the device was busy."""

    step_s: NonNegative = Field(description="median across blocks of event time / steps in the block")


class Percentiles(Part):
    """Latency of one process: a synchronisation after every request (a request is one step)."""

    p50: NonNegative
    p90: NonNegative | None
    p99: NonNegative | None
    p50_upper95: NonNegative | None = Field(description="upper bound from order statistics, 95% confidence")
    p90_upper95: NonNegative | None
    p99_upper95: NonNegative | None
    requests: Count
    submit_s: NonNegative = Field(description="median host time to submit one step to an idle device")


class Cold(Part):
    """One-time costs, kept apart from the steady state."""

    import_s: NonNegative = Field(description="interpreter ready -> torch imported")
    build_s: NonNegative = Field(description="network, weights, optimiser and inputs created on the device")
    capture_s: NonNegative | None = Field(description="device graph capture, including its warm-up steps")
    first_step_s: NonNegative = Field(
        description="first call of the step, including capture, compilation and library tuning"
    )
    settle_steps: Count = Field(description="further steps until allocator and compiler counters stopped changing")
    settle_s: NonNegative


class Warmup(Part):
    steady: bool
    reason: str = Field(description="why it counts as steady, or why not")
    steps: Count
    seconds: NonNegative


class Memory(Part):
    peak_bytes: Count | None
    scope: str = Field(description="what the peak covers")
    workspace_bytes: Count | None = Field(
        None, description="part of the peak that BLAS libraries work in, one piece for each stream"
    )
    reserved_bytes: Count | None
    alloc_retries: Count | None


class Cpu(Part):
    """Processor use of the worker in the throughput window."""

    seconds: NonNegative
    wall_s: NonNegative
    threads: Count = Field(description="threads that do the work; on a GPU, the one that submits it")
    utilisation: NonNegative = Field(description="CPU seconds / (wall seconds x threads)")
    waiting: NonNegative | None = Field(
        description="seconds W spent runnable but without a core, / (wall x threads) or (seconds + W), the larger one"
    )
    stolen: NonNegative | None = Field(description="share of all CPUs' time that the hypervisor gave to other guests")


class Yardstick(Part):
    """A product and a copy that are the same in all cases: how fast the machine itself was after the windows."""

    product_s: NonNegative | None = Field(description="of two square float32 matrices: of side 512 on a CPU, else 4096")
    copy_s: NonNegative | None = Field(description="within the device's memory: 32 MiB on a CPU, else 256 MiB")


class Phase(Part):
    """CLOCK_MONOTONIC times, so that telemetry samples and phases share one timeline."""

    name: str
    start_ns: Count
    end_ns: Count


class Energy(Part):
    """Energy the device drew in one phase. Errors are one standard deviation, without the sensor's gain error."""

    method: EnergyMethod
    seconds: NonNegative
    energy_j: float = Field(description="total energy, idle power included")
    error_j: NonNegative
    above_idle_j: float | None = Field(description="energy_j - idle power x seconds")
    above_idle_error_j: NonNegative | None
    trapezoid_j: float | None = Field(description="the other estimator: integral of sampled power")
    disagreement: float | None = Field(description="trapezoid_j / energy_j - 1")


class RepeatTelemetry(Part):
    """What the device's sensors reported during one process. The window is the throughput window."""

    samples: Count = Field(description="number in the window")
    achieved_hz: NonNegative | None = Field(description="sampling rate in the window")
    missed: Count = Field(description="samples skipped in the whole repeat because the previous one was late")
    tick_s: NonNegative | None = Field(description="measured time between two updates of the energy counter")
    idle_power_w: NonNegative | None = Field(
        description="measured before and after the window, with the process's context on the device"
    )
    idle_power_error_w: NonNegative | None
    energy: dict[str, Energy] = Field(description="by phase: cold, warmup, throughput")
    energy_absent: dict[str, str] = Field(default_factory=dict, description="phase without energy -> why it has none")
    window: dict[str, Summary] = Field(description="by signal, such as power_w, temperature_c, core_clock_hz")
    window_absent: dict[str, SensorReading] = Field(default_factory=dict)
    throttled_share: dict[str, NonNegative] | None = Field(description="share of the window, by reason")
    throttle_unsampled: dict[str, NonNegative] = Field(
        default_factory=dict,
        description="share of the window by reason that the driver counted while no sample has it: not throttling",
    )
    before: dict[str, SensorReading] = Field(description="facts before the process started")
    after: dict[str, SensorReading] = Field(description="facts after the process ended")
    checks: list[str] = Field(default_factory=list, description="doubts about this repeat's conditions")


class Repeat(Part):
    """One fresh process."""

    index: Count
    order: Count = Field(description="position in the whole run, which shows how cases were interleaved")
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
    yardstick: Yardstick | None = None
    phases: list[Phase] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    output_tail: str = Field("", description="last lines the process printed, kept if it failed")
