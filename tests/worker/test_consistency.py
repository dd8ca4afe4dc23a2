"""The second gate: batches of the case's own size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gpuprof import workloads
from gpuprof.absent import Absent
from gpuprof.messages import Inspect
from gpuprof.record.case import Correctness
from gpuprof.worker import consistency, correctness
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.inspect import inspect
from support.capturing import Capturing
from support.cases import case

CPU = ComputeDevice(None)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored", "toys")]


@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("name", ["cnn", "lstm", "toygan", "toychat"])
@pytest.mark.parametrize("batch_size", [6, 11, 32])
def test_sound_networks_answer_alike_at_every_size(name, mode, batch_size):
    assert consistency.error(case(name, mode=mode, batch_size=batch_size), CPU, 1e-4) < 1e-5


@pytest.mark.parametrize(
    ("fault", "mode", "batch_size", "verdict"),
    [
        ("none", "train", 32, "pass"), ("size", "train", 16, "pass"), ("size", "train", 32, "wrong"),
        ("size", "infer", 32, "wrong"), ("size", "infer", 33, "wrong"), ("backward", "train", 16, "pass"),
        ("backward", "train", 32, "wrong"), ("backward", "infer", 32, "pass"),
        ("wrap", "infer", 64, "wrong"), ("wrap", "train", 64, "wrong"), ("wrap", "infer", 16, "pass"),
        ("coupled", "train", 32, "pass"), ("size", "infer", 35, "wrong"),
    ],
)  # fmt: skip
def test_a_kernel_that_is_wrong_only_above_batch_16_is_found(fault, mode, batch_size, verdict):
    request = case("toyfault", mode=mode, batch_size=batch_size, params={"fault": fault})
    gate = correctness.check(request, CPU, ["ieee"])
    assert gate["verdict"] == "pass", "the reference gate runs a batch of 4"
    found = inspect(Inspect(case=request, device=None), None)["correctness"]
    assert found["verdict"] == verdict
    assert found["found_by"] == ("batch" if verdict == "wrong" else None)
    assert ((found["batch_error"] or 0) > found["wrong_above"]) is (verdict == "wrong")
    Correctness.model_validate(found)


def test_one_wrong_row_of_many_is_found_in_training_too():
    """Among the gradients it would be a hundredth of bf16's limit."""
    request = case("toyfault", batch_size=512, precision="bf16", params={"fault": "size"})
    assert consistency.error(request, CPU, 0.05) > 0.5


@pytest.mark.parametrize("distance", [1, 2, 4, 16, 64, 96, 100, 256, 4096, 65_536])
def test_the_repetitions_hide_no_row_that_stands_for_another(distance):
    order = consistency._batches(case("toyfault", batch_size=4 * distance + 512), CPU, 4).order
    assert float((order[distance:] == order[:-distance]).double().mean()) < 0.4
    assert len(set(order.bincount().tolist())) == 1, "of batches that the rows divide"


def test_a_remainder_is_part_of_the_batch_that_infers():
    batches = consistency._batches(case("toyfault", batch_size=35), CPU, 4)
    assert (len(batches.large), len(batches.order), len(batches.small)) == (35, 35, 4)


@pytest.mark.parametrize("variant", ["compile", "graph"])
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_every_variant_is_looked_at(variant, mode, monkeypatch):
    compiled, device = torch.compile, Capturing(None)  # without inductor, which takes ten seconds
    monkeypatch.setattr(torch, "compile", lambda forward: compiled(forward, backend="eager"))
    adam = torch.optim.Adam  # capturable on GPUs only
    monkeypatch.setattr(torch.optim, "Adam", lambda *a, capturable=False, **options: adam(*a, **options))
    request = case("toyfault", mode=mode, variant=variant, batch_size=32, params={"fault": "size"})
    assert consistency.error(request, device, 1e-4) > 0.1
    assert consistency.error(replace(request, params={"fault": "none"}), device, 1e-4) < 1e-5
    assert hasattr(device, "captured") == (variant == "graph")


