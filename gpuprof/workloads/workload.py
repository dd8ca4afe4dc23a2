"""What every workload declares, readable without torch: its lengths, what it counts, its FLOPs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from gpuprof.record.part import Item

Lengths = Mapping[str, int]


class Params(BaseModel):
    """Parameters of a workload, strictly checked. A subclass adds its own; every one has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True)
class FlopCount:
    """Matmul and convolution FLOPs of one sample, 1 MAC = 2 FLOPs.

    The backward count leaves out gradients that autograd does not compute: those of the network's input, of an initial
    recurrent state, of everything before a frozen base's end, and of parameters that a loss does not train.
    """

    forward: int
    backward: int


class Workload(ABC):
    """`operations` names those that a precision probe has to cover: matmul, conv, rnn."""

    name: str
    title: str
    operations: tuple[str, ...]
    params_model: type[Params] = Params
    # Lengths that a sample has, by their names in configurations, with their defaults.
    lengths: Lengths = MappingProxyType({})
    # What throughput counts beside samples.
    item: Item = "sample"

    def items_per_sample(self, params: Any, lengths: Lengths) -> int:
        """How many items one sample of a batch holds."""
        return 1

    @abstractmethod
    def flops(self, params: Any, lengths: Lengths) -> FlopCount:
        """Closed form of the FLOPs of one sample."""

    def cpu_overhead_s(self, lengths: Lengths) -> float:
        """Seconds that a step takes on one CPU core beyond what its FLOPs explain; a guess, for estimates alone."""
        return 0.0
