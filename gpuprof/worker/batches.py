"""Random batches on the device: the input of timed steps, or shapes alone on meta."""

from __future__ import annotations

from typing import Any

import torch

from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import definition
from gpuprof.workloads.case import CaseSpec

ROTATING_BATCHES = 8


class Random:
    """A `workloads.network.Draw` from torch's generator: values depend on the device and the order of drawing."""

    def __init__(self, device: torch.device, seed: int | None = None) -> None:
        """Without a seed the values are arbitrary; the meta device has no generator."""
        self._device = device
        self._generator = None if seed is None else torch.Generator(device=device).manual_seed(seed)

    def normal(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator, device=self._device)

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape, generator=self._generator, device=self._device)

    def integers(self, name: str, below: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randint(below, shape, generator=self._generator, device=self._device)


def random_batches(case: CaseSpec, device: ComputeDevice, count: int = ROTATING_BATCHES) -> list[Any]:
    """`count` batches on the device, fixed by the case's seed; never zeros, which some hardware computes faster."""
    workload, params = definition(case)
    draw = Random(device.torch, case.seed)
    return [workload.batch(params, case.lengths, case.batch_size, draw) for _ in range(count)]
