"""What is said of a case before it is measured."""

from __future__ import annotations

import io

import pytest

from gpuprof.messages import Inspect
from gpuprof.worker import correctness
from gpuprof.worker.channel import Channel
from gpuprof.worker.inspect import inspect
from support.cases import case

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored")]


def test_inspect_reports_a_gate_that_cannot_run(monkeypatch):
    def broken(*_):
        raise RuntimeError("miopenStatusUnknownError")

    monkeypatch.setattr(correctness, "find_reference", broken)
    request = Inspect(case=case("rnn"), device=None)
    found = inspect(request, Channel(io.StringIO(), io.StringIO(), 0.0))
    assert found["correctness"]["verdict"] is None
    assert (
        found["correctness"]["absent"]["verdict"]
        == "the correctness gate could not run: RuntimeError: miopenStatusUnknownError"
    )
    assert found["trainable_parameters"] == 4_865
    assert found["shaken"]
