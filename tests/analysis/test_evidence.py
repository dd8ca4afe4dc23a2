"""What counts as one machine, on a side and between the sides."""

from __future__ import annotations

import pytest

from gpuprof.analysis.effect import MACHINE_SPREAD, RUN_SPREAD
from support.sides import case, compare, run, side


def cards(*places: tuple[str, str]):
    """A side of one run on each of these cards, each in a host."""
    return side(*(run(case(), machine=card, host=host) for card, host in places))


# baseline's cards and hosts, the candidate's, and the machines that each side then has
MACHINES = [
    ([("1", "h"), ("2", "h")], [("9", "i")], ({"1": 2}, {"9": 1})),
    ([("1", "h"), ("1", "container")], [("9", "i")], ({"1": 2}, {"9": 1})),
    ([("2", "h"), ("2", "g"), ("1", "g")], [("9", "i")], ({"1": 3}, {"9": 1})),
    ([("1", "h"), ("2", "h")], [("2", "h")], ({"1": 2}, {"1": 1})),
    ([("2", "h")], [("1", "h"), ("2", "h")], ({"1": 1}, {"1": 2})),
    ([("1", "h"), ("2", "h")], [("2", "container")], ({"1": 2}, {"1": 1})),
    ([("3", "h"), ("2", "h")], [("2", "i"), ("1", "i")], ({"1": 2}, {"1": 2})),
    ([("1", "h"), ("2", "i")], [("2", "i")], ({"1": 1, "2": 1}, {"2": 1})),
    ([("1", "localhost")], [("2", "localhost")], ({"1": 1}, {"2": 1})),
]


@pytest.mark.parametrize(("baseline", "candidate", "machines"), MACHINES)
def test_cards_that_stand_together_are_one_machine(baseline, candidate, machines):
    compared = compare(cards(*baseline), cards(*candidate))
    assert (compared.baseline.machines, compared.candidate.machines) == machines
    for evidence in (compared.baseline, compared.candidate):
        (only,) = evidence.cases.values()
        assert {machine for machine, *_ in only.rows} == evidence.machines.keys()


def test_sides_that_share_a_card_are_no_two_machines():
    """Whatever else stands in the machine: what machines differ by is no part of the difference."""
    shared = compare(cards(("1", "h"), ("2", "h")), cards(("2", "h"))).overall
    # That the two runs of the first side are equal does not make days scatter less: two are too few to say so.
    assert shared.spread == pytest.approx(RUN_SPREAD * 1.5**0.5)
    apart = compare(cards(("1", "h"), ("2", "h")), cards(("3", "i"))).overall
    assert apart.spread == pytest.approx((2 * MACHINE_SPREAD**2 + 1.5 * RUN_SPREAD**2) ** 0.5)


def test_cases_whose_precision_nobody_knows_are_told_apart_by_what_was_asked_for():
    def failed(requested):
        return case(precision=None, requested=requested, outcome="failed", reason="no kernel", rates=())

    both = side(run(failed("bf16"), failed("fp16")))
    assert [evidence.newest.requested for evidence in both.cases.values()] == ["bf16", "fp16"]
    assert len(side(run(failed("bf16")), run(failed("bf16"))).cases) == 1
