"""The keys of a configuration file: their types, limits and defaults."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gpuprof.record.part import Mode, Precision, Variant


class Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    workload: str
    mode: Mode = "train"
    precision: Precision = "ieee"
    batch_size: Annotated[int, Field(ge=1, le=1 << 30)] = 32
    seq_len: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    variant: Variant = "eager"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] | None = None
    energy_error: Annotated[float, Field(gt=0, le=0.5, strict=False)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    sweep: dict[str, list[Any]] = Field(default_factory=dict)


SWEEPABLE = ("mode", "precision", "batch_size", "seq_len", "variant", "threads", "seed")
