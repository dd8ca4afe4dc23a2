"""Intervals cover, and smallest differences are shown, as often as they say, in simulation."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from gpuprof.analysis import effect
from gpuprof.analysis.effect import Effect
from gpuprof.analysis.levels import Sample
from support.scatter import MACHINE_SD, PROCESS_SD, processes, sample, without_days

# ---- one ratio


def coverage(pairs: int, ratio_of: object) -> float:
    hits = 0
    for index in range(pairs):
        found, truth = ratio_of(index)
        hits += found.ci95[0] <= truth <= found.ci95[1]
    return hits / pairs


@pytest.mark.parametrize("count", [3, 5, 10])
def test_ratio_intervals_cover_95_percent(count):
    rng = random.Random(1000 + count)

    def one(_: int) -> tuple[Effect, float]:
        return without_days([sample(processes(rng, count))], [sample(processes(rng, count, math.log(1.2)))]), 1.2

    assert 0.93 <= coverage(1500, one) <= 0.98


@pytest.mark.parametrize("counts", [(3, 10), (5, 3)])
def test_sides_of_unlike_size_and_scatter_are_covered_too(counts):
    rng = random.Random(sum(counts))

    def one(_: int) -> tuple[Effect, float]:
        wide = [rng.gauss(0, 3 * PROCESS_SD) for _ in range(counts[1])]
        return without_days([sample(processes(rng, counts[0]))], [sample(wide)]), 1.0

    assert 0.93 <= coverage(1500, one) <= 0.98


def test_outliers_cost_width_and_not_coverage():
    rng = random.Random(77)

    def one(_: int) -> tuple[Effect, float]:
        sides = [sample(processes(rng, 5, outliers=True)) for _ in range(2)]
        return without_days([sides[0]], [sides[1]]), 1.0

    assert coverage(1500, one) >= 0.93


@pytest.mark.parametrize("count", [5, 10])
def test_pairs_cover_and_are_narrower_where_the_machine_drifts(count):
    """A random walk of 1% a process, which both processes of a pair share but for what happens between them."""
    rng = random.Random(300 + count)
    widths: dict[str, list[float]] = {"paired": [], "unpaired": []}

    def one(_: int) -> tuple[Effect, float]:
        drift, sides = 0.0, ([], [])
        for _ in range(count):
            drift += rng.gauss(0, 0.01)
            for logs in sides:
                logs.append(drift + rng.gauss(0, PROCESS_SD / 2))
        found = effect.paired([sample([b - a for a, b in zip(*sides, strict=True)])])
        other = without_days([sample(sides[0])], [sample(sides[1])])
        for name, interval in (("paired", found.ci95), ("unpaired", other.ci95)):
            widths[name].append(interval[1] - interval[0])
        return found, 1.0

    assert 0.93 <= coverage(1500, one) <= 0.97
    assert statistics.median(widths["paired"]) < 0.7 * statistics.median(widths["unpaired"])


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 5, 10])
def test_one_machine_a_side_covers_the_ratio_of_the_models_where_machines_scatter(count):
    """How much machines of a model scatter is uncertain: drawn around the figure, with its degrees of freedom."""
    rng = random.Random(500 + count)
    bare = 0

    def one(_: int) -> tuple[Effect, float]:
        nonlocal bare
        chi_square = rng.gammavariate(effect.MACHINE_FREEDOM / 2, 2)
        sd = MACHINE_SD * math.sqrt(effect.MACHINE_FREEDOM / chi_square)
        logs = [sample(processes(rng, count, rng.gauss(0, sd)), machine) for machine in ("a", "b")]
        narrow = without_days([logs[0]], [logs[1]], machine_spread=0.0).ci95
        bare += narrow[0] <= 1 <= narrow[1]
        return without_days([logs[0]], [logs[1]], machine_spread=MACHINE_SD), 1.0

    assert 0.93 <= coverage(1500, one) <= 0.98
    assert bare / 1500 < 0.85, "without the machines' spread the interval claims too much"


@pytest.mark.parametrize("machines", [3, 5])
def test_several_machines_a_side_cover_the_ratio_of_the_models(machines):
    rng = random.Random(600 + machines)

    def one(_: int) -> tuple[Effect, float]:
        sides = [
            [sample(processes(rng, 5, rng.gauss(0, MACHINE_SD)), f"{name}{i}") for i in range(machines)]
            for name in "ab"
        ]
        found = without_days(*sides)
        assert (found.unit, found.baseline_units, found.spread) == ("machine", machines, 0)
        return found, 1.0

    assert 0.93 <= coverage(1500, one) <= 0.985


@pytest.mark.parametrize("count", [3, 5, 10])
def test_a_difference_as_large_as_the_mde_that_is_printed_is_mostly_shown(count):
    """The middle one of those that reports print, which each make theirs of the scatter that they saw."""
    rng = random.Random(700 + count)

    def one(shift: float) -> Effect:
        return without_days([sample(processes(rng, count))], [sample(processes(rng, count, shift))])

    mde = statistics.median(math.log1p(one(0.0).mde(effect.LEVEL)) for _ in range(500))
    shown = sum(one(mde).p < effect.LEVEL for _ in range(1500)) / 1500
    assert 0.75 <= shown <= 0.90


# ---- a whole


@pytest.mark.slow
@pytest.mark.parametrize("machines", [1, 3])
def test_a_whole_over_workloads_covers_although_they_share_their_machines(machines):
    """A machine that is slow is slow in every workload, so that more workloads tell nothing more of the model."""
    rng = random.Random(800 + machines)

    def one(_: int) -> tuple[Effect, float]:
        found = []
        ids = [[f"{name}{i}" for i in range(machines)] for name in "ab"]
        speed = {machine: rng.gauss(0, MACHINE_SD) for names in ids for machine in names}
        for _ in range(4):
            sides = [[sample(processes(rng, 3, speed[m]), m) for m in names] for names in ids]
            found.append((without_days(*sides, machine_spread=MACHINE_SD), 0.25))
        return effect.together(found), 1.0

    assert coverage(1000, one) >= 0.93


# ---- the runs' days


@pytest.mark.parametrize("runs", [1, 2])
def test_runs_that_did_not_take_turns_are_covered_although_each_has_a_day_of_its_own(runs):
    """Two settings of one machine, one after the other: without the spread that is added, days are differences."""
    rng = random.Random(77 + runs)

    def side() -> list[Sample]:
        days = [rng.gauss(0, 0.01) for _ in range(runs)]
        return [sample([day + rng.gauss(0, 0.003) for _ in range(5)]) for day in days]

    sides = [(side(), side()) for _ in range(1500)]
    covered = [effect.compare(*both).ci95 for both in sides]
    bare = [without_days(*both).ci95 for both in sides]
    assert sum(low <= 1 <= high for low, high in covered) / 1500 >= 0.93
    assert sum(low <= 1 <= high for low, high in bare) / 1500 < 0.7


def test_runs_of_a_day_are_the_same_in_every_case_of_a_whole():
    """Five cases of three runs a side: the runs' days do not average out over the cases."""
    rng = random.Random(99)
    hits = 0
    for _ in range(400):
        days = [[rng.gauss(0, 0.01) for _ in range(3)] for _ in range(2)]
        parts = [
            effect.compare(*([sample([day + rng.gauss(0, 0.003) for _ in range(5)]) for day in one] for one in days))
            for _ in range(5)
        ]
        low, high = effect.together([(part, 0.2) for part in parts]).ci95
        hits += low <= 1 <= high
    assert hits / 400 >= 0.93
