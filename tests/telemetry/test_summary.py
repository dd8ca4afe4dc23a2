"""Samples of a window folded: absent ones are no zeros, shares are shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import throttling
from gpuprof.telemetry import summary
from gpuprof.telemetry.device import ThrottleCounters

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=50)


@given(values)
def test_summary_of_what_was_there(found):
    known = [v for v in found if v == v]
    what = summary.summarise(found)
    if not known:
        assert what is None
        return
    assert (what.min, what.max, what.start, what.end) == (min(known), max(known), known[0], known[-1])
    assert what.samples == len(known)
    assert what.min <= what.median <= what.max
    assert what.min - 1e-6 <= what.mean <= what.max + 1e-6


def test_absent_samples_are_not_zeros():
    what = summary.summarise([math.nan, 300.0, math.nan, 310.0, math.nan])
    assert (what.mean, what.min, what.start, what.end, what.samples) == (305, 300, 300, 310, 2)
    assert summary.chosen({"a": [math.nan], "b": [math.nan, 1.0]}, ("a", "b")) == "b"
    assert summary.chosen({"a": [math.nan]}, ("a", "b")) is None


masks = st.lists(st.one_of(st.integers(0, 2 ** len(throttling.REASONS) - 1).map(float), st.just(math.nan)))


@given(masks)
def test_sampled_shares_are_shares(found):
    known = [int(mask) for mask in found if mask == mask]
    shares = summary.sampled_share(found)
    if not known:
        assert shares is None
        return
    assert all(0 < share <= 1 for share in shares.values())
    for bit, name in enumerate(throttling.REASONS):
        assert shares.get(name, 0) == pytest.approx(sum(mask >> bit & 1 for mask in known) / len(known))
    slow = [mask for mask in known if throttling.against_its_will(throttling.reasons(mask))]
    assert shares.get("none", 0) == pytest.approx(1 - len(slow) / len(known))
    assert bool(throttling.throttled(shares)) == bool(slow)


counts = st.tuples(
    st.sampled_from(["power_cap", "thermal", "hw_slowdown"]), st.floats(0, 1e9), st.floats(-1e9, 1e9)
)  # fmt: skip


@given(st.lists(counts, max_size=6), st.floats(0, 1e12), st.floats(1, 1e9))
def test_counted_shares_are_shares(rows, base, span):
    before = ThrottleCounters(base, tuple((name, start) for name, start, _ in rows))
    after = ThrottleCounters(base + span, tuple((name, max(0.0, start + more)) for name, start, more in rows))
    shares = summary.counted_share(before, after)
    assert all(0 < share <= 1 for share in shares.values())
    slow = sum(share for name, share in shares.items() if name != "none")
    assert shares.get("none", 0.0) == pytest.approx(max(0.0, 1 - slow), abs=1e-9)
    assert summary.counted_share(after, before) is None
    assert summary.counted_share(before, before) is None


def test_of_several_counters_for_one_reason_the_largest_counts_and_a_reset_one_does_not():
    before = ThrottleCounters(0, (("thermal", 10), ("thermal", 0), ("power_cap", 5000)))
    after = ThrottleCounters(1000, (("thermal", 110), ("thermal", 300), ("power_cap", 20)))
    assert summary.counted_share(before, after) == {"thermal": 0.3, "none": 0.7}
