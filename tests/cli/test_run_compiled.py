"""`gpuprof run` of compiled cases: nothing that ran eagerly passes for compiled."""

from __future__ import annotations

import pytest

from support.running import CONFIGS, gpuprof

pytestmark = pytest.mark.slow


def test_a_network_that_is_not_compiled_is_unsupported_with_the_reason(tmp_path):
    """The switch does to the CNN what some releases do to recurrent layers, and torch says as little of it."""
    done = gpuprof(
        "run", CONFIGS / "cnn.yaml", "--quick", "--device", "cpu", "--set", "repeats=1", "--set", "threads=1",
        "--set", "batch_size=4", "--set", "variant=compile", "--store", tmp_path, "--json",
        env={"TORCHDYNAMO_DISABLE": "1"},
    )  # fmt: skip
    assert done.code == 3, done.err
    (case,) = done.json["cases"]
    assert case["outcome"] == "unsupported"
    assert case["reason"].startswith("torch.compile compiled no part of this network: it is switched off")
    assert case["throughput_per_s"] is None
