"""Networks that learn targets from inputs: one forward pass, one loss, one optimizer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gpuprof.workloads.network import Draw, Network
from gpuprof.workloads.workload import Lengths

if TYPE_CHECKING:
    import torch


class Supervised(Network):
    """A batch is (input, target); the network maps (batch, *input_shape) to logits (batch, outputs)."""

    @abstractmethod
    def input_shape(self, params: Any, lengths: Lengths) -> tuple[int, ...]:
        """Shape of one sample's input, without the batch dimension."""

    @abstractmethod
    def target(self, uniform: torch.Tensor) -> torch.Tensor:
        """Targets for `loss` from (batch,) random values in [0, 1)."""

    @abstractmethod
    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss over the batch."""

    def answer(self, logits: torch.Tensor) -> torch.Tensor:
        """The output activation on the logits."""
        return logits

    def batch(self, params: Any, lengths: Lengths, batch_size: int, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """(input, target): the input of normal values, with the batch dimension in front."""
        x = draw.normal("input", (batch_size, *self.input_shape(params, lengths)))
        return x, self.target(draw.uniform("target", (batch_size,)))

    def losses(
        self, network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """One loss, of all that may train."""
        x, target = batch
        yield "all", self.loss(network(x), target)

    def predict(self, network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """`answer` to the batch's input; its target is not used."""
        return self.answer(network(batch[0]))


class Classifier(Supervised):
    """Ten classes. The network gives logits; the softmax is part of torch's cross-entropy."""

    classes = 10

    def target(self, uniform: torch.Tensor) -> torch.Tensor:
        """(batch,) numbers of classes, int64."""
        return (uniform * self.classes).long()

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy, in float32 at least."""
        import torch.nn.functional as F

        return F.cross_entropy(logits.float() if logits.dtype.itemsize < 4 else logits, target)
