"""One contract over the folder of workloads, and the exact integers of their counts."""

from __future__ import annotations

import pytest
import torch

from gpuprof import workloads
from gpuprof.worker import flops
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.step import Stepper, build_network, random_batches
from support.cases import EXACT, SMALL, case

pytestmark = pytest.mark.slow
# Bytes in and out of every eager operation, forward: a batch + B a sample (T = 100 for the recurrent networks), less
# the output activation, which the reference counts leave out.
BYTES = {
    "cnn": (373_288, 595_560, 0),
    "rnn": (1_945_860, 312_228, 8),
    "lstm": (7_782_660, 1_157_796, 8),
    "gru": (5_837_060, 977_828, 8),
    "vgg16": (71_709_480, 241_850_408, 0),
}


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


def test_every_workload_has_its_exact_counts_here():
    assert set(EXACT) == set(BYTES) == set(workloads.names())


@pytest.mark.parametrize("name", workloads.names())
def test_parameters(name):
    assert flops.parameters(case(name)) == EXACT[name][:2]


@pytest.mark.parametrize("seq_len", [1, 7, 100])
@pytest.mark.parametrize("name", workloads.names())
def test_flops_are_exact_integers_on_meta_and_in_closed_form(name, seq_len):
    request = case(name, seq_len=seq_len)
    length = request.seq_len or 0
    _, _, (forward, forward_slope), (backward, backward_slope) = EXACT[name]
    counted, _ = flops.count(request)
    workload, params = request.definition()
    assert counted == workload.flops(params, request.seq_len)
    assert (counted.forward, counted.backward) == (forward + forward_slope * length, backward + backward_slope * length)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_flops_of_other_sizes(name):
    request = case(name, seq_len=5, params={"hidden_size": 24, "input_size": 7})
    workload, params = request.definition()
    assert flops.count(request)[0] == workload.flops(params, 5)


@pytest.mark.parametrize("name", workloads.names())
def test_bytes(name):
    a, b, activation = BYTES[name]
    for batch_size in (1, 8):
        _, per_sample = flops.count(case(name, mode="infer", seq_len=100, batch_size=batch_size))
        assert per_sample == a / batch_size + b + activation


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
    assert torch.isfinite(result).all()
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
    first, second = random_batches(request, device, 2), random_batches(request, device, 2)
    assert torch.equal(first[1][0], second[1][0])
    assert not torch.equal(first[0][0], first[1][0])


def test_seeded_values_never_change():
    from gpuprof.worker import seeded

    assert seeded.uniform(0, "x", (3,)).tolist() == pytest.approx([0.0900267437, 0.7862064242, 0.2394056767])


def test_vgg16_takes_weights_from_a_file_and_says_so(tmp_path):
    from torchvision.models import vgg16

    path = tmp_path / "vgg.pt"
    source = vgg16(weights=None)
    torch.save({k: v for k, v in source.state_dict().items() if k.startswith("features.")}, path)
    network, weights = build_network(case("vgg16", params={"weights": str(path)}), ComputeDevice(None), 0)
    assert weights.source == "file"
    assert len(weights.sha256) == 64
    assert torch.equal(network[0][0].weight, source.features[0].weight)
    assert not network[0][0].weight.requires_grad


def test_weights_that_cannot_be_had_leave_seeded_ones_and_a_reason(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps(Evil()))
    for wanted in (str(tmp_path / "missing.pt"), str(evil)):
        _, weights = build_network(case("vgg16", params={"weights": wanted}), ComputeDevice(None), 0)
        assert weights.source == "random"
        assert "could not be loaded" in weights.note
    assert not (tmp_path / "pwned").exists()
