"""The numbers that a plan names, tried: about 80% of comparisons of that size find the difference."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import replace

import numpy as np
import pytest

from gpuprof.analysis.pairing import Pair
from gpuprof.analysis.planning import plans
from support.running import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import referee

pytestmark = pytest.mark.slow


def planned(cell, what: str, least: float, draws: int = 15) -> int:
    """The median of what plans name, made from comparisons of this design."""
    rng = np.random.default_rng(1)
    named = []
    for _ in range(draws):
        sides = referee.side(rng, cell, "b"), referee.side(rng, cell, "c")
        overall, _claims = referee.compared(*sides)
        pairs = [Pair(b, c, (), ()) for b, c in zip(*sides, strict=True)]
        named += [plan.needed or 10**6 for plan in plans(overall, pairs, least) if plan.what == what]
    number = int(statistics.median(named))
    assert number <= 200
    return number


def found(cell, least: float, tries: int = 300) -> float:
    rng = np.random.default_rng(2)
    shown = 0
    for _ in range(tries):
        overall, _claims = referee.compared(
            referee.side(rng, cell, "b"), referee.side(rng, cell, "c", math.log1p(least))
        )
        shown += overall.verdict == "faster"
    return shown / tries


@pytest.mark.parametrize(
    ("text", "what", "least"),
    [
        ("1 5 1 1 same 1 even alone normal", "runs", 0.015),
        ("1 5 5 1 same 5 even beside normal", "runs", 0.01),
        ("10 5 1 1 same 1 even alone normal", "processes", 0.12),
        ("1 5 1 0 3 1 even alone normal", "machines", 0.02),
        ("3 5 2 1 1 1 even alone normal", "machines", 0.03),
    ],
)
def test_a_plan_finds_what_it_was_made_for(text, what, least):
    cell = referee.Cell.of(text)
    number = planned(cell, what, least)
    now = {"runs": "runs", "processes": "processes", "machines": "machines"}[what]
    value = str(number) if what == "machines" else number
    share = found(replace(cell, **{now: value}), least)
    # Three standard errors of 300 tries around 75 to 90%.
    assert 0.68 <= share <= 0.95, (number, share)


def test_no_number_of_processes_does_what_only_runs_can():
    cell = referee.Cell.of("1 5 1 1 same 1 even alone normal")
    rng = np.random.default_rng(1)
    sides = referee.side(rng, cell, "b"), referee.side(rng, cell, "c")
    overall, _claims = referee.compared(*sides)
    options = {plan.what: plan for plan in plans(overall, [Pair(sides[0][0], sides[1][0], (), ())], 0.02)}
    assert options["processes"].needed is None
    assert options["runs"].needed > 3
    assert options["turns"].needed >= 3
    assert "machines" not in options
