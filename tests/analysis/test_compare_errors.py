"""Whole comparisons are wrong as seldom as they say, in simulation."""

from __future__ import annotations

import math
import random

import pytest

from gpuprof.analysis.compare import compare
from support.scatter import MACHINE_SD, processes
from support.sides import case, run, side

WORK = ({"workload": "lstm"}, {"workload": "gru"}, {"workload": "cnn", "batch_size": 8}, {"workload": "cnn"})


def device(rng: random.Random, machine: str, count: int = 5, *, factor: float = 1.0, **noise_of) -> object:
    """One run of four cases on one device."""
    cases = [
        case([1000 * factor * math.exp(log) for log in processes(rng, count, **noise_of)],
             latency=[2e-3 / factor * math.exp(log) for log in processes(rng, count, **noise_of)], **work)
        for work in WORK
    ]  # fmt: skip
    return side(run(*cases, machine=machine))


def verdicts(found) -> list[str]:
    return [claim.verdict for claim in (*found.claims, found.overall)]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "machines", "reports"), [(5, "aa", 1000), (3, "aa", 300), (5, "ab", 150)])
def test_identical_devices_get_a_verdict_in_5_percent_of_the_reports_at_most(count, machines, reports):
    """Ten claims a report: throughput and latency of four cases, the best batch of a sweep, and the whole."""
    rng = random.Random(10 * count)
    wrong = 0
    for _ in range(reports):
        found = compare(*(device(rng, machine, count) for machine in machines))
        assert len(verdicts(found)) == 10
        wrong += set(verdicts(found)) != {"no difference shown"}
    assert wrong / reports <= 0.05


def test_outliers_give_identical_devices_no_verdicts_either():
    rng = random.Random(31)
    reports = [compare(device(rng, "a", outliers=True), device(rng, "a", outliers=True)) for _ in range(150)]
    assert sum(set(verdicts(found)) != {"no difference shown"} for found in reports) / 150 <= 0.05


def test_machines_of_one_model_get_no_verdict_over_their_machines():
    """Three machines a side, each with a speed of its own in all its work."""
    rng = random.Random(41)
    wrong = 0
    for _ in range(150):
        sides = []
        for name in "ab":
            runs = []
            for i in range(3):
                speed = rng.gauss(0, MACHINE_SD)
                cases = [
                    case(
                        [math.exp(log) for log in processes(rng, 3, speed)],
                        latency=[math.exp(-log) for log in processes(rng, 3, speed)],
                        **work,
                    )
                    for work in WORK
                ]
                runs.append(run(*cases, machine=f"{name}{i}"))
            sides.append(side(*runs))
        wrong += set(verdicts(compare(*sides))) != {"no difference shown"}
    assert wrong / 150 <= 0.08  # the rate itself is 6% at most


def test_a_real_difference_is_found_in_every_claim():
    rng = random.Random(51)
    for factor, word in ((1.2, "faster"), (1 / 1.2, "slower")):
        found = compare(device(rng, "a"), device(rng, "b", factor=factor))
        assert set(verdicts(found)) == {word}
        assert found.overall.ratio == pytest.approx(factor, rel=0.03)
