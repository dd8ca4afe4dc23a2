"""The gate passes what is right, and catches what is wrong: each test of the second kind breaks something real."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gpuprof import workloads
from gpuprof.record.case import Correctness
from gpuprof.worker import correctness
from gpuprof.worker.channel import Unsupported
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import kept
from support.capturing import Capturing
from support.cases import SMALL, case

CPU = ComputeDevice(None)
MODES = ("train", "infer")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored")]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("arithmetic", ["ieee", "bf16"])
def test_passes_on_this_cpu(name, mode, arithmetic):
    if (name, arithmetic) == ("lstm", "bf16") and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        with pytest.raises(RuntimeError, match="could not create a primitive"):  # and the run falls back, by name
            correctness.check(case(name, mode=mode, precision=arithmetic), CPU, [arithmetic])
        return
    found = Correctness.model_validate(
        correctness.check(case(name, mode=mode, precision=arithmetic), CPU, [arithmetic])
    )
    assert found.verdict == "pass", found
    assert found.reference == "shipped with gpuprof"
    assert (found.loss_curve_error is None) == (mode == "infer")
    losses = 20 * workloads.get(name).losses_per_step
    assert len(found.loss_curve) == (losses if mode == "train" else 0)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_the_path_without_fused_kernels_passes_too(name):
    found = correctness.check(case(name, params={"fused": False}), CPU, ["ieee"])
    assert found["verdict"] == "pass"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mode", MODES)
def test_shipped_references_are_what_the_script_computes(name, mode):
    shipped = json.loads(correctness.SHIPPED.read_text())[correctness.reference_key(case(name, mode=mode))]
    computed = correctness.reference_as_json(correctness.compute_reference(case(name, mode=mode)))
    for key, value in shipped.items():
        assert computed[key] == pytest.approx(value, rel=1e-9)


def test_every_shipped_configuration_has_its_reference():
    shipped = json.loads(correctness.SHIPPED.read_text())
    keys = {correctness.reference_key(case(name, mode=mode)) for name in workloads.names() for mode in MODES}
    assert keys == set(shipped)


def test_other_sizes_are_computed_here():
    found = correctness.check(case("gru", params={"hidden_size": 8}), CPU, ["ieee"])
    assert found["verdict"] == "pass"
    assert found["reference"] == "computed on this machine's CPU"


def test_a_wrong_forward_pass_is_wrong(monkeypatch):
    forward = torch.nn.LSTM.forward
    monkeypatch.setattr(torch.nn.LSTM, "forward", lambda self, x: _scaled(forward(self, x), 0.5))
    assert correctness.check(case("lstm", mode="infer"), CPU, ["ieee"])["verdict"] == "wrong"


def _scaled(result, factor):
    output, (hidden, cell) = result
    return output, (hidden * factor, cell)


def test_a_wrong_gradient_is_wrong_although_the_forward_pass_is_right(monkeypatch):
    forward = torch.nn.Conv2d.forward

    class Halved(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * 0.5

    monkeypatch.setattr(torch.nn.Conv2d, "forward", lambda self, x: Halved.apply(forward(self, x)))
    found = correctness.check(case("cnn"), CPU, ["ieee"])
    assert found["output_error"] < 1e-5
    assert found["gradient_norm_error"] > 0.01
    assert found["verdict"] == "wrong"


def test_a_wrong_optimiser_is_wrong_although_the_gradients_are_right(monkeypatch):
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *a: (step(self, *a), step(self, *a))[0])
    found = correctness.check(case("lstm"), CPU, ["ieee"])
    assert found["gradient_norm_error"] < 1e-5
    assert found["verdict"] == "wrong"


def test_not_a_number_is_wrong_and_never_a_value(monkeypatch):
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, x: forward(self, x) * math.nan)
    found = Correctness.model_validate(correctness.check(case("rnn"), CPU, ["ieee"]))
    assert found.verdict == "wrong"
    assert found.output_error is None
    assert found.absent["output_error"] == "not finite, or against a reference of zero"
    assert found.loss_curve == [None] * 20


def test_arithmetic_of_a_lower_class_than_claimed_is_drift():
    found = correctness.check(case("cnn", precision="bf16"), CPU, ["ieee"])
    assert found["verdict"] == "drift"


def test_graph_on_a_cpu_is_unsupported_not_failed():
    with pytest.raises(Unsupported, match="needs a GPU"):
        correctness.check(case("cnn", variant="graph"), CPU, ["ieee"])


@pytest.mark.parametrize("name", ["cnn", "rnn", "gru"])
def test_fp16_with_its_loss_scale_passes(name):
    assert correctness.check(case(name, precision="fp16"), CPU, ["fp16"])["verdict"] == "pass"


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_compiled_passes(mode):
    assert correctness.check(case("cnn", variant="compile", mode=mode), CPU, ["ieee"])["verdict"] == "pass"


@pytest.mark.parametrize("arithmetic", ["ieee", "fp16"])
def test_what_capturing_does_to_weights_optimiser_and_loss_scale_is_undone(arithmetic, monkeypatch):
    adam = torch.optim.Adam

    def without_capturable(*parameters, capturable, **options):  # torch has it on GPUs only
        assert capturable
        return adam(*parameters, **options)

    monkeypatch.setattr(torch.optim, "Adam", without_capturable)
    reference = correctness.find_reference(case("cnn"))
    monkeypatch.setattr(correctness, "find_reference", lambda _: reference)
    device = Capturing(None)
    found = correctness.check(case("cnn", variant="graph", precision=arithmetic), device, [arithmetic])
    assert device.captured == 2
    assert found["verdict"] == "pass"


def test_what_is_kept_for_after_a_capture_holds_no_node_of_another_stream():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    assert not [tensor for tensor in kept(network) if tensor.requires_grad or tensor.grad_fn is not None]


def test_the_coarsest_arithmetic_found_sets_the_tolerance():
    found = correctness.check(case("cnn"), CPU, ["ieee", "tf32"])
    assert found["tolerance"] == correctness.TOLERANCE["tf32"][0]