@pytest.mark.parametrize("variant", ["compile", "graph"])
def test_the_losses_of_training_are_those_of_the_code_that_is_timed(variant, monkeypatch):
    """A fault that only the compiled or captured step has; predictions and gradients come from the plain network."""
    stepper = consistency.Stepper

    def faulty(asked, *rest):
        made = stepper(replace(asked, variant="eager"), *rest)
        if asked.variant == variant:
            step = made.step
            made.step = lambda: [2 * loss for loss in step()]
        return made

    monkeypatch.setattr(consistency, "Stepper", faulty)
    found = consistency._differences(case("toyfault", variant=variant, batch_size=32, params={"fault": "none"}), CPU)
    assert found["losses"] > 0.4
    assert max(found["gradients"], found["predictions"]) < 1e-5


def test_a_loss_that_is_no_mean_leaves_the_predictions(monkeypatch):
    chat = type(workloads.get("toychat"))
    losses = chat.losses
    monkeypatch.setattr(
        chat, "losses", lambda self, n, b: ((group, loss * len(b["seq_len"])) for group, loss in losses(self, n, b))
    )
    assert consistency.error(case("toychat", batch_size=32), CPU, 1e-4) < 1e-5
    monkeypatch.setattr(chat, "predict", lambda self, n, b: torch.ones(len(b["seq_len"]), 1) * len(b["seq_len"]))
    assert "on a CPU as well" in consistency.error(case("toychat", mode="infer", batch_size=32), CPU, 1e-4).reason


def test_switches_are_those_of_the_case_after_a_plain_run():
    consistency.error(case("toyfault", batch_size=32, precision="tf32", params={"fault": "size"}), CPU, 1e-2)
    assert torch.backends.cuda.matmul.allow_tf32


def test_long_sequences_are_held_against_two_rows():
    assert consistency.error(case("toychat", seq_len=120, batch_size=4), CPU, 1e-4) < 1e-5
    assert isinstance(consistency.error(case("toychat", batch_size=4), CPU, 1e-4), Absent)


@pytest.mark.parametrize("batch_size", [5, 7])
def test_a_batch_that_holds_no_few_rows_twice_is_not_checked(batch_size):
    assert "twice" in consistency.error(case("rnn", batch_size=batch_size), CPU, 1e-4).reason


def test_more_than_the_gate_of_a_workload_runs_is_checked():
    """VGG16's has two rows, so that a batch of four is one that nothing else looks at."""
    assert consistency._rows(case("vgg16", batch_size=4)) == 2
    assert "no larger" in consistency._rows(case("vgg16", batch_size=2)).reason


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_batch_as_small_as_the_gates_own_has_nothing_to_be_held_against(batch_size):
    found = consistency.error(case("rnn", batch_size=batch_size), CPU, 1e-4)
    assert isinstance(found, Absent)
    assert "no larger" in found.reason


def test_a_batch_that_does_not_fit_leaves_the_first_gates_verdict_and_ends_the_process(monkeypatch):
    def full(*_):
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(consistency, "error", full)
    answer = inspect(Inspect(case=case("rnn", batch_size=8), device=None), None)
    found = answer["correctness"]
    assert found["verdict"] == "pass"
    assert "can't allocate memory" in found["absent"]["batch_error"]
    assert answer["shaken"], "an error on a device may leave a process that fails whatever comes next"
    assert answer["state"] == "failed"


@pytest.mark.parametrize(
    ("error", "verdict"), [(1e-5, "pass"), (1e-3, "drift"), (0.5, "wrong"), (float("inf"), "wrong")]
)
def test_the_worse_of_both_verdicts_counts(error, verdict):
    passed = {"verdict": "pass", "tolerance": 1e-4, "wrong_above": 1e-2, "absent": {}}
    assert correctness.joined(passed, error)["verdict"] == verdict
    assert correctness.joined(passed | {"verdict": "drift"}, 1e-5)["verdict"] == "drift"
    assert correctness.joined(passed | {"verdict": "wrong"}, 1e-5)["verdict"] == "wrong"
