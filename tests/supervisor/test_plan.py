"""The order of the repeats."""

from __future__ import annotations

from gpuprof.supervisor import plan


def test_repeats_are_interleaved_forwards_and_backwards():
    assert list(plan.order(["a", "b"], 3)) == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
