"""One step of a workload: what is timed, and what the correctness gate checks. Both use the same step."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gpuprof.worker import precision, seeded
from gpuprof.worker.device import ComputeDevice
from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.workload import LoadedWeights

LEARNING_RATE, EPSILON = 1e-3, 1e-7  # Keras' defaults of Adam
# torch's default of 2^16 overflows in the first steps of these networks, and the scaler then skips them.
INITIAL_LOSS_SCALE = 2.0**10
ROTATING_BATCHES = 8
Batch = tuple[torch.Tensor, torch.Tensor]


def build_network(
    case: CaseSpec, device: ComputeDevice, seed: int, *, pretrained: bool = True
) -> tuple[torch.nn.Module, LoadedWeights]:
    """The network in float32 on the device, with weights fixed by `seed` or pretrained ones where asked for."""
    workload, params = case.definition()
    with torch.device("meta"):
        network = workload.build(params)
    network = network.to_empty(device="cpu")
    seeded.fill(network, seed)
    weights = LoadedWeights("random", f"seeded random weights (seed {seed})")
    if pretrained:
        weights = workload.load_pretrained(network, params)
    network.train(case.mode == "train")
    return network.to(device.torch), weights


def random_batches(case: CaseSpec, device: ComputeDevice, count: int = ROTATING_BATCHES) -> list[Batch]:
    """Random inputs and targets that live on the device: never zeros, which some hardware computes faster."""
    workload, params = case.definition()
    generator = torch.Generator(device=device.torch).manual_seed(case.seed)
    shape = (case.batch_size, *workload.input_shape(params, case.seq_len))
    return [
        (
            torch.randn(shape, generator=generator, device=device.torch),
            workload.target(torch.rand(case.batch_size, generator=generator, device=device.torch)),
        )
        for _ in range(count)
    ]


class Stepper:
    """A network ready to step. `step()` runs one optimisation step (train) or one forward pass (infer) on the next
    batch and returns its loss or its prediction, without synchronising.
    """

    def __init__(
        self,
        case: CaseSpec,
        device: ComputeDevice,
        network: torch.nn.Module,
        batches: Sequence[Batch],
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        precision.switch(case.precision)
        precision.fused_recurrent(case.params.get("fused", True))
        self.network = network
        self.capture_s: float | None = None
        self._workload = case.definition()[0]
        self._autocast = precision.autocast(device, case.precision)
        self._batches = itertools.cycle(batches)
        self._scaler = None
        self.optimizer: torch.optim.Adam | None = None
        # Inference runs under inference_mode; whoever calls step() enters this context once.
        self.context: contextlib.AbstractContextManager[Any] = (
            contextlib.nullcontext() if case.mode == "train" else torch.inference_mode()
        )
        self.forward: Callable[..., torch.Tensor] = network
        if case.variant == "compile":
            self.forward = torch.compile(network)
        if case.mode == "train":
            scaled = precision.needs_scaler(case.precision)
            self.optimizer = torch.optim.Adam(
                [p for p in network.parameters() if p.requires_grad],
                lr=learning_rate,
                eps=EPSILON,
                # The fused optimiser alone takes the loss scale without a host synchronisation in every step.
                fused=True if scaled else None,
                capturable=case.variant == "graph",
            )
            self._scaler = torch.amp.GradScaler(device.type, init_scale=INITIAL_LOSS_SCALE) if scaled else None
        self.step: Callable[[], torch.Tensor] = self._train if case.mode == "train" else self._infer
        if self._scaler is not None:
            self.step = self._train_scaled
        if case.variant == "graph":
            # On the CPU: a copy on the device would stand in its peak memory.
            before = {name: tensor.to("cpu", copy=True) for name, tensor in network.state_dict().items()}
            scale = self._scaler.state_dict() if self._scaler else None
            with self.context:
                self.step, self.capture_s = device.capture(self.step, len(batches))
            self._rewind(before, scale)

    def _train(self) -> torch.Tensor:
        x, y = next(self._batches)
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast:
            loss = self._workload.loss(self.forward(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def _train_scaled(self) -> torch.Tensor:
        x, y = next(self._batches)
        assert self.optimizer is not None
        assert self._scaler is not None
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast:
            loss = self._workload.loss(self.forward(x), y)
        self._scaler.scale(loss).backward()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return loss

    def _infer(self) -> torch.Tensor:
        x, _ = next(self._batches)
        with self._autocast:
            return self._workload.predict(self.forward(x))

    def _rewind(self, before: dict[str, torch.Tensor], scale: dict[str, Any] | None) -> None:
        """Undo the steps that capturing took, in place: the graph holds the addresses."""
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(before[name])
            for state in self.optimizer.state.values() if self.optimizer else ():
                for tensor in state.values():
                    tensor.zero_()
        if self._scaler is not None and scale is not None:
            self._scaler.load_state_dict(scale)
