"""One step of a network: what is timed, and what the correctness gate checks. Both use the same step."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gpuprof.worker import precision
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import definition, kept, put_back, turns
from gpuprof.worker.optimizers import Trained, optimizers
from gpuprof.workloads.case import CaseSpec

# torch's default of 2^16 overflows in the first steps of these networks, and the scaler then skips them.
INITIAL_LOSS_SCALE = 2.0**10


class Stepper:
    """A network ready to step. `step()` runs one optimisation step (train) or one forward pass (infer) on the next
    batch and returns the list of its losses or its prediction, without synchronising.
    """

    def __init__(
        self,
        case: CaseSpec,
        device: ComputeDevice,
        network: torch.nn.Module,
        batches: Sequence[Any],
        learning_rate: float | None = None,
    ) -> None:
        """`learning_rate` replaces that of every group; None leaves each its own.

        Sets torch's switches of precision for the whole process. Variant graph makes one graph for each of `batches`,
        whose addresses it keeps. Raises Unsupported where the device has no graphs.
        """
        precision.switch(case.precision)
        precision.fused_recurrent(case.params.get("fused", True))
        self.network = network
        self.capture_s: float | None = None
        self._workload = definition(case)[0]
        self._autocast = precision.autocast(device, case.precision)
        self._batches = itertools.cycle(batches)
        self._scaler = None
        self._trained: Trained = {}
        # Whoever calls step() enters it once: inference runs under inference_mode.
        self.context: contextlib.AbstractContextManager[Any] = (
            contextlib.nullcontext() if case.mode == "train" else torch.inference_mode()
        )
        # In place: the parameters stay the same objects, of which the optimizers are made next. Not by
        # `Module.compile`, which up to torch 2.11 leaves modules of torch's own, such as Sequential, as they are.
        if case.variant == "compile":
            for module in self._workload.called(network):
                module.forward = torch.compile(module.forward)
        if case.mode == "train":
            scaled = precision.needs_scaler(case.precision)
            self._trained = optimizers(
                self._workload, network, scaled=scaled, captured=case.variant == "graph", learning_rate=learning_rate
            )
            self._scaler = torch.amp.GradScaler(device.type, init_scale=INITIAL_LOSS_SCALE) if scaled else None
        self.step: Callable[[], Any] = self._train if case.mode == "train" else self._infer
        if self._scaler is not None:
            self.step = self._train_scaled
        if case.variant == "graph":
            before = kept(network)
            scale = self._scaler.state_dict() if self._scaler else None
            with self.context:
                self.step, self.capture_s = device.capture(self.step, len(batches))
            self._rewind(before, scale)

    def _train(self) -> list[torch.Tensor]:
        losses = []
        for group, loss in turns(self._workload, self.network, next(self._batches), self._autocast):
            optimizer, leaves = self._trained[group]
            loss.backward(inputs=leaves)
            optimizer.step()
            optimizer.zero_grad()  # to None: a group may step again in this step
            losses.append(loss)
        return losses

    def _train_scaled(self) -> list[torch.Tensor]:
        assert self._scaler is not None
        losses = []
        for group, loss in turns(self._workload, self.network, next(self._batches), self._autocast):
            optimizer, leaves = self._trained[group]
            self._scaler.scale(loss).backward(inputs=leaves)
            self._scaler.step(optimizer)
            optimizer.zero_grad()
            losses.append(loss)
        self._scaler.update()
        return losses

    def gradient_norms(self, batch: Any) -> list[float]:
        """By loss, the norm of the gradients in its group: the backward passes of a step on `batch`, without updates.

        ValueError where a loss gives its group no gradient: it would train nothing.
        """
        return [math.sqrt(float(each.double().square().sum())) for each in self.gradients(batch)]

    def gradients(self, batch: Any) -> list[torch.Tensor]:
        """As `gradient_norms`, the gradients themselves: by loss, those of all parameters in a row, on the CPU."""
        before, found = kept(self.network), []
        for group, loss in turns(self._workload, self.network, batch, self._autocast):
            optimizer, leaves = self._trained[group]
            scale = 1.0
            if self._scaler is not None:  # in fp16 small gradients would vanish
                loss = self._scaler.scale(loss)
                scale = self._scaler.get_scale()
            loss.backward(inputs=leaves)
            trained = [parameter for part in optimizer.param_groups for parameter in part["params"]]
            gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
            if not gradients:
                raise ValueError(f"a loss of group {group!r} gives no gradient to any of its parameters")
            found.append(torch.cat([g.detach().cpu().float().flatten() for g in gradients]) / scale)
            optimizer.zero_grad()
        put_back(self.network, before)
        return found

    def predict(self, batch: Any) -> torch.Tensor:
        """What the network answers to `batch`, in the case's precision."""
        with self._autocast:
            return self._workload.predict(self.network, batch)

    def _infer(self) -> torch.Tensor:
        return self.predict(next(self._batches))

    def _rewind(self, before: list[torch.Tensor], scale: dict[str, Any] | None) -> None:
        """Undo the steps that capturing took, in place: the graph holds the addresses.

        Every optimizer that may be captured begins at zero (`optimizers`).
        """
        put_back(self.network, before)
        with torch.no_grad():
            for optimizer, _ in self._trained.values():
                for state in optimizer.state.values():
                    for tensor in (value for value in state.values() if isinstance(value, torch.Tensor)):
                        tensor.zero_()
        if self._scaler is not None and scale is not None:
            self._scaler.load_state_dict(scale)
