"""What a workload is: its declared facts (no torch needed) and the network it builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch


class Params(BaseModel):
    """Parameters of a workload, strictly checked. A subclass adds its own; every one has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True)
class FlopCount:
    """Matmul and convolution FLOPs of one sample, 1 MAC = 2 FLOPs.

    The backward count leaves out gradients that autograd does not compute: those of the network's input, of an initial
    recurrent state, and of everything before a frozen base's end.
    """

    forward: int
    backward: int


@dataclass(frozen=True)
class LoadedWeights:
    """Where the weights of a network came from: `source` is random, imagenet or file; `note` says it in words."""

    source: str
    note: str
    sha256: str | None = None


class Workload(ABC):
    """One reference network. `operations` names those that a precision probe has to cover: matmul, conv, rnn."""

    name: str
    title: str
    operations: tuple[str, ...]
    params_model: type[Params] = Params
    default_seq_len: int | None = None
    # The correctness gate trains 20 steps on one batch. At Adam's 1e-3 a very wide input layer overshoots at once and
    # the curve amplifies rounding into chaos; a smaller rate there keeps it a measure of the arithmetic.
    gate_learning_rate: float = 1e-3
    # Steps a second of one CPU core are guessed from FLOPs; recurrent nets add this per time step. Only for estimates.
    cpu_seconds_per_timestep: float = 0.0

    @property
    def is_sequence(self) -> bool:
        return self.default_seq_len is not None

    @property
    def lengths(self) -> dict[str, int]:
        return {} if self.default_seq_len is None else {"seq_len": self.default_seq_len}

    @abstractmethod
    def input_shape(self, params: Any, seq_len: int | None) -> tuple[int, ...]:
        """Shape of one sample, without the batch dimension."""

    @abstractmethod
    def flops(self, params: Any, seq_len: int | None) -> FlopCount:
        """Closed form of the FLOPs of one sample."""

    @abstractmethod
    def build(self, params: Any) -> torch.nn.Module:
        """The network's shape; called under `torch.device("meta")`, the caller fills in the weights.

        Its forward maps (batch, *input_shape) to logits (batch, outputs). What must not train has
        `requires_grad=False`; a bias that must not train is filled with zeros.
        """

    @abstractmethod
    def target(self, uniform: torch.Tensor) -> torch.Tensor:
        """Targets for `loss` from (batch,) random values in [0, 1)."""

    @abstractmethod
    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss over the batch, from logits."""

    @abstractmethod
    def predict(self, logits: torch.Tensor) -> torch.Tensor:
        """What the network answers when it infers: the article's output activation on the logits."""

    def load_pretrained(self, network: torch.nn.Module, params: Any) -> LoadedWeights:
        """Put pretrained weights into the network where the parameters ask for them and they can be had."""
        return LoadedWeights("random", "seeded random weights")


class Classifier(Workload):
    """Ten classes; the softmax lies in the categorical cross-entropy, as torch has it."""

    classes = 10

    def target(self, uniform: torch.Tensor) -> torch.Tensor:
        return (uniform * self.classes).long()

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        return F.cross_entropy(logits.float() if logits.dtype.itemsize < 4 else logits, target)

    def predict(self, logits: torch.Tensor) -> torch.Tensor:
        return logits
