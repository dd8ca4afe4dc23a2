"""FLOPs, parameters and bytes counted on torch's meta device: no arithmetic, the same on every machine.

On a real device FlopCounterMode is blind to fused recurrent kernels (128 FLOPs for the whole LSTM on a CPU, none on a
GPU); on meta they fall apart into matrix products and the count is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gpuprof.worker.batches import Random
from gpuprof.worker.network import definition, on_meta, turns
from gpuprof.worker.optimizers import leaves_of
from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.workload import FlopCount, Lengths


class _Counts(NamedTuple):
    """FLOPs of one sample; bytes that a step moves whatever its batch, and those of each sample."""

    forward: int
    backward: int
    bytes_per_batch: int
    bytes_per_sample: int


def count(case: CaseSpec) -> tuple[FlopCount, float]:
    """FLOPs and bytes per sample (at the case's batch size and mode), counted on meta.

    Assumed: FLOPs are proportional to the batch size, bytes linear in it; and both are linear, from two on, in each of
    the network's `linear_lengths`, which are extrapolated from two and three. Other lengths are counted as they are.
    """
    counts = _counts(case, case.lengths, definition(case)[0].linear_lengths)
    per_sample = counts.bytes_per_batch / case.batch_size + counts.bytes_per_sample
    return FlopCount(counts.forward, counts.backward), per_sample


def parameters(case: CaseSpec) -> tuple[int, int]:
    """(trainable, all) parameters as Keras counts them: a bias that is held at zero is not a parameter."""
    network = on_meta(case)
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    held_at_zero = sum(p.numel() for name, p in network.named_parameters() if "bias_hh" in name and not p.requires_grad)
    return trainable, sum(p.numel() for p in network.parameters()) - held_at_zero


def _counts(case: CaseSpec, lengths: Lengths, linear: Sequence[str]) -> _Counts:
    """Counts at these lengths; those named in `linear` are extrapolated from two and three where that saves work."""
    if not linear:
        return _counted(case, lengths)
    name, *remaining = linear
    if lengths[name] < 4:
        return _counts(case, lengths, remaining)
    at_two, at_three = (_counts(case, {**lengths, name: length}, remaining) for length in (2, 3))
    further = lengths[name] - 2
    return _Counts(*(two + further * (three - two) for two, three in zip(at_two, at_three, strict=True)))


def _counted(case: CaseSpec, lengths: Lengths) -> _Counts:
    """The line through batches of two and three; some normalisations refuse a batch of one."""
    (flops_two, bytes_two), (flops_three, bytes_three) = (_run(case, lengths, size) for size in (2, 3))
    per_sample = bytes_three - bytes_two
    return _Counts(
        flops_three.forward - flops_two.forward, flops_three.backward - flops_two.backward,
        bytes_two - 2 * per_sample, per_sample,
    )  # fmt: skip


def _run(case: CaseSpec, lengths: Lengths, batch_size: int) -> tuple[FlopCount, int]:
    """FLOPs and bytes of one step of the whole batch, without the optimizer's."""
    workload, params = definition(case)
    network = on_meta(case)
    groups = workload.groups(network)
    forward, backward = _Flops(), _Flops()
    with torch.device("meta"):
        batch = workload.batch(params, lengths, batch_size, Random(torch.device("meta")))
        with _Bytes() as traffic, torch.set_grad_enabled(case.mode == "train"):
            if case.mode == "train":
                # `forward` is entered for each loss, and adds them up.
                for group, loss in turns(workload, network, batch, forward):
                    with backward:
                        loss.backward(inputs=leaves_of(groups[group], network))
            else:
                with forward:
                    workload.predict(network, batch)
    if case.mode == "train":
        return FlopCount(forward.total, backward.total), traffic.total
    # No backward pass was run: the closed form stands in, so that whoever compares the two compares forward alone.
    return FlopCount(forward.total, batch_size * workload.flops(params, lengths).backward), traffic.total


class _Flops:
    """FLOPs of all that runs while it is open. It adds up over entries; a FlopCounterMode starts again at each."""

    total = 0

    def __enter__(self) -> None:
        self._mode = FlopCounterMode(display=False)
        self._mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)
        self.total += self._mode.get_total_flops()


# Their schemas declare fresh results, but they return views.
_VIEWS = {"unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk"}


class _Bytes(TorchDispatchMode):  # type: ignore[misc]
    """Bytes of all tensors that go into and come out of each operation; one that returns views moves nothing."""

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
