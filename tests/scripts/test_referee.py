"""Five cells of the referee's list, with fewer comparisons than its own."""

from __future__ import annotations

import itertools
import sys

import pytest

from support.running import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import referee

pytestmark = pytest.mark.slow


def test_the_list_covers_every_pair_of_conditions_and_few_cells_stand_apart():
    cells = [text.split() for text in referee.CELLS]
    assert len(cells) <= 160
    assert len(set(referee.CELLS)) == len(cells)
    values = [set(column) for column in zip(*cells, strict=True)]
    assert [len(column) for column in values] == [4, 3, 3, 3, 3, 3, 2, 2, 2]
    for i, j in itertools.combinations(range(len(values)), 2):
        assert {(cell[i], cell[j]) for cell in cells} == set(itertools.product(values[i], values[j]))
    assert sum(referee.Cell.of(text).apart for text in referee.CELLS) <= len(cells) / 4


@pytest.mark.parametrize(
    "text",
    [
        "0.3 5 1 1 same 5 even alone normal",
        "1 5 2 1 1 5 even beside normal",
        "10 3 1 0 same 5 odd beside normal",
        "3 5 5 2 same 1 even alone heavy",
        "1 3 1 0 3 5 odd alone heavy",
    ],
)
def test_equal_sides_seldom_get_a_verdict(text):
    cell, wrong, held, cases_held = referee.judge(referee.Cell.of(text), 250)
    assert not cell.apart
    # Two standard errors of 250 comparisons beside the referee's own 6% and 93%.
    assert wrong <= 0.09
    assert held >= 0.90
    assert cases_held >= 0.90


@pytest.mark.parametrize("growing", [["1", "2", "3", "5"]])
def test_more_runs_never_find_less(growing):
    """With 200 comparisons a share is sure to some 3%; scripts/bench/power.py asks for more, also of machines."""
    found = []
    for runs in growing:
        cell = referee.Cell.of(f"1 5 {runs} 1 same 5 even alone normal")
        rng = referee.np.random.default_rng(3)
        sides = ((referee.side(rng, cell, "b"), referee.side(rng, cell, "c", 0.05)) for _ in range(200))
        found.append(sum(referee.compared(*both)[0].verdict == "faster" for both in sides) / 200)
    assert all(more >= fewer - 0.06 for fewer, more in itertools.pairwise(found))
    assert found[-1] > 0.95
