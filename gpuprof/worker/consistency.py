"""The second gate: a batch of the case's own size against the few rows that it repeats.

The reference gate runs a batch of 4, so that a kernel that is wrong only at size passes it: MIOpen's LSTM once was,
from 65,536 rows times steps on (rocm-libraries #10551). Here the batch holds the same few rows over and over. Every row
of its prediction must then be that of the small batch, and the mean of its losses and their gradients as well: also
under batch normalisation, whose statistics are equal. No reference is needed, and the batch is checked whole.

Each repetition has the rows in another order. In the same order a kernel that reads the wrong row would be hidden, and
such an error is mostly a power of two away: an index that wrapped around.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from gpuprof.absent import Absent
from gpuprof.worker import precision, seeded
from gpuprof.worker.correctness import SEED, TOLERANCE, relative, small_case, small_lengths
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network, definition, on_meta
from gpuprof.worker.step import Stepper
from gpuprof.workloads.case import CaseSpec

_LEAST_ROWS, _MOST_ROWS = 2, 4
_ORDERS = 1021  # different ones, before they recur; a prime, so that no power of two is a multiple
_AT_ONCE = 1 << 22  # numbers that are compared in one piece, in double precision


@dataclass(frozen=True)
class _Batches:
    """The large batch, whose row i is row `order[i]` of the small one."""

    large: Any
    small: Any
    order: torch.Tensor


def error(case: CaseSpec, device: ComputeDevice, passes: float) -> float | Absent:
    """The largest relative difference between both batches; Absent where the case has no larger batch to check.

    Of the predictions, row by row; of training also the losses and gradients of a step. Predictions when inferring, and
    the losses of training, come from the code that is timed; the rest of training from the network as it was written,
    also for graph and compile.

    A difference above `passes` counts only where the comparison makes sense: not where a plain run on the CPU shows it
    too, since the network or its loss then answers to the batch as a whole.
    """
    found = _differences(case, device)
    if isinstance(found, Absent):
        return found
    if doubtful := [name for name, value in found.items() if not value <= passes]:
        ordinary = _on_cpu(case)
        precision.switch(case.precision)  # it had its own
        precision.fused_recurrent(case.params.get("fused", True))
        for name in doubtful:
            if not ordinary.get(name, 0.0) <= TOLERANCE["ieee"][0]:
                del found[name]
    return max(found.values(), default=Absent("its results depend on the batch as a whole, on a CPU as well"))


def _on_cpu(case: CaseSpec) -> dict[str, float]:
    """The same differences as plain PyTorch has them in a batch that is little larger than the reference gate's."""
    small = replace(small_case(case), batch_size=2 * _MOST_ROWS, precision="ieee", variant="eager")
    found = _differences(small, ComputeDevice(None))
    return {} if isinstance(found, Absent) else found


