"""Ratios, their intervals and several of them at once: by hand, and against scipy."""

from __future__ import annotations

import math
import random
import statistics

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpuprof.analysis import effect
from gpuprof.analysis.levels import level
from support.scatter import of, sample, without_days

# ---- by hand, and against scipy


def test_the_ratio_is_welch():
    a, b = [10.1, 10.4, 9.9, 10.2], [8.0, 8.4, 8.1]
    found = without_days([of(*a)], [of(*b)])
    expected = scipy.stats.ttest_ind([math.log(v) for v in b], [math.log(v) for v in a], equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.ratio == pytest.approx(scipy.stats.gmean(b) / scipy.stats.gmean(a))
    assert found.ci95 == pytest.approx((math.exp(low), math.exp(high)))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.unit, found.baseline_units, found.candidate_units, found.spread) == ("process", 4, 3, 0)


def test_pairs_are_the_paired_t_test():
    logs = [0.011, 0.018, 0.004, 0.013, 0.009]
    found = effect.paired(logs)
    expected = scipy.stats.ttest_1samp(logs, 0)
    low, high = expected.confidence_interval(0.95)
    assert found.ci95 == pytest.approx((math.exp(low), math.exp(high)))
    assert found.p == pytest.approx(expected.pvalue)


def test_one_process_has_a_ratio_and_no_interval():
    for found in (without_days([of(3.0)], [of(2.0, 2.1)]), without_days([of(3.0, 3.1)], [of(2.0)])):
        assert found.ratio == pytest.approx(2 / 3, rel=0.03)
        assert (found.ci95, found.mde, found.p) == (None, None, None)
    assert effect.paired([0.1]).ci95 is None
    assert effect.paired([0.1]).ratio == pytest.approx(math.exp(0.1))


def test_the_mde_is_that_of_the_method():
    """(t.975 + t.80) s sqrt(2/n): with s = 1%, 2.0% at five processes a side and 1.3% at ten."""
    for n, expected in ((5, 0.020), (10, 0.013)):
        logs = statistics.NormalDist(0, 0.01).samples(n, seed=1)
        scale = 0.01 / statistics.stdev(logs)
        logs = [log * scale for log in logs]
        assert without_days([sample(logs)], [sample(logs)]).mde == pytest.approx(expected, abs=0.0006)


def test_swapping_the_sides_inverts_the_ratio():
    one, other = [of(10.1, 10.4, 9.9, machine="a")], [of(8.0, 8.4, 8.1, 8.3, machine="b")]
    there, back = without_days(one, other), without_days(other, one)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.ci95[0] * back.ci95[1] == pytest.approx(1)
    assert there.p == pytest.approx(back.p)
    assert there.mde == pytest.approx(back.mde)


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
    assert all(map(math.isfinite, (found.ratio, *found.ci95, found.mde, found.p)))
    assert all(map(math.isfinite, level([of(*wild)]).interval))
    assert math.isfinite(without_days([of(1e-300, 1.1e-300)], [of(1e300, 1.1e300)]).ratio)
    assert math.isfinite(effect.paired([-700.0, 700.0]).mde)


# ---- the machines' spread


def test_machine_spread_is_added_for_each_side_that_is_one_machine_of_its_own():
    a, b = of(10.0, 10.1, machine="a"), of(10.2, 10.3, machine="b")
    c = of(10.1, 10.2, machine="c")
    assert without_days([a], [a]).spread == 0
    assert without_days([a], [b]).spread == pytest.approx(0.015 * math.sqrt(2))
    assert without_days([a], [b, c]).spread == pytest.approx(0.015)
    assert without_days([a, b], [b, c]).spread == 0
    assert without_days([a], [b], machine_spread=0.0).spread == 0
    bare, added = without_days([a], [b], machine_spread=0.0), without_days([a], [b])
    assert added.ci95[0] < bare.ci95[0] < bare.ci95[1] < added.ci95[1]
    assert added.mde > bare.mde


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
        assert (whole.ratio, whole.mde, whole.p) == pytest.approx((found.ratio, found.mde, found.p))
        assert whole.ci95 == pytest.approx(found.ci95)


def test_the_freedom_of_a_whole_is_that_of_its_parts():
    """Two equal cases with known machines' spread: by hand."""
    one = without_days([of(100, 103, 99)], [of(110, 109, 113, machine="n")])
    whole = effect.together([(one, 0.5), (one, 0.5)])
    b, c = (level([of(*v)]) for v in ((100, 103, 99), (110, 109, 113)))
    known = 2 * 0.015**2
    variance = (b.variance + c.variance) / 2 + known
    freedom = variance**2 / (2 * sum((side.variance / 4) ** 2 / side.freedom for side in (b, c)))
    assert whole.ratio == pytest.approx(one.ratio)
    assert whole.se == pytest.approx(math.sqrt(variance))
    assert whole.freedom == pytest.approx(freedom)


def test_a_whole_is_a_geometric_mean_with_weights():
    faster, slower = (without_days([of(100, 101)], [of(100 * f, 101 * f)]) for f in (4.0, 0.5))
    assert effect.together([(faster, 0.5), (slower, 0.5)]).ratio == pytest.approx(math.sqrt(2))
    assert effect.together([(faster, 0.75), (slower, 0.25)]).ratio == pytest.approx(4**0.75 * 0.5**0.25)


def test_a_whole_is_surer_than_its_parts_but_for_the_machines():
    here = without_days([of(100, 103, 99)], [of(110, 109, 113)])
    whole = effect.together([(here, 0.25)] * 4)
    assert whole.se == pytest.approx(here.se / 2)
    there = without_days([of(100, 103, 99)], [of(110, 109, 113, machine="n")])
    assert effect.together([(there, 0.25)] * 4).se > there.spread
    assert effect.together([(there, 0.25)] * 4).spread == pytest.approx(there.spread)


def test_a_whole_with_a_part_without_spread_has_no_interval():
    whole = effect.together([(without_days([of(1)], [of(2)]), 0.5), (without_days([of(1, 2)], [of(2, 3)]), 0.5)])
    assert whole.ci95 is None
    assert whole.ratio == pytest.approx(math.sqrt(2 * math.sqrt(6) / math.sqrt(2)))
