"""A network: what is built, what it is given, which losses train which parameters, and what it answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gpuprof.workloads.workload import Lengths, Workload

if TYPE_CHECKING:
    import torch


class Draw(Protocol):
    """Where the values of a batch come from. A name tells its tensors apart; each is drawn once per batch."""

    def normal(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """float32 of mean zero and unit variance; for the correctness gate they are uniform."""

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """float32 in [0, 1)."""

    def integers(self, name: str, below: int, shape: tuple[int, ...]) -> torch.Tensor:
        """int64 from 0 to `below` - 1."""


@dataclass(frozen=True)
class Optimizer:
    """One of torch.optim by its name. The worker adds the switches that precision and variant ask for."""

    name: str = "Adam"
    options: Mapping[str, Any] = field(default_factory=lambda: {"lr": 1e-3, "eps": 1e-7})  # Keras' defaults of Adam


@dataclass(frozen=True)
class Group:
    """Parameters that are trained together, by an optimizer of their own."""

    parameters: Sequence[torch.nn.Parameter]
    optimizer: Optimizer = field(default_factory=Optimizer)


@dataclass(frozen=True)
class LoadedWeights:
    """Where the weights of a network came from: `source` is random, imagenet or file; `note` says it in words."""

    source: str
    note: str
    sha256: str | None = None


class Network(Workload):
    """A batch may be any structure of tensors: a tensor, a tuple, a dict. `losses` and `predict` get it as `batch`
    made it.
    """

    # Losses that `losses` yields in one step.
    losses_per_step: int = 1
    # The correctness gate trains 20 steps on one batch of this size, at this learning rate in place of the optimizers'
    # own. Where a rate overshoots at once, the curve amplifies rounding into chaos; a smaller one keeps it a measure of
    # the arithmetic.
    gate_batch_size: int = 4
    gate_learning_rate: float | None = None
    # Whether it answers otherwise while it trains, as with a normalisation over the batch: the gate then has a
    # reference for each mode.
    modes_differ: bool = False
    # Lengths in which FLOPs and bytes grow linearly from two on: long ones are then extrapolated from two and three.
    linear_lengths: tuple[str, ...] = ()

    @abstractmethod
    def build(self, params: Any) -> torch.nn.Module:
        """The network's shape; called under `torch.device("meta")`, the caller fills in the weights.

        What must not train has `requires_grad=False`; a bias that must not train is filled with zeros. Buffers are
        filled with zeros too, those of a normalisation as torch resets them.
        """

    @abstractmethod
    def batch(self, params: Any, lengths: Lengths, batch_size: int, draw: Draw) -> Any:
        """Inputs and targets of one step, every value from `draw`."""

    def groups(self, network: torch.nn.Module) -> Mapping[str, Group]:
        """Parameters and optimizer of each group that a loss names: one group, of all that may train."""
        return {"all": Group([p for p in network.parameters() if p.requires_grad])}

    @abstractmethod
    def losses(self, network: torch.nn.Module, batch: Any) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (group, mean loss over the batch) `losses_per_step` times, in the same order in every step.

        After each yield the group's optimizer takes its step on that loss, before this goes on: a later loss sees
        parameters already updated. Only the group's parameters get gradients of it. A group may take several steps
        (not in fp16, where torch's loss scaling allows each optimizer one). What stands before the last yield runs
        under autocast where the precision asks for it; a context manager must not stay open over a yield.
        """

    @abstractmethod
    def predict(self, network: torch.nn.Module, batch: Any) -> torch.Tensor:
        """What the network answers when it infers, as one floating-point tensor."""

    def called(self, network: torch.nn.Module) -> Sequence[torch.nn.Module]:
        """The modules that `losses` and `predict` call, for variant compile: each is compiled in place."""
        return (network,)

    def load_pretrained(self, network: torch.nn.Module, params: Any) -> LoadedWeights:
        """Put pretrained weights into the network if the parameters ask for them and they are available."""
        return LoadedWeights("random", "seeded random weights")
