"""The exact integers of every workload's counts, on meta tensors and in closed form."""

from __future__ import annotations

import pytest

from gpuprof import workloads
from gpuprof.worker import flops
from support.cases import BYTES, EXACT, case, exact_flops

pytestmark = pytest.mark.slow


def test_every_workload_has_its_exact_counts_here():
    assert set(EXACT) == set(BYTES) == set(workloads.names())


@pytest.mark.parametrize("name", workloads.names())
def test_parameters(name):
    assert flops.parameters(case(name)) == EXACT[name][:2]


@pytest.mark.parametrize("seq_len", [1, 7, 100])
@pytest.mark.parametrize("name", workloads.names())
def test_flops_are_exact_integers_on_meta_and_in_closed_form(name, seq_len):
    request = case(name, seq_len=seq_len)
    counted, _ = flops.count(request)
    workload, params = request.definition()
    assert counted == workload.flops(params, request.lengths)
    assert (counted.forward, counted.backward) == exact_flops(name, request.seq_len or 0)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_flops_of_other_sizes(name):
    request = case(name, seq_len=5, params={"hidden_size": 24, "input_size": 7})
    workload, params = request.definition()
    assert flops.count(request)[0] == workload.flops(params, {"seq_len": 5})


@pytest.mark.parametrize("name", workloads.names())
def test_bytes(name):
    a, b, activation = BYTES[name]
    for batch_size in (1, 8):
        _, per_sample = flops.count(case(name, mode="infer", seq_len=100, batch_size=batch_size))
        assert per_sample == a / batch_size + b + activation
