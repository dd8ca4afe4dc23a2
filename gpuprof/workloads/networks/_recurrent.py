"""What rnn, lstm and gru share: 64 recurrent units over (T, 10), the last state, one sigmoid output."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gpuprof.workloads.supervised import Supervised
from gpuprof.workloads.workload import FlopCount, Lengths, Params

if TYPE_CHECKING:
    import torch


class RecurrentParams(Params):
    """Sizes of the recurrent layer, and which kernel runs it."""

    input_size: Annotated[int, Field(ge=1, le=65_536)] = 10
    hidden_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    # False runs torch's own cells step by step instead of the vendor library's fused kernel.
    fused: bool = True


class Recurrent(Supervised):
    """`layer` is a class of torch.nn; `gates` are its matrix products of either kind, W x and U h, a time step.

    `second_bias_trains`: whether Keras has both of torch's biases.
    """

    operations = ("rnn", "matmul")
    params_model = RecurrentParams
    lengths = MappingProxyType({"seq_len": 100})
    linear_lengths = ("seq_len",)

    def __init__(self, name: str, title: str, *, layer: str, gates: int, second_bias_trains: bool) -> None:
        self.name = name
        self.title = title
        self._layer = layer
        self._gates = gates
        self._second_bias_trains = second_bias_trains

    def input_shape(self, params: RecurrentParams, lengths: Lengths) -> tuple[int, ...]:
        """(T, input_size)."""
        return (lengths["seq_len"], params.input_size)

    def cpu_overhead_s(self, lengths: Lengths) -> float:
        """25 us per gate and time step."""
        return 25e-6 * self._gates * lengths["seq_len"]

    def flops(self, params: RecurrentParams, lengths: Lengths) -> FlopCount:
        """Per time step gates x 2H(I+H) forward; backward twice that less the gradients of input and first state."""
        t, i, h, g = lengths["seq_len"], params.input_size, params.hidden_size, self._gates
        head = 2 * h
        forward = g * 2 * h * (i + h) * t + head
        backward = g * (4 * t * h * (i + h) - 2 * t * h * i - 2 * h * h) + 2 * head
        return FlopCount(forward, backward)

    def build(self, params: RecurrentParams) -> torch.nn.Module:
        """Maps (batch, T, input_size) to logits (batch, 1)."""
        from torch import nn

        class LastState(nn.Module):  # type: ignore[misc]
            """(batch, T, input_size) -> logits (batch, 1), from the last hidden state."""

            def __init__(self, recurrent: nn.RNNBase) -> None:
                super().__init__()
                self.recurrent = recurrent
                self.head = nn.Linear(recurrent.hidden_size, 1)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                _, state = self.recurrent(x)
                hidden: torch.Tensor = state[0] if isinstance(state, tuple) else state
                logits: torch.Tensor = self.head(hidden[0])
                return logits

        recurrent = getattr(nn, self._layer)(params.input_size, params.hidden_size, batch_first=True)
        if not self._second_bias_trains:
            # Keras has one bias here; torch adds a second one to it, which stays zero and frozen.
            recurrent.bias_hh_l0.requires_grad_(False)
        return LastState(recurrent)

    def target(self, uniform: torch.Tensor) -> torch.Tensor:
        """(batch, 1) of 0 and 1, equally likely; float32."""
        return (uniform[:, None] < 0.5).float()

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy with the sigmoid inside: the same function, safe under autocast."""
        import torch.nn.functional as F

        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))

    def answer(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities (batch, 1)."""
        return logits.sigmoid()
