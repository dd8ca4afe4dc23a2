"""The record of a run, which every part of gpuprof knows, and its JSON Schema.

Units are SI and part of the field names. A quantity that was not measured is None, and `absent` of the same part holds
the reason under the field's name. A None without a reason, or a reason beside a value, does not validate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from gpuprof.record.case import Case
from gpuprof.record.config import ConfigRecord
from gpuprof.record.part import LARGEST, Count, NonNegative, Part, RunId, RunOutcome, SensorReading
from gpuprof.record.protocol import Protocol
from gpuprof.record.variables import kept
from gpuprof.record.versions import SCHEMA


class Calibration(Part):
    """What `gpuprof calibrate-telemetry` found of the card's energy counter, before this run."""

    kind: Literal["ideal", "lagging", "late", "part-time", "mis-scaled", "frozen", "none", "unproven"]
    means: str
    measured_at: str
    lag_s: float | None = Field(description="how old its joules are when it moves; null: it could not be told")
    driver: str | None = Field(description="version of the driver that it was measured with")


class TelemetrySource(Part):
    """The device whose sensors were read, and how it was identified."""

    vendor: str
    library: str
    version: str
    simulated: bool
    device: str = Field(description="as `gpuprof devices` names it")
    attributed_by: str
    scope: str = Field(description="what power covers")
    energy_scope: str | None = Field(None, description="what the energy counter covers")
    shared_by: Annotated[int, Field(ge=1, le=LARGEST)] | None = Field(
        description="devices or partitions whose power and energy these are, together; null: others are not seen"
    )
    power_signal: str | None = Field(description="the signal used as power_w")
    temperature_signal: str | None = Field(description="the signal used as temperature_c")
    gain_error: NonNegative | None = Field(
        description="systematic relative error of the power sensor, one standard deviation"
    )
    gain_source: str
    hz: NonNegative
    calibration: Calibration | None = Field(None, description="by calibrate-telemetry, before this run")
    identity: dict[str, SensorReading]
    tick_s: NonNegative | None
    call_s: NonNegative | None = Field(description="median time of the call that reads power and energy")
    cpu_share: NonNegative | None = Field(description="share of one core spent on sampling, over the whole run")


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
    # Earlier versions kept whatever had a vendor's prefix, API keys among it: such values are not read.
    variables: Annotated[dict[str, str], AfterValidator(kept)] = Field(
        default_factory=dict, description="environment variables that can change results"
    )


class RunRecord(Part):
    schema_: Literal["gpuprof.record/4"] = Field("gpuprof.record/4", alias="schema")
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

    @model_validator(mode="after")
    def _cases_have_names_of_their_own(self) -> RunRecord:
        if len({case.case_id for case in self.cases}) != len(self.cases):
            raise ValueError("two cases have the same case_id")
        return self

    def to_json(self) -> str:
        """The text of record.json; the same record always gives the same bytes."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def json_schema() -> dict[str, JsonValue]:
    """The JSON Schema (2020-12) of record.json, as `gpuprof schema` prints it."""
    schema = RunRecord.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **schema}
