"""FLOPs, parameters and bytes counted on torch's meta device: no arithmetic, the same on every machine.

On a real device FlopCounterMode is blind to fused recurrent kernels (128 FLOPs for the whole LSTM on a CPU, none on a
GPU); on meta they fall apart into matrix products and the count is exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.workload import FlopCount


def count(case: CaseSpec) -> tuple[FlopCount, float]:
    """FLOPs of one sample and bytes a sample (at the case's batch size, its mode) as counted on meta.

    Both are linear in the sequence length from two steps on, so long sequences are extrapolated from short ones.
    """
    workload, _ = case.definition()
    if not workload.is_sequence or (case.seq_len or 0) < 4:
        flops, per_batch, per_sample = _count(case, case.seq_len)
        return flops, per_batch / case.batch_size + per_sample
    (f2, a2, b2), (f3, a3, b3) = _count(case, 2), _count(case, 3)
    further = (case.seq_len or 0) - 2

    def extrapolate(at_two: int, at_three: int) -> int:
        return at_two + further * (at_three - at_two)

    flops = FlopCount(extrapolate(f2.forward, f3.forward), extrapolate(f2.backward, f3.backward))
    return flops, extrapolate(a2, a3) / case.batch_size + extrapolate(b2, b3)


def parameters(case: CaseSpec) -> tuple[int, int]:
    """(trainable, all) parameters as Keras counts them: a bias that is held at zero is not a parameter."""
    network = _network(case)
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    held_at_zero = sum(p.numel() for name, p in network.named_parameters() if "bias_hh" in name and not p.requires_grad)
    return trainable, sum(p.numel() for p in network.parameters()) - held_at_zero


def _network(case: CaseSpec) -> torch.nn.Module:
    workload, params = case.definition()
    with torch.device("meta"):
        network = workload.build(params)
    return network.train(case.mode == "train")


def _count(case: CaseSpec, seq_len: int | None) -> tuple[FlopCount, int, int]:
    """FLOPs of one sample; bytes a batch and bytes a sample, from batches of one and two."""
    one, bytes_one = _run(case, seq_len, 1)
    _, bytes_two = _run(case, seq_len, 2)
    return one, 2 * bytes_one - bytes_two, bytes_two - bytes_one


def _run(case: CaseSpec, seq_len: int | None, batch_size: int) -> tuple[FlopCount, int]:
    workload, params = case.definition()
    network = _network(case)
    with torch.device("meta"):
        x = torch.empty(batch_size, *workload.input_shape(params, seq_len))
        y = workload.target(torch.rand(batch_size))
        train = case.mode == "train"
        with _Bytes() as traffic, torch.set_grad_enabled(train):
            with FlopCounterMode(display=False) as forward:
                logits = network(x)
                result = workload.loss(logits, y) if train else workload.predict(logits)
            with FlopCounterMode(display=False) as backward:
                if train:
                    result.backward()
    if not train:
        return FlopCount(forward.get_total_flops(), workload.flops(params, seq_len).backward), traffic.total
    return FlopCount(forward.get_total_flops(), backward.get_total_flops()), traffic.total


# Declared as fresh results, but they hand out views.
_VIEWS = {"unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk"}


class _Bytes(TorchDispatchMode):  # type: ignore[misc]
    """Bytes of all tensors that go into and come out of each operation; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        returns = operation._schema.returns
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if not view and operation.overloadpacket.__name__ not in _VIEWS:
            tensors = (t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor))
            self.total += sum(t.numel() * t.element_size() for t in tensors)
        return result
