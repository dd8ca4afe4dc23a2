"""Seeded values, the same for ever."""

from __future__ import annotations

import pytest


def test_seeded_values_never_change():
    from gpuprof.worker import seeded

    assert seeded.uniform(0, "x", (3,)).tolist() == pytest.approx([0.0900267437, 0.7862064242, 0.2394056767])
