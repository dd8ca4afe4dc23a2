"""Ratios, their intervals and several of them at once: by hand, and against scipy."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpuprof.analysis import effect
from gpuprof.analysis.levels import Scatter, level
from support.scatter import of, sample, without_days

# ---- by hand, and against scipy


def test_the_ratio_is_welch():
    a, b = [10.1, 10.4, 9.9, 10.2], [8.0, 8.4, 8.1]
    found = without_days([of(*a)], [of(*b)])
    expected = scipy.stats.ttest_ind([math.log(v) for v in b], [math.log(v) for v in a], equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.ratio == pytest.approx(scipy.stats.gmean(b) / scipy.stats.gmean(a))
    # Welch's, but for the degrees of freedom, which are fewer: what was seen may be too little.
    assert found.measured.se == pytest.approx((high - low) / 2 / scipy.stats.t.ppf(0.975, expected.df))
    assert found.measured.freedom < expected.df
    size, (se, freedom) = abs(math.log(found.ratio)), found.measured
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(size / se, freedom))
    assert (found.unit, found.baseline_units, found.candidate_units, found.spread) == ("process", 4, 3, 0)
    half = scipy.stats.t.ppf(0.975, freedom) * se
    assert found.ci95 == pytest.approx((found.ratio * math.exp(-half), found.ratio * math.exp(half)))


@pytest.mark.parametrize("freedom", [2, 3, 4, 9, 20])
def test_how_much_more_a_variance_may_be(freedom):
    assert effect._may_be(freedom) == pytest.approx(freedom / scipy.stats.chi2.ppf(0.3, freedom), rel=0.03)


def test_pairs_are_the_paired_t_test():
    logs = [0.011, 0.018, 0.004, 0.013, 0.009]
    found = effect.paired([sample(logs)])
    expected = scipy.stats.ttest_1samp(logs, 0)
    low, high = expected.confidence_interval(0.95)
    assert found.ci95 == pytest.approx((math.exp(low), math.exp(high)))
    assert found.p == pytest.approx(expected.pvalue)


def test_one_process_has_a_ratio_and_no_interval():
    for found in (without_days([of(3.0)], [of(2.0, 2.1)]), without_days([of(3.0, 3.1)], [of(2.0)])):
        assert found.ratio == pytest.approx(2 / 3, rel=0.03)
        assert (found.ci95, found.mde(0.05), found.p) == (None, None, None)
    assert effect.paired([sample([0.1])]).ci95 is None
    assert effect.paired([sample([0.1])]).ratio == pytest.approx(math.exp(0.1))


def test_two_processes_are_too_few_for_a_verdict_and_two_runs_of_many_are_not():
    assert not without_days([of(3.0, 3.1, 3.2)], [of(2.0, 2.1)]).enough
    assert without_days([of(3.0, 3.1)] * 2, [of(2.0, 2.1)] * 2).enough
    assert without_days([of(3.0)] * 3, [of(2.0)] * 3).enough
    for sides in (([of(3.0, 3.1)], [of(2.0)] * 3), ([of(3.0)] * 3, [of(2.0, 2.1)])):
        assert not without_days(*sides).enough, "two processes, on whichever side"


def test_the_mde_is_that_of_the_method():
    """(t.975 + t.80) s sqrt(2/n): with s = 1%, 2.0% at five processes a side and 1.3% at ten."""
    for n, expected in ((5, 0.020), (10, 0.013)):
        logs = statistics.NormalDist(0, 0.01).samples(n, seed=1)
        scale = 0.01 / statistics.stdev(logs)
        logs = [log * scale for log in logs]
        assert without_days([sample(logs)], [sample(logs)]).mde(0.05) == pytest.approx(expected, abs=0.002)


def test_swapping_the_sides_inverts_the_ratio():
    one, other = [of(10.1, 10.4, 9.9, machine="a")], [of(8.0, 8.4, 8.1, 8.3, machine="b")]
    there, back = without_days(one, other), without_days(other, one)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.ci95[0] * back.ci95[1] == pytest.approx(1)
    assert there.p == pytest.approx(back.p)
    assert there.mde(0.05) == pytest.approx(back.mde(0.05))


@given(
    st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=8), st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=8),
    st.floats(1e-3, 1e3),
)  # fmt: skip
def test_the_unit_of_a_metric_does_not_matter(a, b, factor):
    here = without_days([of(*a)], [of(*b)])
    there = without_days([of(*(v * factor for v in a))], [of(*(v * factor for v in b))])
    assert there.ratio == pytest.approx(here.ratio, rel=1e-6)
    assert there.p == pytest.approx(here.p, abs=1e-6)
    assert here.ci95[0] <= here.ratio * (1 + 1e-9)
    assert here.ratio <= here.ci95[1] * (1 + 1e-9)


def test_equal_values_show_no_difference_however_many_they_are():
    """Without scatter there is rounding, and rounding is no finding."""
    rng = random.Random(2)
    for _ in range(300):
        value = rng.uniform(1, 5000)
        found = without_days([of(*[value] * rng.randint(2, 9))], [of(*[value] * rng.randint(2, 9))])
        assert found.p > 0.05
    assert without_days([of(2.0, 2.0)], [of(3.0, 3.0)]).p == 0


@pytest.mark.parametrize("wild", [[1e-300, 1e300], [1e-300, 1.0, 1e300]])
def test_absurd_values_from_a_damaged_record_break_nothing(wild):
    found = without_days([of(*wild)], [of(*wild)])
    assert all(map(math.isfinite, (found.ratio, *found.ci95, found.mde(0.05), found.p)))
    assert all(map(math.isfinite, level([of(*wild)]).interval()))
    assert math.isfinite(without_days([of(1e-300, 1.1e-300)], [of(1e300, 1.1e300)]).ratio)
    assert math.isfinite(effect.paired([sample([-700.0, 700.0])]).mde(0.05))


# ---- the machines' spread


def test_machine_spread_is_added_for_each_side_that_is_one_machine_of_its_own():
    a, b = of(10.0, 10.1, machine="a"), of(10.2, 10.3, machine="b")
    c = of(10.1, 10.2, machine="c")
    assert without_days([a], [a]).spread == 0
    assert without_days([a], [b]).spread == pytest.approx(0.015 * math.sqrt(2))
    # Two machines are too few to make the round figure smaller, and enough to make it larger.
    assert without_days([a], [b, c]).spread == pytest.approx(0.015 * math.sqrt(1.5))
    d = of(14.2, 14.3, machine="d")
    shown = (math.log(10.25) - math.log(14.25)) ** 2 / 2
    assert without_days([a], [b, d]).spread == pytest.approx(math.sqrt((4 * 0.015**2 + shown) / 5 * 1.5), rel=0.01)
    three = [of(value, machine=name) for name, value in (("d", 10.0), ("e", 10.2), ("f", 10.1))]
    assert without_days([a], three).spread < without_days([a], [b]).spread
    assert without_days([a, b, c], three).spread == 0
    assert without_days([a], [b], machine_spread=0.0).spread == 0
    bare, added = without_days([a], [b], machine_spread=0.0), without_days([a], [b])
    assert added.ci95[0] < bare.ci95[0] < bare.ci95[1] < added.ci95[1]
    assert added.mde(0.05) > bare.mde(0.05)


# ---- several claims


def test_holm_by_hand():
    assert effect.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert effect.holm([0.9, 0.8]) == [1.0, 1.0]
    assert effect.holm([0.02]) == [0.02]
    assert effect.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_makes_a_claim_surer(ps):
    adjusted = effect.holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert all(
        a <= b for (p, a) in zip(ps, adjusted, strict=True) for (q, b) in zip(ps, adjusted, strict=True) if p < q
    )
    if ps:
        assert min(adjusted) == pytest.approx(min(1, min(ps) * len(ps)))


def test_one_case_alone_is_the_whole():
    """Also where machines' spread was added: the freedom of what was estimated must not grow on the way."""
    for machine in ("m", "n"):
        found = without_days([of(100, 102, 99)], [of(110, 109, 113, machine=machine)])
        whole = effect.together([(found, 1.0)])
        assert (whole.ratio, whole.mde(0.05), whole.p) == pytest.approx((found.ratio, found.mde(0.05), found.p))
        assert whole.ci95 == pytest.approx(found.ci95)


