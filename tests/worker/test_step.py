"""One step: what it trains, and what its weights and batches depend on."""

from __future__ import annotations

import pytest
import torch
from torch.utils._pytree import tree_leaves

from gpuprof.worker.batches import random_batches
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from gpuprof.worker.step import Stepper
from support.cases import SMALL, case

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_a_step_runs_and_training_trains_only_what_may(name, mode):
    device, request = ComputeDevice(None), case(name, mode=mode, seq_len=7)
    network, weights = build_network(request, device, seed=3)
    before = {key: value.clone() for key, value in network.named_parameters()}
    stepper = Stepper(request, device, network, random_batches(request, device))
    with stepper.context:
        for _ in range(3):
            result = stepper.step()
    assert all(torch.isfinite(tensor).all() for tensor in result)
    assert weights.source == "random"
    for key, parameter in network.named_parameters():
        changed = not torch.equal(parameter, before[key])
        assert changed == (mode == "train" and parameter.requires_grad), key
        if not parameter.requires_grad:
            assert torch.count_nonzero(parameter) == 0


@pytest.mark.parametrize("name", SMALL)
def test_weights_and_batches_depend_on_the_seed_alone(name):
    device, request = ComputeDevice(None), case(name)
    one, two, other = (build_network(request, device, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    first, second = (list(map(tree_leaves, random_batches(request, device, 2))) for _ in range(2))
    assert all(map(torch.equal, first[1], second[1]))
    assert not all(map(torch.equal, first[0], first[1]))


def test_a_module_of_torchs_own_is_compiled_as_well(monkeypatch):
    """`Module.compile` compiles nothing of a Sequential up to torch 2.11, and says nothing."""
    asked = []
    monkeypatch.setattr(torch, "compile", lambda forward: asked.append(forward) or forward)
    device, request = ComputeDevice(None), case("cnn", variant="compile")
    network, _ = build_network(request, device, seed=3)
    assert isinstance(network, torch.nn.Sequential)
    own = network.forward
    Stepper(request, device, network, random_batches(request, device))
    assert asked == [own]
    assert network.forward is asked[0]