def _differences(case: CaseSpec, device: ComputeDevice) -> dict[str, float] | Absent:
    """By what is compared, the relative difference; infinite where it is no number."""
    rows = _rows(case)
    if isinstance(rows, Absent):
        return rows
    if case.mode == "train":
        if any(isinstance(module, torch.nn.modules.dropout._DropoutNd) for module in on_meta(case).modules()):
            return Absent("its dropout draws anew in every pass")
        # Of a batch that no such number divides, as much as is full of them.
        case = replace(case, batch_size=case.batch_size // rows * rows)
    batches = _batches(case, device, rows)
    if batches is None:
        return Absent("its batch has tensors without a row for each sample")
    few = replace(case, batch_size=rows, variant="eager")
    if case.variant == "compile":
        torch.compiler.reset()  # or it would compile for any size, once it has seen that of the reference gate
    if case.mode == "infer":
        answers = _predicted(case, device, batches.large), _predicted(few, device, batches.small)
        return _named(_by_row(*answers, batches.order), {})
    # The losses come last: the step changes the weights.
    large, small = _stepper(case, device, batches.large, plain=True), _stepper(few, device, batches.small)
    by_row = _by_row(large.predict(batches.large).detach(), small.predict(batches.small).detach(), batches.order)
    gradients = [_apart(a, b) for a, b in zip(large.gradients(batches.large), small.gradients(batches.small),
                                              strict=True)]  # fmt: skip
    timed = large if case.variant == "eager" else _stepper(case, device, batches.large)
    losses = [torch.stack([loss.detach().float() for loss in each.step()]) for each in (timed, small)]
    return _named(by_row, {"gradients": max(gradients), "losses": _apart(*losses)})


def _named(by_row: float | None, others: dict[str, float]) -> dict[str, float]:
    return others if by_row is None else {"predictions": by_row, **others}


def _rows(case: CaseSpec) -> int | Absent:
    """How many rows the small batch has; Absent where no batch of the case's own is larger than the reference gate's.

    One row alone cannot be normalised when training.
    """
    size = case.batch_size
    if size <= definition(case)[0].gate_batch_size and case.lengths == small_lengths(case):
        return Absent(f"a batch of {size} is no larger than what the reference gate runs")
    if size < 2 * _LEAST_ROWS or (size < 2 * _MOST_ROWS and size % 2):
        return Absent(f"a batch of {size} does not hold a few rows twice")
    most = min(_MOST_ROWS, size // 2)
    return next((n for n in range(most, 1, -1) if size % n == 0), most)


def _batches(case: CaseSpec, device: ComputeDevice, rows: int) -> _Batches | None:
    """Both batches on the device; None where a tensor has no row for each sample."""
    workload, params = definition(case)
    few = workload.batch(params, case.lengths, rows, seeded.Seeded(SEED))
    if any(leaf.shape[:1] != (rows,) for leaf in tree_leaves(few)):
        return None
    small = tree_map(lambda leaf: leaf.to(device.torch), few)
    tree_map(lambda leaf: leaf.new_empty((case.batch_size, *leaf.shape[1:])), small)  # what does not fit fails at once
    generator = torch.Generator().manual_seed(SEED)
    orders = torch.cat([torch.randperm(rows, generator=generator) for _ in range(_ORDERS)])
    order = orders.repeat(-(-case.batch_size // len(orders)))[: case.batch_size].to(device.torch)
    return _Batches(tree_map(lambda leaf: leaf[order], small), small, order)


def _stepper(case: CaseSpec, device: ComputeDevice, batch: Any, *, plain: bool = False) -> Stepper:
    """With the gate's weights; `plain` leaves the network as it was written."""
    case = replace(case, variant="eager") if plain else case
    return Stepper(case, device, build_network(case, device, SEED)[0], [batch])


def _predicted(case: CaseSpec, device: ComputeDevice, batch: Any) -> torch.Tensor:
    stepper = _stepper(case, device, batch)
    with stepper.context:
        output: torch.Tensor = stepper.step()
    return output.detach()


def _by_row(large: torch.Tensor, small: torch.Tensor, order: torch.Tensor) -> float | None:
    """The norm of the difference of the row that is furthest away, over the rms of the rows; None without rows."""
    rows = int(order.max()) + 1
    if small.dim() == 0 or small.shape[0] % rows or large.shape[0] * rows != small.shape[0] * len(order):
        return None
    expected, given = small.reshape(rows, -1), large.reshape(len(order), -1)
    at_once = max(1, _AT_ONCE // max(1, given.shape[1]))
    parts = zip(given.split(at_once), order.split(at_once), strict=True)
    off = [(part.double() - expected[which].double()).norm(dim=1).max() for part, which in parts]
    return relative(float(torch.stack(off).max()), float(expected.double().square().sum(1).mean().sqrt()))


def _apart(large: torch.Tensor, small: torch.Tensor) -> float:
    """The norm of the difference over that of the small one."""
    expected = small.cpu().double()
    return relative(float((large.cpu().double() - expected).norm()), float(expected.norm()))
