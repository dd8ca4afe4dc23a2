"""One contract over the folder of workloads."""

from __future__ import annotations

import pytest
import torch

from gpuprof import workloads
from gpuprof.worker import correctness
from gpuprof.worker.batches import Random
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from support.cases import SMALL, case

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SMALL)
def test_modes_differ_where_they_are_said_to(name):
    """Elsewhere one reference serves both modes."""
    answers = []
    for mode in ("train", "infer"):
        request = case(name, mode=mode)
        network, _ = build_network(request, ComputeDevice(None), seed=3)
        with torch.no_grad():
            answers.append(workloads.get(name).predict(network, correctness.small_batch(request)))
    assert torch.equal(*answers) != workloads.get(name).modes_differ


@pytest.mark.parametrize("name", workloads.names())
def test_contract(name):
    workload = workloads.get(name)
    assert workload.name == name
    assert workload.title
    assert set(workload.operations) <= {"matmul", "conv", "rnn"}
    assert set(workload.linear_lengths) <= set(workload.lengths)
    params = workload.params_model()
    lengths = dict.fromkeys(workload.lengths, 5)
    with torch.device("meta"):
        network = workload.build(params)
        batch = workload.batch(params, lengths, 3, Random(torch.device("meta")))
        losses = list(workload.losses(network, batch))
        prediction = workload.predict(network, batch)
    assert prediction.shape[0] == 3
    assert len(losses) == workload.losses_per_step
    groups = workload.groups(network)
    assert {group for group, _ in losses} == set(groups)
    assert all(parameter.requires_grad for group in groups.values() for parameter in group.parameters)
    for _, loss in losses:
        assert loss.shape == ()
        assert loss.requires_grad
