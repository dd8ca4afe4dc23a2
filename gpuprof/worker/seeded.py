"""Values that are the same on every machine, torch and numpy version: for weights and the correctness gate.

Philox is counter-based and numpy guarantees its raw stream; distributions built on top carry no such promise.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch

LARGEST_BELOW_ONE = 1 - 2.0**-24


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """float32 values of uniform(-1, 1), on the CPU, fixed by seed and name."""
    values = (_raw(seed, name, shape) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(network: torch.nn.Module, seed: int) -> None:
    """Random weights in place: variance 2/fan_in for convolutions, 1/fan_in otherwise; a frozen bias is zero.

    A weight without a fan-in scales, as a normalisation's does: it lies about one. Buffers are zero, or as torch resets
    them.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() < 2:
                scale = 0.1 if parameter.requires_grad else 0.0
            else:
                fan_in = parameter[0].numel()
                scale = math.sqrt((6.0 if parameter.dim() == 4 else 3.0) / fan_in)
            parameter.copy_(uniform(seed, name, tuple(parameter.shape)) * scale)
            if parameter.dim() < 2 and name.endswith("weight"):
                parameter.add_(1.0)
        for module in network.modules():
            for buffer in module.buffers(recurse=False):
                buffer.zero_()
            if hasattr(module, "reset_running_stats"):
                module.reset_running_stats()


class Seeded:
    """A `workloads.network.Draw` whose values are fixed by seed and name, on the CPU."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def normal(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Uniform, of unit variance."""
        return uniform(self._seed, name, shape) * math.sqrt(3.0)

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """float32 in [0, 1): the largest values are held below one, to which float32 would round them up."""
        return (uniform(self._seed, name, shape) / 2 + 0.5).clamp(max=LARGEST_BELOW_ONE)

    def integers(self, name: str, below: int, shape: tuple[int, ...]) -> torch.Tensor:
        """int64 from 0 to `below` - 1; the modulo's bias is `below` / 2^64 at most."""
        values = _raw(self._seed, name, shape) % np.uint64(below)
        return torch.from_numpy(values.astype(np.int64)).reshape(shape)


def _raw(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.Philox(key=[seed, zlib.crc32(name.encode())]).random_raw(math.prod(shape))
