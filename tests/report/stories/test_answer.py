"""The first sentence says no more than the data carry."""

from __future__ import annotations

import pytest

from gpuprof.report.stories.answer import Answer, answer
from support.sides import STEADY, case, compare, one

WORKLOADS = ("lstm", "gru", "rnn", "cnn", "vgg16", "a", "b", "c", "d", "e")
FAILED = {"outcome": "failed", "reason": "x", "processes": {}, "values": {}, "order": []}


def told(*ratios: float, **more) -> Answer:
    """The answer where the candidate ran only the first of ten workloads, each so many times as fast."""
    base = one(*(case(case_id=w, workload=w, **more) for w in WORKLOADS))
    rates = [[rate * ratio for rate in STEADY] for ratio in ratios]
    ran = [case(each, case_id=w, workload=w, **more) for each, w in zip(rates, WORKLOADS, strict=False)]
    lost = [case(case_id=w, workload=w, **FAILED) for w in WORKLOADS[len(ran) :]]
    return answer(compare(base, one(*ran, *lost, machine="z")), ("A", "B"))


@pytest.mark.parametrize(
    ("ratios", "more", "says"),
    [
        ((1.0,), {}, "There no difference was shown between A and B: 1.00×"),
        ((2.0,), {}, "There B was faster than A: 2.00×"),
        ((2.0, 1.01), {}, "That mean is lstm alone."),
        ((2.0, 2.0), {"regime": "host-bound"}, "With its host, B was faster than A"),
    ],
)
def test_what_is_missing_comes_before_any_verdict(ratios, more, says):
    found = told(*ratios, **more)
    assert found.first == f"Only {len(ratios)} of 10 workloads can be compared."
    assert says in found.numbers


def test_where_enough_can_be_compared_the_verdict_comes_first():
    assert told(*[1.0] * 9).first == "Too close to call: B may be 6.4% slower or 6.8% faster than A."


def test_a_difference_that_was_shown_has_its_bounds_in_the_first_sentence():
    assert told(*[2.0] * 9).first == "B is faster than A, by 87% to 114%."
    assert told(*[0.5] * 9).first == "B is slower than A, by 47% to 53%."
