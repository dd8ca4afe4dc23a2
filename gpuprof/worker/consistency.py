"""The second gate: a batch of the case's own size against the few rows that it repeats.

The reference gate runs a batch of 4, so that a kernel that is wrong only at size passes it: MIOpen's LSTM once was,
from 65,536 rows times steps on (rocm-libraries #10551). Here the batch holds the same few rows over and over. Every row
of its prediction must then be that of the small batch, and the mean of its losses and their gradients as well: also
under batch normalisation, whose statistics are equal. No reference is needed, and the batch is checked whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from gpuprof.absent import Absent
from gpuprof.worker import seeded
from gpuprof.worker.correctness import SEED, relative
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network, definition
from gpuprof.worker.step import Stepper
from gpuprof.workloads.case import CaseSpec

_MOST_ROWS = 4


def error(case: CaseSpec, device: ComputeDevice) -> float | Absent:
    """The largest relative difference between both batches; Absent where the case has no larger batch to check.

    Predictions when inferring, and the losses of a first step when training, come from the code that is timed; the
    gradients of training from the network as it was written, also for graph and compile.
    """
    # Of a batch that no such number divides, as much as is full of them; one row alone cannot be normalised.
    rows = next((n for n in range(_MOST_ROWS, 1, -1) if case.batch_size % n == 0), _MOST_ROWS)
    times = case.batch_size // rows
    case = replace(case, batch_size=rows * times)
    if times < 2 or case.batch_size <= _MOST_ROWS:
        return Absent(f"a batch of {case.batch_size} is no larger than what the reference gate runs")
    workload, params = definition(case)
    few = workload.batch(params, case.lengths, rows, seeded.Seeded(SEED))
    if any(leaf.shape[:1] != (rows,) for leaf in tree_leaves(few)):
        return Absent("its batch has tensors without a row for each sample")
    if any(isinstance(module, torch.nn.modules.dropout._DropoutNd) for module in build(case, device).modules()):
        return Absent("its dropout draws anew in every pass")
    small = tree_map(lambda leaf: leaf.to(device.torch), few)
    large = tree_map(lambda leaf: leaf.repeat(times, *[1] * (leaf.dim() - 1)), small)
    if case.mode == "infer":
        return _largest(_predicted(case, device, large), _predicted(_few(case, rows), device, small), times)
    found = [_largest(a, b) for a, b in zip(_trained(case, device, large), _trained(_few(case, rows), device, small),
                                            strict=True)]  # fmt: skip
    return max(found)


def build(case: CaseSpec, device: ComputeDevice) -> torch.nn.Module:
    """The case's network with the gate's weights."""
    return build_network(case, device, SEED)[0]


def _few(case: CaseSpec, rows: int) -> CaseSpec:
    return replace(case, batch_size=rows, variant="eager")


def _predicted(case: CaseSpec, device: ComputeDevice, batch: Any) -> torch.Tensor:
    stepper = Stepper(case, device, build(case, device), [batch])
    with stepper.context:
        output: torch.Tensor = stepper.step()
    return output.detach()


def _trained(case: CaseSpec, device: ComputeDevice, batch: Any) -> list[torch.Tensor]:
    """The gradients of each loss of a step; then the losses, from the code that is timed."""
    plain = Stepper(replace(case, variant="eager"), device, build(case, device), [batch])
    gradients = plain.gradients(batch)
    timed = plain if case.variant == "eager" else Stepper(case, device, build(case, device), [batch])
    return [*gradients, torch.stack([loss.detach().float() for loss in timed.step()])]


def _largest(large: torch.Tensor, small: torch.Tensor, times: int = 1) -> float:
    """The norm of the difference over that of the small one, of the part of the large one that is furthest away."""
    expected = small.cpu().double()
    off = large.cpu().double().reshape(times, *expected.shape) - expected
    return relative(max(float(part.norm()) for part in off), float(expected.norm()))
