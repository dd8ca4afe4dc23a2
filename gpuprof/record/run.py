"""The record of a run: the one thing that every part of gpuprof knows, and its JSON Schema.

Units are SI and stand in the field names. A quantity that was not measured is None, and `absent` of the same part
then holds the reason under the field's name; a None without a reason, or a reason beside a value, does not validate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from gpuprof.record.case import Case
from gpuprof.record.part import CaseId, Count, NonNegative, Part, RunId, RunOutcome, SensorReading, Sha256
from gpuprof.record.versions import SCHEMA


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


def json_schema() -> dict[str, JsonValue]:
    """JSON Schema (2020-12) of `record.json`."""
    schema = RunRecord.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **schema}