def test_the_freedom_of_a_whole_is_that_of_its_parts():
    """Two equal cases with machines' spread: by hand. Processes average out, machines do not."""
    one = without_days([of(100, 103, 99)], [of(110, 109, 113, machine="n")])
    whole = effect.together([(one, 0.5), (one, 0.5)])
    b, c = (level([of(*v)]) for v in ((100, 103, 99), (110, 109, 113)))
    assert whole.ratio == pytest.approx(one.ratio)
    assert whole.measured.se == pytest.approx(math.sqrt((b.variance + c.variance) / 2))
    assert whole.measured.freedom == pytest.approx(2 * one.measured.freedom)
    assert whole.added == pytest.approx((0.015 * math.sqrt(2), 4))


def test_errors_are_joined_by_their_own_quantiles():
    """Two processes a side and a known spread of the same size: the spread lends the scatter no certainty."""
    found = effect.Effect(0.0, "process", 2, 2, effect.Error(0.01, 2), effect.Error(0.01))
    t2, z = scipy.stats.t.ppf(0.975, 2), scipy.stats.norm.ppf(0.975)
    assert found.half(0.05) == pytest.approx(0.01 * math.hypot(t2, z), rel=1e-5)


@given(
    st.floats(1e-4, 2.0), st.floats(1e-4, 0.3), st.floats(1, 60), st.floats(1e-4, 0.3), st.floats(1, 1e6),
)  # fmt: skip
def test_p_is_the_level_whose_interval_just_reaches_one(size, se, freedom, added, its_freedom):
    found = effect.Effect(size, "process", 5, 5, effect.Error(se, freedom), effect.Error(added, its_freedom))
    if 1e-11 < found.p < 0.9:
        low, high = found.interval(found.p)
        assert math.log(low) == pytest.approx(0, abs=1e-5 * size)
        assert math.log(high) == pytest.approx(2 * size, rel=1e-5)


