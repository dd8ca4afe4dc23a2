"""Claims and the levels at which they are tested: verdict and interval never contradict each other."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gpuprof.analysis import claims
from gpuprof.analysis.claims import LEFT, claim
from gpuprof.analysis.effect import LEVEL, Effect, Error, compare
from support.scatter import sample

METRIC = "throughput_per_s"


def effect(size: float, se: float = 0.01, units: int = 5) -> Effect:
    return Effect(size, "process", units, units, Error(se, 8.0))


def a_claim(found: Effect, view: str = "iso-batch", name: str = "w"):
    return claim(name, name, METRIC, view, found)


def test_the_overall_claim_is_tested_alone():
    whole = effect(0.025)
    for others in (0, 50):
        overall, _ = claims.tested(a_claim(whole, "all workloads"), [a_claim(effect(0.0)) for _ in range(others)])
        assert (overall.verdict, overall.level, overall.p_adjusted) == ("faster", LEVEL, whole.p)


def test_the_others_share_five_percent_where_the_whole_is_shown_and_one_where_it_is_not():
    parts = [a_claim(effect(size), name=str(size)) for size in (0.06, 0.04, 0.001)]
    for whole, share in ((0.1, LEVEL), (0.0, LEFT)):
        overall, judged = claims.tested(a_claim(effect(whole), "all workloads"), parts)
        assert (overall.verdict == "faster") is (share == LEVEL)
        shown = [c.verdict == "faster" for c in judged]
        assert shown == sorted(shown, reverse=True)
        left = len(parts) - sum(shown)
        assert [c.level for c in judged] == pytest.approx(
            [share / (len(parts) - i) for i in range(sum(shown))] + [share / left] * left
        )


def test_a_test_that_is_claimed_twice_counts_once():
    same = effect(0.05)
    overall, (first, second, other) = claims.tested(
        a_claim(same, "all workloads"), [a_claim(same), a_claim(same, "best-batch"), a_claim(effect(0.05, 0.02))]
    )
    assert first.p_adjusted == second.p_adjusted == overall.p_adjusted == same.p
    assert other.level == LEVEL


def test_what_cannot_be_tested_takes_nothing_from_the_others():
    few, none = effect(0.5, units=2), Effect(0.5, "process", 1, 1)
    overall, (first, second, third) = claims.tested(
        a_claim(none, "all workloads"), [a_claim(e) for e in (few, none, effect(0.05))]
    )
    assert (overall.verdict, first.verdict, second.verdict) == (None, None, None)
    assert "fewer than 3 processes" in first.reason
    assert first.interval == few.ci95
    assert second.interval is None
    assert (third.verdict, third.level) == ("faster", LEVEL)


def test_no_verdict_contradicts_its_interval():
    """Over 5,000 random comparisons of up to six cases, on one machine or two, with and without differences."""
    rng = random.Random(5)
    shown = 0
    for _ in range(5000):
        sd, shift, n = 10 ** rng.uniform(-3, -1), rng.choice([0, 0, 0.03, 0.3]), rng.randint(2, 8)
        machine = rng.choice("ab")
        effects = [
            compare(
                [sample([rng.gauss(0, sd) for _ in range(n)], "a") for _ in range(rng.choice([1, 1, 2, 4]))],
                [sample([rng.gauss(shift, sd * rng.uniform(0.3, 3)) for _ in range(n)], machine)],
            )
            for _ in range(rng.randint(2, 6))
        ]
        effects = [replace(e, shift=rng.choice([0, 0, 0.01, 0.1])) for e in effects]
        overall, judged = claims.tested(a_claim(effects[0], "all workloads"), [a_claim(e) for e in effects[1:]])
        for one in (overall, *judged):
            if one.verdict is None:
                continue
            low, high = one.interval
            says = "faster" if low > 1 else "slower" if high < 1 else "no difference shown"
            assert one.verdict == says
            assert low <= one.ratio <= high
            assert (one.p_adjusted < LEVEL) is (one.verdict != "no difference shown")
            shown += one.verdict != "no difference shown"
    assert shown > 500
