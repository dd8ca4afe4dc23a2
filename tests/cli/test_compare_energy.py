"""Ratios of joules with their whole uncertainty, on record files through the command."""

from __future__ import annotations

import random

import pytest

from support import rivals
from support.rivals import document
from support.running import gpuprof

pytestmark = pytest.mark.slow
ENERGY = "energy_j_per_sample"


def joules(mean: float, seed: int, n: int = 5) -> list[float]:
    rng = random.Random(seed)
    return [mean * (1 + rng.gauss(0, 0.002)) for _ in range(n)]


def sides(tmp_path, sensors=({}, {}), candidate=None, *, cards=("one", "two")):
    """Two cards, the second with half of the joules."""
    for position, (name, mean) in enumerate((("b", 2.0), ("c", 1.0))):
        energies = candidate if position and candidate is not None else joules(mean, position)
        rivals.run(tmp_path / name, 30 * position, {"cnn": joules(100, 9 + position)}, joules=energies,
                   sensor=sensors[position], device=("H100", "MI300X")[position], card=cards[position])  # fmt: skip
    return tmp_path / "b", tmp_path / "c"


def energy(found):
    (case,) = found["cases"]
    return case["metrics"][ENERGY]


def told(b, c):
    return " ".join(gpuprof("compare", b, c, "-v").out.split())


def width(interval):
    return interval[1] / interval[0]


def test_the_interval_of_a_ratio_holds_both_sensors(tmp_path):
    b, c = sides(tmp_path)
    found = energy(document(b, c))
    assert found["ratio"] == pytest.approx(0.5, rel=0.01)
    # 1.96 times the root of two gains of 5% on either side, and some scatter.
    assert width(found["ratio_ci95"]) == pytest.approx(1.32, abs=0.06)
    assert width(found["ratio_scatter_ci95"]) < 1.15
    assert width(found["baseline"]["ci95"]) > 1.2
    text = told(b, c)
    assert "intervals include the sensors' gain errors, which more runs do not reduce" in text
    assert "sensor gain ± 5% (one standard deviation)" in text


def test_a_gain_that_nobody_published_counts_as_5_percent_and_is_named(tmp_path):
    b, c = sides(tmp_path, ({"gain_error": 0.0}, {"gain_error": None}))
    assert width(energy(document(b, c))["ratio_ci95"]) == pytest.approx(1.22, abs=0.06)
    assert "± 5% (one standard deviation, assumed: nobody has published a comparison with a meter)" in told(b, c)


def test_the_same_sensor_on_both_sides_cancels_out(tmp_path):
    b, c = sides(tmp_path, cards=("one", "one"))
    found = energy(document(b, c))
    assert found["ratio_ci95"] == found["ratio_scatter_ci95"]
    assert "the same sensors on both sides, so their gain errors cancel out" in told(b, c)


def test_a_sensor_that_partitions_share_gives_no_ratio(tmp_path):
    b, c = sides(tmp_path, ({}, {"shared_by": 8}))
    found = energy(document(b, c))
    assert (found["ratio"], found["candidate"]["value"]) == (None, None)
    assert found["candidate"]["absent"] == "its sensor measures 8 devices or partitions together"
    assert "Energy is not compared: its sensor measures 8 devices or partitions together." in told(b, c)


def test_a_sensor_that_unseen_partitions_share_gives_no_ratio(tmp_path):
    b, c = sides(tmp_path, ({}, {"shared_by": None}))
    found = energy(document(b, c))
    assert (found["ratio"], found["candidate"]["value"]) == (None, None)
    assert found["candidate"]["absent"] == "its sensor measures an unknown number of devices or partitions together"
    assert "sensor shared by 1 an unknown number" in told(b, c)


def test_a_process_without_energy_drops_out_and_not_the_whole(tmp_path):
    b, c = sides(tmp_path, candidate=[1.0, None, 1.002, 0.998, 1.001])
    found = energy(document(b, c))
    assert found["ratio_ci95"][0] < 0.5 < found["ratio_ci95"][1]
    assert found["candidate"]["units"] == 4
    nothing = energy(document(*sides(tmp_path / "none", candidate=[None] * 5)))
    assert nothing["candidate"]["absent"] == "the counter stood still"


def test_samples_per_joule_have_an_interval(tmp_path):
    done = gpuprof("compare", *sides(tmp_path), "--format", "md")
    (row,) = [line for line in done.out.splitlines() if line.startswith("| samples per joule")]
    cells = [cell.strip() for cell in row.split("|")]
    assert any(cell.startswith("0.5") and "–" in cell for cell in cells), row