def test_a_whole_is_a_geometric_mean_with_weights():
    faster, slower = (without_days([of(100, 101)], [of(100 * f, 101 * f)]) for f in (4.0, 0.5))
    assert effect.together([(faster, 0.5), (slower, 0.5)]).ratio == pytest.approx(math.sqrt(2))
    assert effect.together([(faster, 0.75), (slower, 0.25)]).ratio == pytest.approx(4**0.75 * 0.5**0.25)


def test_a_whole_is_surer_than_its_parts_but_for_the_machines():
    here = without_days([of(100, 103, 99)], [of(110, 109, 113)])
    whole = effect.together([(here, 0.25)] * 4)
    assert whole.measured.se == pytest.approx(here.measured.se / 2)
    there = without_days([of(100, 103, 99)], [of(110, 109, 113, machine="n")])
    assert effect.together([(there, 0.25)] * 4).spread == pytest.approx(there.spread)


def test_a_whole_with_a_part_without_spread_has_no_interval():
    whole = effect.together([(without_days([of(1)], [of(2)]), 0.5), (without_days([of(1, 2)], [of(2, 3)]), 0.5)])
    assert whole.ci95 is None
    assert whole.ratio == pytest.approx(math.sqrt(2 * math.sqrt(6) / math.sqrt(2)))


def test_a_past_that_shows_what_was_assumed_makes_nothing_surer():
    """One pair of earlier runs that differ as the round figure says: the interval stays as wide."""
    sides = [level([of(100.0, 101.0, 99.0, machine=name)]) for name in "bc"]
    alone = effect.between(*sides).half(0.05)
    said = Scatter(effect.RUN_SPREAD**2 * 2 / 3, 2 / 3)
    for past in ((said, Scatter()), (said, said)):
        known = [replace(side, past=each) for side, each in zip(sides, past, strict=True)]
        assert effect.between(*known).half(0.05) >= 0.99 * alone
