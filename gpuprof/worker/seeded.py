"""Values that are the same on every machine, torch and numpy version: for weights and the correctness gate.

Philox is counter-based and numpy guarantees its raw stream; distributions built on top carry no such promise.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """float32 values of uniform(-1, 1), on the CPU, fixed by seed and name."""
    raw = np.random.Philox(key=[seed, zlib.crc32(name.encode())]).random_raw(math.prod(shape))
    values = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(network: torch.nn.Module, seed: int) -> None:
    """Random weights in place: variance 2/fan_in for convolutions, 1/fan_in otherwise; a frozen bias is zero."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1:
                scale = 0.1 if parameter.requires_grad else 0.0
            else:
                fan_in = parameter[0].numel()
                scale = math.sqrt((6.0 if parameter.dim() == 4 else 3.0) / fan_in)
            parameter.copy_(uniform(seed, name, tuple(parameter.shape)) * scale)


def batch(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Random input of unit variance."""
    return uniform(seed, "input", shape) * math.sqrt(3.0)
