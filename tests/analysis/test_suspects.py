"""What changed with a step is named."""

from __future__ import annotations

import pytest

from support.nights import followed, stepped


def test_a_step_has_its_levels_direction_and_what_changed_with_it():
    (series,) = followed(*stepped(20, 8, driver="6.2", torch="2.16.0"))
    (change,) = series.changes
    assert abs(change.position - 20) <= 1
    assert change.worse
    assert change.ratio == pytest.approx(0.9, rel=0.02)
    assert {(s.name, s.before, s.after) for s in change.suspects} == {
        ("kernel", "1", "6.2"), ("PyTorch", "2.15.0", "2.16.0"),
    }  # fmt: skip
    (slower,) = followed(*stepped(20, 8, ratio=1.2), metric="throughput_total_per_s")
    assert not slower.changes[0].worse
    assert slower.changes[0].suspects == ()
