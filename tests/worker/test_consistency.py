"""The second gate: batches of the case's own size."""

from __future__ import annotations

import pytest

from gpuprof.absent import Absent
from gpuprof.messages import Inspect
from gpuprof.worker import consistency, correctness
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.inspect import inspect
from support.cases import case

CPU = ComputeDevice(None)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored", "toys")]


@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("name", ["cnn", "lstm", "toygan", "toychat"])
@pytest.mark.parametrize("batch_size", [6, 11, 32])
def test_sound_networks_answer_alike_at_every_size(name, mode, batch_size):
    assert consistency.error(case(name, mode=mode, batch_size=batch_size), CPU) < 1e-4


@pytest.mark.parametrize(
    ("fault", "mode", "batch_size", "verdict"),
    [
        ("none", "train", 32, "pass"), ("size", "train", 16, "pass"), ("size", "train", 32, "wrong"),
        ("size", "infer", 32, "wrong"), ("size", "infer", 33, "wrong"), ("backward", "train", 16, "pass"),
        ("backward", "train", 32, "wrong"), ("backward", "infer", 32, "pass"),
    ],
)  # fmt: skip
def test_a_kernel_that_is_wrong_only_above_batch_16_is_found(fault, mode, batch_size, verdict):
    request = case("toyfault", mode=mode, batch_size=batch_size, params={"fault": fault})
    gate = correctness.check(request, CPU, ["ieee"])
    assert gate["verdict"] == "pass", "the reference gate runs a batch of 4"
    found = inspect(Inspect(case=request, device=None), None)["correctness"]
    assert found["verdict"] == verdict
    assert (found["batch_error"] > found["wrong_above"]) is (verdict == "wrong")


@pytest.mark.parametrize("batch_size", [1, 4, 5, 7])
def test_a_batch_as_small_as_the_gates_own_has_nothing_to_be_held_against(batch_size):
    found = consistency.error(case("rnn", batch_size=batch_size), CPU)
    assert isinstance(found, Absent)
    assert "no larger" in found.reason


def test_a_batch_that_does_not_fit_leaves_the_first_gates_verdict(monkeypatch):
    def full(*_):
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(consistency, "error", full)
    found = inspect(Inspect(case=case("rnn", batch_size=8), device=None), None)["correctness"]
    assert found["verdict"] == "pass"
    assert "can't allocate memory" in found["absent"]["batch_error"]


@pytest.mark.parametrize(
    ("error", "verdict"), [(1e-5, "pass"), (1e-3, "drift"), (0.5, "wrong"), (float("inf"), "wrong")]
)
def test_the_worse_of_both_verdicts_counts(error, verdict):
    passed = {"verdict": "pass", "tolerance": 1e-4, "wrong_above": 1e-2, "absent": {}}
    assert correctness.joined(passed, error)["verdict"] == verdict
    assert correctness.joined(passed | {"verdict": "drift"}, 1e-5)["verdict"] == "drift"
    assert correctness.joined(passed | {"verdict": "wrong"}, 1e-5)["verdict"] == "wrong"
