"""The statistics against scipy, and their honesty in simulation: intervals must cover what they claim."""

from __future__ import annotations

import math
import random
import statistics

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import stats

PROCESS_SD = 0.01
SIMULATIONS = 2000


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 4, 7.3, 30, 1e4])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.95, 0.975, 0.999])
def test_t_quantile_equals_scipy(p, freedom):
    assert stats.t_quantile(p, freedom) == pytest.approx(scipy.stats.t.ppf(p, freedom), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 1.01, 1.5, 2, 2.9, 3.84, 7.7, 29.6, 1e3, 1e5, 1e6])
@pytest.mark.parametrize("p", [0.55, 0.8, 0.975, 0.9999])
def test_t_quantile_equals_scipy_for_any_freedom_that_welch_gives(p, freedom):
    assert stats.t_quantile(p, freedom) == pytest.approx(scipy.stats.t.ppf(p, freedom), rel=1e-8)


@pytest.mark.parametrize("processes", [3, 5, 10])
def test_single_interval_covers_95_percent(processes):
    rng = random.Random(processes)
    hits = 0
    for _ in range(SIMULATIONS):
        values = [math.exp(rng.gauss(0, PROCESS_SD)) for _ in range(processes)]
        low, high = stats.geometric_interval(values)[1]
        hits += low <= 1 <= high
    assert 0.93 <= hits / SIMULATIONS <= 0.97


@pytest.mark.parametrize("processes", [3, 5, 10])
def test_interval_over_processes_covers_95_percent_of_whole_measurements(processes):
    """Process effect, autocorrelated blocks and 1% outliers, reduced exactly as a run reduces them: block medians."""
    rng = random.Random(100 + processes)
    runs, hits = 1000, 0
    for _ in range(runs):
        medians = [_process_median(rng, blocks=40) for _ in range(processes)]
        low, high = stats.geometric_interval(medians)[1]
        hits += low <= 1 <= high
    assert 0.93 <= hits / runs <= 0.97


def _process_median(rng: random.Random, blocks: int) -> float:
    effect, state, times = rng.gauss(0, PROCESS_SD), 0.0, []
    for _ in range(blocks):
        state = 0.5 * state + rng.gauss(0, 0.02 * math.sqrt(0.75))
        slow = rng.uniform(1.2, 2.0) if rng.random() < 0.01 else 1.0
        times.append(math.exp(effect + state) * slow)
    return statistics.median(times)


def test_one_process_has_no_interval():
    assert stats.geometric_interval([3.0]) == (pytest.approx(3.0), None)


def test_p99_bound_needs_299_requests():
    assert stats.quantile_upper_bound(range(298), 0.99) is None
    assert stats.quantile_upper_bound(range(299), 0.99) == 298


@pytest.mark.parametrize("n", [1, 5, 60, 299, 1000, 3000])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_quantile_bound_is_the_binomial_order_statistic(n, q):
    ranks = [k for k in range(1, n + 1) if scipy.stats.binom.cdf(k - 1, n, q) >= 0.95]
    assert stats.quantile_upper_bound(range(n), q) == (ranks[0] - 1 if ranks else None)


def test_quantile_bound_covers():
    rng = random.Random(5)
    covered = sum(stats.quantile_upper_bound(sorted(rng.random() for _ in range(400)), 0.9) >= 0.9 for _ in range(1000))
    assert covered >= 935


def test_mann_kendall_equals_the_textbook_and_sees_a_trend():
    rng = random.Random(1)
    values = [rng.random() + 0.02 * i for i in range(40)]
    tau, _ = scipy.stats.kendalltau(range(40), values)
    s = tau * 40 * 39 / 2
    assert stats.mann_kendall_z(values) == pytest.approx((s - 1) / math.sqrt(40 * 39 * 85 / 18))
    assert stats.mann_kendall_z([1.0] * 10) == 0
    assert stats.mann_kendall_z(list(range(10))) > 3


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantile_is_a_value_with_enough_at_or_below(values, q):
    found = stats.quantile(sorted(values), q)
    assert found in values
    assert sum(v <= found for v in values) >= q * len(values) - 1e-9


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20))
def test_geometric_mean_lies_within_its_interval_and_the_data(values):
    mean, (low, high) = stats.geometric_interval(values)
    assert low <= mean * (1 + 1e-9)
    assert mean <= high * (1 + 1e-9)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
