"""A machine that was slower for one side is no slower side: what the yardsticks say, through the command."""

from __future__ import annotations

import random

import pytest

from support import rivals
from support.rivals import document, told

pytestmark = pytest.mark.slow
WORK = ("cnn", "lstm")
QUIET = {"product_s": 0.005, "copy_s": 0.0015}
BUSY = {"product_s": 0.006, "copy_s": 0.0018}  # 20% slower


def stores(tmp_path, before=QUIET, after=BUSY, *, ratio=1 / 1.2, runs=1, cards=("one", "one"), then=None):
    """Two sides, the candidate `ratio` as fast, and the machine's yardsticks; `then` holds for the candidate."""
    rng = random.Random(1)
    for number in range(runs):
        for side, speed, seconds, card in (("b", 100, before, cards[0]), ("c", 100 * ratio, after, cards[1])):
            cases = {w: [speed * (1 + rng.gauss(0, 0.004)) for _ in range(5)] for w in WORK}
            more = (then or {}) if side == "c" else {}
            rivals.run(tmp_path / side, number + 30 * (side == "c"), cases, device="H100", card=card,
                       yardstick=seconds, **more)  # fmt: skip
    return tmp_path / "b", tmp_path / "c"


@pytest.mark.parametrize("runs", [1, 3])
def test_a_machine_that_was_slower_makes_no_side_slower(tmp_path, runs):
    b, c = stores(tmp_path, runs=runs)
    found = document(b, c)
    assert {claim["verdict"] for claim in found["claims"]} == {"no difference shown"}
    assert found["overall"]["verdict"] == "no difference shown"
    assert found["overall"]["shift"] == pytest.approx(0.2, abs=0.01)
    assert found["overall"]["interval"][0] < 0.72
    (row,) = [row for row in found["ledger"] if row["key"] == "yardstick"]
    assert row["weight"] == "weakens"
    assert "the machine itself was up to 20% slower for the candidate" in row["why"]
    assert row["baseline"] == "product 4.998 ms, copy 1.499 ms"
    first = told(b, c)
    assert "Weakened: the machine itself changed between the sides" in first


def test_more_than_the_machine_explains_is_still_found(tmp_path):
    assert document(*stores(tmp_path, ratio=0.5))["overall"]["verdict"] == "slower"


@pytest.mark.parametrize(
    "change",
    [{"after": QUIET}, {"before": None, "after": None}, {"after": None}, {"cards": ("one", "two")}],
    ids=["as fast as before", "never measured", "measured on one side", "another machine"],
)
def test_nothing_widens_where_the_machine_did_not_change(tmp_path, change):
    overall = document(*stores(tmp_path, **change))["overall"]
    assert (overall["verdict"], overall["shift"]) == ("slower", 0)


def test_of_another_torch_only_the_copy_is_the_machines(tmp_path):
    newer = {"torch": "2.10.0"}
    quick = document(*stores(tmp_path / "1", after=QUIET | {"product_s": 0.006}, then=newer))["overall"]
    assert (quick["verdict"], quick["shift"]) == ("slower", 0)
    slow = document(*stores(tmp_path / "2", then=newer))["overall"]
    assert slow["verdict"] == "no difference shown"


def test_a_machine_that_was_set_otherwise_is_no_surprise(tmp_path):
    """Other threads, on purpose: the yardstick has them too."""
    b, c = stores(tmp_path, then={"threads": 4})
    found = document(b, c)
    assert found["overall"]["verdict"] == "slower"
    assert "yardstick" not in {row["key"] for row in found["ledger"]}
