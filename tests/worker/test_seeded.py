"""Seeded values, the same for ever."""

from __future__ import annotations

import pytest


def test_seeded_values_never_change():
    from gpuprof.worker import seeded

    assert seeded.uniform(0, "x", (3,)).tolist() == pytest.approx([0.0900267437, 0.7862064242, 0.2394056767])


def test_draws_are_seeded_by_name_and_keep_their_ranges():
    from gpuprof.worker.seeded import Seeded

    draw = Seeded(0)
    assert draw.normal("x", (3,)).tolist() == pytest.approx([0.1559308916, 1.3617494106, 0.4146627784])
    assert draw.uniform("x", (3,)).tolist() == pytest.approx([0.5450133681, 0.8931032419, 0.6197028160])
    assert draw.integers("x", 10, (2, 2)).shape == (2, 2)
    numbers = draw.integers("x", 10, (1000,))
    assert set(numbers.tolist()) == set(range(10))
    assert numbers[:6].tolist() == [5, 6, 1, 4, 9, 5]
    assert draw.normal("y", (1,)) != draw.normal("x", (1,))


def test_what_is_drawn_below_one_is_below_one(monkeypatch):
    """float32 has no value between 1 - 2^-24 and 1, so that the largest draws would round up to it."""
    import torch

    from gpuprof.worker import seeded

    monkeypatch.setattr(seeded, "uniform", lambda *_: torch.ones(1))
    assert 0.999 < seeded.Seeded(0).uniform("x", (1,)).item() < 1
