"""The first sentence says no more than the data carry."""

from __future__ import annotations

import pytest

from gpuprof.report.stories.answer import answer
from support.sides import STEADY, case, compare, one

WORKLOADS = ("lstm", "gru", "rnn", "cnn", "vgg16", "a", "b", "c", "d", "e")
FAILED = {"outcome": "failed", "reason": "x", "processes": {}, "values": {}, "order": []}


def told(*ratios: float, **more) -> tuple[str, str]:
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
    first, numbers = told(*ratios, **more)
    assert first == f"Only {len(ratios)} of 10 workloads can be compared."
    assert says in numbers


def test_where_enough_can_be_compared_the_verdict_comes_first():
    first, _ = told(*[1.0] * 9)
    assert first == "No difference shown between A and B."
