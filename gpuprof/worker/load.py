"""A steady load to calibrate sensors with: matrix products, not timed."""

from __future__ import annotations

import time
from typing import Any

import torch

from gpuprof.messages import Load
from gpuprof.worker.channel import Channel
from gpuprof.worker.device import ComputeDevice


def load(request: Load, channel: Channel) -> dict[str, Any]:
    """Keep the device busy for `seconds` from the supervisor's go; returns the marks (CLOCK_MONOTONIC, ns)."""
    device = ComputeDevice(request.device)
    size = 4096 if device.is_gpu else 512
    matrix = torch.randn(size, size, device=device.torch)
    matrix @ matrix  # libraries are loaded before the go
    device.synchronize()
    channel.wait_for_go("load", device=device.identity())
    start_ns = time.monotonic_ns()
    while time.monotonic_ns() - start_ns < request.seconds * 1e9:
        for _ in range(8):
            matrix @ matrix
        device.synchronize()
    return {"start_ns": start_ns, "end_ns": time.monotonic_ns()}
