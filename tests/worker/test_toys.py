"""What the five networks do not have: two losses with an optimizer each, tokens, several lengths, normalisations."""

from __future__ import annotations

import copy

import pytest
import torch

from gpuprof import workloads
from gpuprof.record.case import Correctness
from gpuprof.worker import correctness, flops
from gpuprof.worker.batches import random_batches
from gpuprof.worker.channel import Unsupported
from gpuprof.worker.compiled import graphs
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network, turns
from gpuprof.worker.optimizers import optimizers
from gpuprof.worker.step import Stepper
from gpuprof.workloads.network import Group, Optimizer
from support.capturing import Capturing
from support.cases import case
from support.toys import NAMES

CPU = ComputeDevice(None)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored", "toys")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("arithmetic", ["ieee", "bf16", "fp16"])
def test_the_gate_passes(name, mode, arithmetic):
    gate = Correctness.model_validate(correctness.check(case(name, mode=mode, precision=arithmetic), CPU, [arithmetic]))
    assert gate.verdict == "pass", gate
    assert gate.reference == "computed on this machine's CPU"
    assert len(gate.loss_curve) == (0 if mode == "infer" else 40 if name == "toygan" else 20)


def test_training_moves_each_group_and_leaves_no_gradient():
    request = case("toygan")
    network, _ = build_network(request, CPU, seed=3)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    losses = Stepper(request, CPU, network, random_batches(request, CPU)).step()
    assert len(losses) == 2
    assert not any(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_later_loss_sees_the_step_of_an_earlier_one():
    """The same losses as of a loop that is written out by hand, and others than without the discriminator's step."""
    request = case("toygan", batch_size=4)
    network, _ = build_network(request, CPU, seed=3)
    twin = copy.deepcopy(network)
    batches = random_batches(request, CPU, 3)
    generator = torch.optim.Adam(twin.generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    discriminator = torch.optim.SGD(twin.discriminator.parameters(), lr=0.05, momentum=0.9)
    softplus, expected, early = torch.nn.functional.softplus, [], []
    for batch in batches:
        fake = twin.generator(batch["noise"])
        judged = (
            softplus(-twin.discriminator(batch["real"])).mean() + softplus(twin.discriminator(fake.detach())).mean()
        )
        early.append(softplus(-twin.discriminator(fake)).mean().item())
        discriminator.zero_grad()
        judged.backward()
        discriminator.step()
        generator.zero_grad()
        fooled = softplus(-twin.discriminator(fake)).mean()
        fooled.backward()
        generator.step()
        expected += [judged.item(), fooled.item()]
    stepper = Stepper(request, CPU, network, batches)
    losses = [loss.item() for _ in batches for loss in stepper.step()]
    assert losses == pytest.approx(expected, rel=1e-6)
    assert all(abs(before - after) > 1e-3 for before, after in zip(early, losses[1::2], strict=True))


class Late(Stepper):
    """Breaks the order: all losses first, then all steps."""

    def _train(self):
        losses = []
        for group, loss in turns(self._workload, self.network, next(self._batches), self._autocast):
            loss.backward(inputs=self._trained[group][1])
            losses.append(loss)
        for optimizer, _ in self._trained.values():
            optimizer.step()
            optimizer.zero_grad()
        return losses


def test_steps_that_come_too_late_are_wrong(monkeypatch):
    monkeypatch.setattr(correctness, "Stepper", Late)
    assert correctness.check(case("toychat"), CPU, ["ieee"])["verdict"] == "pass"  # one loss has no order
    assert correctness.check(case("toygan"), CPU, ["ieee"])["verdict"] == "wrong"


def test_gradients_that_leak_into_another_group_are_wrong(monkeypatch):
    backward = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda self, *, inputs: backward(self))
    assert correctness.check(case("toychat"), CPU, ["ieee"])["verdict"] == "pass"  # one group has no other
    assert correctness.check(case("toygan"), CPU, ["ieee"])["verdict"] == "wrong"


def test_losses_with_errors_of_opposite_sign_are_not_added_up():
    each = correctness._curve_errors([1.1, 0.4, 1.0, 0.0], [1.0, 0.5, 1.0, 0.1], 2)
    assert each == pytest.approx([0.1, 0.2, 0.0, 0.2])


@pytest.mark.parametrize("lengths", [{}, {"seq_len": 3}, {"seq_len": 40}])
@pytest.mark.parametrize("name", NAMES)
def test_flops_are_counted_exactly(name, lengths):
    request = case(name, **lengths)
    workload, params = request.definition()
    assert flops.count(request)[0] == workload.flops(params, request.lengths)


def test_bytes_of_an_extrapolated_length_are_those_of_counting_it(monkeypatch):
    chat = workloads.get("toychat")
    monkeypatch.setattr(chat, "lengths", {"seq_len": 12, "new_tokens": 9})
    extrapolated = flops.count(case("toychat"))
    monkeypatch.setattr(chat, "linear_lengths", ())
    assert flops.count(case("toychat")) == extrapolated
    monkeypatch.setattr(chat, "linear_lengths", ("seq_len",))  # which it is not: this is what must be declared
    assert flops.count(case("toychat")) != extrapolated


def test_a_gate_has_shorter_lengths_and_a_key_of_all():
    assert correctness.reference_key(case("toygan", mode="infer")) == '["toygan", "infer", null, 4, {}]'
    small = correctness.small_case(case("toychat", seq_len=400))
    assert small.lengths == {"seq_len": 100, "new_tokens": 3}
    assert correctness.reference_key(small) == '["toychat", 100, 3, 4, {"vocabulary": 32}]'


def test_each_module_that_is_called_is_compiled_in_place(monkeypatch):
    compiled, plain = [], torch.compile

    def without_inductor(forward):  # which takes ten seconds
        compiled.append(forward.__self__)
        return plain(forward, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", without_inductor)
    request, before = case("toygan", variant="compile"), graphs()
    assert correctness.check(request, CPU, ["ieee"])["verdict"] == "pass"
    assert [len(module) for module in compiled] == [4, 3]
    assert graphs() >= before + 2


@pytest.mark.parametrize("arithmetic", ["ieee", "fp16"])
def test_capturing_is_undone_in_every_group_and_buffer(arithmetic, monkeypatch):
    adam, reference = torch.optim.Adam, correctness.find_reference(case("toygan"))
    monkeypatch.setattr(torch.optim, "Adam", lambda *given, capturable, **options: adam(*given, **options))
    monkeypatch.setattr(correctness, "find_reference", lambda _: reference)
    request = case("toygan", variant="graph", precision=arithmetic)
    assert correctness.check(request, Capturing(None), [arithmetic])["verdict"] == "pass"
    network, _ = build_network(request, CPU, seed=0)
    Stepper(request, Capturing(None), network, random_batches(request, CPU))
    norm = network.generator[1]
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_var, torch.ones(16))


def test_normalisations_begin_near_one():
    norm = build_network(case("toygan"), CPU, seed=0)[0].generator[1]
    assert (norm.weight - 1).abs().max() <= 0.1
    assert norm.bias.abs().max() <= 0.1


@pytest.mark.parametrize(("declared", "message"), [(1, "more losses than the 1"), (3, "fewer losses than the 3")])
def test_a_network_that_yields_other_losses_than_it_declares_is_told(declared, message, monkeypatch):
    monkeypatch.setattr(workloads.get("toygan"), "losses_per_step", declared)
    network, _ = build_network(case("toygan"), CPU, seed=0)
    stepper = Stepper(case("toygan"), CPU, network, random_batches(case("toygan"), CPU))
    with pytest.raises(ValueError, match=message):
        stepper.step()


def test_tied_weights_stay_tied(monkeypatch):
    chat = workloads.get("toychat")
    build = type(chat).build

    def tied(self, params):
        network = build(self, params)
        network.head.weight = network.embedding.weight
        return network

    monkeypatch.setattr(type(chat), "build", tied)
    network, _ = build_network(case("toychat"), CPU, seed=3)
    assert network.head.weight is network.embedding.weight
    assert network.double().head.weight is network.embedding.weight
    assert sum(p.numel() for p in network.parameters()) == flops.parameters(case("toychat"))[0]


class _Grown(torch.autograd.Function):
    """The identity, whose gradient is 50 times too large."""

    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return 50 * gradient


def test_a_small_group_does_not_hide_behind_a_large_one(monkeypatch):
    """Adam takes the same steps whatever the size of its gradients, so that no loss shows the fault."""
    gan, faulty = workloads.get("toygan"), [False]
    losses = type(gan).losses

    def planted(self, network, batch):
        for name, loss in losses(self, network, batch):
            grown = _Grown.apply(loss) if faulty[0] and name == "generator" else loss
            yield name, grown * (1e5 if name == "discriminator" else 1)

    monkeypatch.setattr(type(gan), "losses", planted)
    monkeypatch.setattr(
        type(gan), "groups", lambda _, network: {n: Group(list(m.parameters())) for n, m in network.named_children()}
    )
    reference = correctness.compute_reference(case("toygan"))
    monkeypatch.setattr(correctness, "find_reference", lambda _: reference)
    assert correctness.check(case("toygan"), CPU, ["ieee"])["verdict"] == "pass"
    faulty[0] = True
    found = correctness.check(case("toygan"), CPU, ["ieee"])
    assert found["verdict"] == "wrong"
    assert found["gradient_norm_error"] > 10


def test_a_loss_that_trains_nothing_is_refused(monkeypatch):
    gan = workloads.get("toygan")
    monkeypatch.setattr(type(gan), "losses", lambda self, network, batch: _swapped(network, batch))
    with pytest.raises(ValueError, match="gives no gradient to any of its parameters"):
        correctness.check(case("toygan"), CPU, ["ieee"])


def _swapped(network, batch):
    loss = network.discriminator(batch["real"]).mean()
    yield "generator", loss + 0.0
    yield "discriminator", network.discriminator(batch["real"]).mean()


@pytest.mark.parametrize(("name", "options"), [("NAdam", {}), ("SGD", {"momentum": 0.9, "dampening": 0.9, "lr": 0.1})])
def test_what_begins_elsewhere_than_at_zero_cannot_be_captured(name, options, monkeypatch):
    gan = workloads.get("toygan")
    network, _ = build_network(case("toygan"), CPU, seed=3)
    monkeypatch.setattr(
        type(gan), "groups", lambda _, network: {"all": Group(list(network.parameters()), Optimizer(name, options))}
    )
    with pytest.raises(Unsupported, match=name):
        optimizers(gan, network, scaled=False, captured=True, learning_rate=None)
    assert optimizers(gan, network, scaled=False, captured=False, learning_rate=None)


def test_a_length_that_is_no_key_is_shortened_for_the_gate_too(monkeypatch):
    monkeypatch.setattr(workloads.get("toychat"), "lengths", {"seq_len": 12, "new_tokens": 4096})
    batch = correctness.small_batch(correctness.small_case(case("toychat")))
    assert {name: tensor.shape[1] for name, tensor in batch.items()} == {"seq_len": 12, "new_tokens": 100}
