"""The elements of a record: words with few values, checked numbers, and `Part`, the base of all others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from gpuprof.absent import EARLIER

Item = Literal["sample", "image", "token", "transition"]
Verdict = Literal["pass", "drift", "wrong"]
Regime = Literal["cpu", "host-bound", "device-bound"]
RunOutcome = Literal["ok", "partial", "failed", "interrupted"]
CaseOutcome = Literal["ok", "failed", "unsupported", "not_run"]
RepeatOutcome = Literal["ok", "error", "out_of_memory", "killed", "crashed", "timeout", "unsupported", "interrupted"]
SensorStatus = Literal["ok", "unsupported", "no_permission", "transient", "lost"]
EnergyMethod = Literal["counter", "power_trapezoid"]
Interval = tuple[float, float]
NonNegative = Annotated[float, Field(ge=0)]
LARGEST = 2**63 - 1  # of any whole number: what databases and other languages' readers hold, and far from overflow
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RunId = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[a-z0-9_-]{1,80}-[0-9a-f]{8}$")]
CaseId = Annotated[str, Field(pattern=r"^[a-z0-9_.+=-]{1,200}$")]


class Part(BaseModel):
    """A frozen piece of a record. `absent` names each field that is None and says why.

    A field that came later has None as its default: an earlier document, which does not name it, is read with that
    reason. Whoever makes a part names every field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    absent: dict[str, str] = Field(default_factory=dict, description="null field -> why it is null")

    @model_validator(mode="after")
    def _every_none_has_its_reason(self) -> Part:
        values = self.__dict__
        if not self.absent and None not in values.values():
            return self  # the usual case, made fast: a record has a hundred parts, and thousands of records are read
        empty = {name for name, value in values.items() if value is None}
        self.absent.update(dict.fromkeys(empty - self.absent.keys() - self.model_fields_set, EARLIER))
        if unexplained := empty - self.absent.keys():
            raise ValueError(f"null without a reason in `absent`: {', '.join(sorted(unexplained))}")
        if stray := self.absent.keys() - empty:
            raise ValueError(f"`absent` names a field that has a value or does not exist: {', '.join(sorted(stray))}")
        return self


class SensorReading(BaseModel):
    """What a sensor or vendor library reported, or why it reported nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: JsonValue
    status: SensorStatus
    reason: str | None = Field(description="why there is no value; null if there is one")

    @model_validator(mode="after")
    def _value_or_reason(self) -> SensorReading:
        good = self.status == "ok"
        if good != (self.value is not None) or good != (self.reason is None):
            raise ValueError("a reading needs a value with status ok, or a reason with another status")
        return self


def between(interval: Interval, value: float) -> bool:
    """Whether the interval holds the value, but for rounding."""
    slack = 1e-9 * abs(value)
    return interval[0] - slack <= value <= interval[1] + slack


class Estimate(Part):
    """A headline number: geometric mean across processes, with its 95% interval (Student t on logarithms)."""

    value: float
    ci95: Interval | None
    processes: Count

    @model_validator(mode="after")
    def _within_its_interval(self) -> Estimate:
        if self.ci95 is not None and not between(self.ci95, self.value):
            raise ValueError("the value lies outside of its own interval")
        return self


class Summary(Part):
    """One sampled signal over a window."""

    mean: float
    median: float
    min: float
    max: float
    start: float
    end: float
    samples: Count
