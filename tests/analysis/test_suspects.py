"""What changed with a step is named."""

from __future__ import annotations

import pytest

from gpuprof.analysis.history import regressions
from gpuprof.report.stories.history import regression
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


def test_a_slower_machine_is_told_from_slower_software():
    slower = followed(*stepped(20, 8, was={"copy_s": 0.0015}, copy_s=0.0017))
    (change,) = slower[0].changes
    assert {s.name: (s.before, s.after) for s in change.suspects}["the machine itself: a fixed copy"] == (
        "1.503 ms", "1.703 ms",
    )  # fmt: skip
    (worse,) = regressions(slower)
    assert not worse.same_machine
    (software,) = regressions(followed(*stepped(20, 8, was={"copy_s": 0.0015}, copy_s=0.0015)))
    assert software.same_machine
    assert "the machine itself was as fast as before" in regression(software)
    (unknown,) = regressions(followed(*stepped(20, 8)))
    assert not unknown.same_machine
