"""A steady load to calibrate sensors with: matrix products, not timed."""

from __future__ import annotations

import time
from typing import Any

import torch

from gpuprof.messages import Load
from gpuprof.worker.channel import Channel
from gpuprof.worker.device import ComputeDevice


def load(request: Load, channel: Channel) -> dict[str, Any]:
    """Keep the device busy as asked from the supervisor's go on.

    Returns the marks of the steady load, and for each train of pulses [start, end, how long the load was on], all in
    ns of CLOCK_MONOTONIC.
    """
    device = ComputeDevice(request.device)
    size = 4096 if device.is_gpu else 512
    matrix = torch.randn(size, size, device=device.torch)
    matrix @ matrix  # libraries are loaded before the go
    device.synchronize()
    channel.wait_for_go("load", device=device.identity())

    def work(seconds: float) -> tuple[int, int]:
        start_ns = time.monotonic_ns()
        while time.monotonic_ns() - start_ns < seconds * 1e9:
            for _ in range(8 if seconds > 1 else 1):
                matrix @ matrix
            device.synchronize()
        return start_ns, time.monotonic_ns()

    start_ns, end_ns = work(request.seconds)
    trains = []
    for phase_s in request.phases_s:
        time.sleep(request.rest_s)
        first_s = (time.monotonic() // request.period_s + 2) * request.period_s + phase_s
        pulses = []
        for turn in range(round(request.train_s / request.period_s)):
            time.sleep(max(0.0, first_s + turn * request.period_s - time.monotonic()))
            pulses.append(work(request.period_s / 2))
        trains.append([pulses[0][0], pulses[-1][1], sum(end - start for start, end in pulses)])
    return {"start_ns": start_ns, "end_ns": end_ns, "trains": trains}
