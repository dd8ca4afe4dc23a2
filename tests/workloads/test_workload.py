"""One contract over the folder of workloads."""

from __future__ import annotations

import pytest
import torch

from gpuprof import workloads

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", workloads.names())
def test_contract(name):
    workload = workloads.get(name)
    assert workload.name == name
    assert workload.title
    assert set(workload.operations) <= {"matmul", "conv", "rnn"}
    params = workload.params_model()
    with torch.device("meta"):
        network = workload.build(params)
        x = torch.empty(3, *workload.input_shape(params, 5 if workload.is_sequence else None))
        logits = network(x)
        target = workload.target(torch.rand(3))
        loss = workload.loss(logits, target)
        prediction = workload.predict(logits)
    assert logits.shape[0] == prediction.shape[0] == 3
    assert loss.shape == ()
    assert loss.requires_grad
