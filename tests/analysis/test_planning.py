"""What plans offer, and do not; tests/scripts/test_plans.py tries their numbers."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gpuprof.analysis import compare as analysis
from gpuprof.analysis.effect import Error, usual
from support.sides import case, one, run, side


def scattered(rng, sd, level=0.0, count=6):
    return case([100 * math.exp(level + rng.gauss(0, sd)) for _ in range(count)])


def test_where_machines_are_the_unit_more_runs_are_no_plan():
    rng = random.Random(1)
    sides = [side(*(run(scattered(rng, 0.001, level), machine=f"{name}{level}") for level in (0.05, -0.05, 0.0)))
             for name in "bc"]  # fmt: skip
    found = analysis.compare(*sides)
    assert found.overall.unit == "machine"
    assert {plan.what for plan in found.plans} == {"machines"}


def test_a_plan_asks_for_more_than_there_are():
    for seed in range(60):
        rng = random.Random(seed)
        found = analysis.compare(*(one(scattered(rng, 0.03)) for _ in "bc"), least=0.07)
        if (found.overall.mde or 0.0) > found.least:
            assert all(plan.needed is None or plan.needed > plan.now for plan in found.plans)


def test_what_the_machine_changed_is_part_of_every_plan_with_the_same_runs():
    def sides(product):
        times = [product, product * 1.001, product * 0.999]
        processes = {"throughput_per_s": [100.0, 108.0, 93.0], "yardstick_product_s": times}
        return one(case(processes=processes, values={"throughput_per_s": 100.0, "yardstick_product_s": product}))

    found = analysis.compare(sides(1.0), sides(1.06), least=0.15)
    assert found.overall.shift == pytest.approx(0.06, abs=0.001)
    (plan,) = (plan for plan in found.plans if plan.what == "processes")
    effect, times = found.overall.effect, plan.needed / plan.now
    freedom = effect.measured.freedom * times
    then = replace(effect, measured=Error(effect.measured.se * usual(freedom) / math.sqrt(times), freedom))
    assert then.mde(0.05) == pytest.approx(0.15, abs=0.005)
