"""How a run measures. A file of its own: plans are made without the rest of the record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpuprof.record.part import LARGEST, Count, NonNegative, Part


class Protocol(Part):
    """How long and how often; the same on every device."""

    name: Literal["full", "quick"]
    repeats: Annotated[int, Field(ge=1, le=LARGEST)]
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
    idle_s: NonNegative = Field(description="idle power is measured for this long before warm-up and after the window")
    energy_error: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        description="target for the relative standard error of the window's energy; the window is extended to reach it"
    )
    timeout_s: NonNegative
