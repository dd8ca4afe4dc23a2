"""What the store knows of a machine's days makes a single run of it say more, or less: through the command."""

from __future__ import annotations

import random

import pytest

from support import rivals
from support.rivals import document
from support.running import gpuprof

pytestmark = pytest.mark.slow
NIGHTS = 16
SIDES = ("rival-00000032", "rival-00000033")  # the runs 50 and 51


def filled(store, day_sd: float, *, nights: int = NIGHTS, card: str = "card 1", new_torch: bool = False):
    """Nights (a minute apart) that scatter by `day_sd`, then two runs of a card, the second 3% faster."""
    rng = random.Random(4)

    def publish(number, mean, card, torch="2.9.0"):
        cases = {w: [mean * (1 + rng.gauss(0, 0.001)) for _ in range(5)] for w in ("cnn", "lstm")}
        rivals.run(store, number, cases, device="H100", card=card, torch=torch)

    for number in range(nights):
        torch = f"2.{number}.0" if new_torch else "2.9.0"
        publish(number, 100 * (1 + rng.gauss(0, day_sd)), card, torch)
    publish(50, 100, "card 1")
    publish(51, 103, "card 1")
    return store


def compared(store):
    return document(*SIDES, "--store", store)


def test_a_machine_known_to_be_quiet_needs_fewer_runs(tmp_path):
    unknown = compared(filled(tmp_path / "none", 0.0, nights=0))
    assert unknown["overall"]["verdict"] == "no difference shown"
    assert unknown["baseline"]["earlier_runs"] == 0
    quiet = compared(filled(tmp_path / "quiet", 0.001))
    assert {claim["verdict"] for claim in (quiet["overall"], *quiet["claims"])} == {"faster"}
    assert [quiet[side]["earlier_runs"] for side in ("baseline", "candidate")] == [NIGHTS, NIGHTS]
    text = " ".join(gpuprof("compare", *SIDES, "--store", tmp_path / "quiet", "-v").out.split())
    assert "For the days, 16 other runs of these machines in the store counted as well." in text


def test_a_machine_known_to_be_restless_needs_more(tmp_path):
    known, unknown = (compared(filled(tmp_path / str(nights), 0.05, nights=nights)) for nights in (NIGHTS, 0))
    assert known["overall"]["spread"] > 3 * unknown["overall"]["spread"]


@pytest.mark.parametrize(
    "unlike", [{"card": "card 2"}, {"new_torch": True}], ids=["another card", "new software in each run"]
)
def test_runs_that_are_unlike_tell_nothing(tmp_path, unlike):
    known, unknown = (compared(filled(tmp_path / str(n), 0.05, nights=n, **unlike)) for n in (NIGHTS, 0))
    assert known["overall"]["spread"] == unknown["overall"]["spread"]
    assert known["baseline"]["earlier_runs"] == 0


def test_runs_closer_together_than_the_sides_tell_nothing(tmp_path):
    """Twelve within a minute do not say what an hour does."""
    filled(tmp_path, 0.001, nights=12)
    rivals.run(tmp_path, 112, {w: [100, 100.1, 99.9] for w in ("cnn", "lstm")}, device="H100", card="card 1")
    near, far = compared(tmp_path), document(SIDES[0], "rival-00000070", "--store", tmp_path)
    assert near["baseline"]["earlier_runs"] == 13
    assert far["overall"]["spread"] > 1.5 * near["overall"]["spread"]


def test_a_side_that_shows_its_own_days_needs_no_past(tmp_path):
    filled(tmp_path, 0.001)
    found = document("run~0000000", "run~000003", "--store", tmp_path)
    assert found["candidate"]["machines"] == 1
    assert found["overall"]["spread"] == pytest.approx(0, abs=0.02)
