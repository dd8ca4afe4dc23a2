"""A case's network: built on a device, its losses in turn, its state kept and put back."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import torch

from gpuprof.worker import seeded
from gpuprof.worker.device import ComputeDevice
from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.network import LoadedWeights, Network


def definition(case: CaseSpec) -> tuple[Network, Any]:
    """The case's network and its validated parameters. TypeError where its workload is no network."""
    workload, params = case.definition()
    if not isinstance(workload, Network):
        raise TypeError(f"workload {case.workload} is not a network")
    return workload, params


def on_meta(case: CaseSpec) -> torch.nn.Module:
    """The network's shapes, in the case's mode, without values."""
    workload, params = definition(case)
    with torch.device("meta"):
        network = workload.build(params)
    return network.train(case.mode == "train")


def build_network(
    case: CaseSpec, device: ComputeDevice, seed: int, *, pretrained: bool = True
) -> tuple[torch.nn.Module, LoadedWeights]:
    """The network in float32 on the device, with weights fixed by `seed` or pretrained ones where asked for."""
    workload, params = definition(case)
    network = _on_cpu(on_meta(case))
    seeded.fill(network, seed)
    weights = LoadedWeights("random", f"seeded random weights (seed {seed})")
    if pretrained:
        weights = workload.load_pretrained(network, params)
    return network.to(device.torch), weights


def _on_cpu(network: torch.nn.Module) -> torch.nn.Module:
    """A network of meta on the CPU, without values. What its modules share stays shared."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    network = network.to_empty(device="cpu")
    # `to_empty` gives each module a parameter of its own: weights that were tied would train apart.
    for first, *aliases in names.values():
        for alias in aliases:
            module, _, attribute = alias.rpartition(".")
            setattr(network.get_submodule(module), attribute, network.get_parameter(first))
    return network


def turns(
    workload: Network, network: torch.nn.Module, batch: Any, context: contextlib.AbstractContextManager[Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each (group, loss) of one step; `context` is open while a loss is computed, closed while the caller has it.

    ValueError where the workload yields more or fewer losses than it declares.
    """
    losses = workload.losses(network, batch)
    for _ in range(workload.losses_per_step):
        with context:
            turn = next(losses, None)
        if turn is None:
            raise ValueError(f"{workload.name} yields fewer losses than the {workload.losses_per_step} it declares")
        yield turn
    if next(losses, None) is not None:
        raise ValueError(f"{workload.name} yields more losses than the {workload.losses_per_step} it declares")


def kept(network: torch.nn.Module) -> list[torch.Tensor]:
    """Copies of all parameters and buffers, on the CPU: on the device they would add to its peak memory.

    Detached: a copy with a history keeps the parameter's AccumulateGrad node, which runs on the stream that it was made
    on. A later capture of a backward pass would reach for that stream, and fail (CUDA error 901).
    """
    return [tensor.detach().to("cpu", copy=True) for tensor in _state(network)]


def put_back(network: torch.nn.Module, state: list[torch.Tensor]) -> None:
    """Copy a state from `kept` back into the network; in place, since a captured graph holds the addresses."""
    with torch.no_grad():
        for tensor, before in zip(_state(network), state, strict=True):
            tensor.copy_(before)


def _state(network: torch.nn.Module) -> Iterator[torch.Tensor]:
    return itertools.chain(network.parameters(), network.buffers())
