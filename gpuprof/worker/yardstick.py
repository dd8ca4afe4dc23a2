"""The yardstick: a fixed product and a fixed copy, which every process times after its windows.

They are the same in all cases and runs, so that they tell how fast the machine itself was at that moment. Runs of one
machine whose yardsticks differ were not made under the same conditions, whatever their software (`analysis.yardstick`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from gpuprof.record.repeat import Yardstick
from gpuprof.worker import precision
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.timing import Blocks, Meter

# Side of the square float32 matrices, and bytes copied. Large enough to keep the device busy, small enough for a
# fraction of a second: 0.27 GFLOP on a CPU and 137 on a GPU; a copy beyond most caches, and small beside what a case
# takes.
_SIDE = {"cpu": 512, "gpu": 4096}
_BYTES = {"cpu": 32 << 20, "gpu": 256 << 20}
_BLOCKS, _BLOCK_S = 10, 0.01


def yardstick(device: ComputeDevice) -> Yardstick:
    """Times the product and the copy, in IEEE float32 whatever the case's precision. Changes torch's switches.

    To be asked for once everything else was measured: it allocates memory. What cannot be timed (a device that is
    full) is absent with the reason, and costs the repeat nothing.
    """
    precision.switch("ieee")
    precision.fused_recurrent(enabled=True)
    kind = "gpu" if device.is_gpu else "cpu"
    times: dict[str, float | None] = {}
    absent = {}
    for name, make in (("product_s", _product), ("copy_s", _copy)):
        try:
            with torch.inference_mode():
                times[name] = _typical_s(make(kind, device.torch), device)
        except RuntimeError as error:  # torch's OutOfMemoryError is one
            times[name] = None
            absent[name] = f"could not be timed: {str(error).partition(chr(10))[0]}"
    return Yardstick(**times, absent=absent)


def _product(kind: str, place: torch.device) -> Callable[[], Any]:
    left, right = (torch.rand(_SIDE[kind], _SIDE[kind], device=place) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=result)


def _copy(kind: str, place: torch.device) -> Callable[[], Any]:
    source = torch.ones(_BYTES[kind], dtype=torch.uint8, device=place)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def _typical_s(step: Callable[[], Any], device: ComputeDevice) -> float:
    """Median over blocks of steps, in s per step; the blocks that find out how many make one are not counted."""
    meter, blocks = Meter(step, device), Blocks(1)
    meter.block(blocks)
    while meter.block(blocks) < _BLOCK_S:
        blocks = Blocks(2 * blocks.steps_per_block)
    blocks = Blocks(blocks.steps_per_block)
    for _ in range(_BLOCKS):
        meter.block(blocks)
    return statistics.median(blocks.wall_s)
