"""Which cases of two sides are one experiment, and what forbids to claim anything of a pair."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.analysis import pairing
from gpuprof.case_keys import HEADINGS
from support.sides import case, claims, compare, one, rows, run, side


def facts_of(batches) -> list[tuple]:
    return [(p.baseline.newest.batch_size, p.candidate.newest.batch_size, p.allowed) for p in batches]


# ---- pairing


def test_equal_cases_are_paired_before_anything_else():
    sizes = [8, 64, 512]
    found = pairing.pair(one(*(case(batch_size=b) for b in sizes)), one(*(case(batch_size=b) for b in sizes[::-1])))
    assert facts_of(found.pairs) == [(b, b, True) for b in sizes]
    assert found.only_baseline == found.only_candidate == []


def test_the_nearest_is_shown_struck_with_the_reason():
    found = pairing.pair(one(case(precision="ieee")), one(case(precision="tf32")))
    (pair,) = found.pairs
    assert not pair.allowed
    assert pair.reasons == ("effective precision: ieee against tf32",)
    far = pairing.pair(one(case()), one(case(precision="bf16", variant="compile", batch_size=1)))
    assert far.pairs == []
    assert (len(far.only_baseline), len(far.only_candidate)) == (1, 1)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("precision", "bf16", "effective precision: ieee against bf16"),
        ("variant", "graph", "variant: eager against graph"),
        ("batch_size", 64, "batch: 32 against 64"), ("seq_len", 50, "sequence length: 100 against 50"),
        ("params", {"hidden_size": 8}, 'parameters: {} against {"hidden_size": 8}'),
    ],
)  # fmt: skip
def test_each_field_that_makes_another_experiment_forbids_and_may_be_varied(field, value, reason):
    sides = one(case()), one(case(**{field: value}))
    struck, meant = compare(*sides), compare(*sides, vary={field})
    (claim,) = claims(struck)
    assert (claim.allowed, claim.reason, claim.verdict) == (False, reason, None)
    assert not struck.overall.allowed
    assert rows(struck)[HEADINGS[field]].weight == "blocks"
    assert "--vary " + field in rows(struck)[HEADINGS[field]].why
    (claim,) = claims(meant)
    assert claim.allowed
    assert claim.verdict == "no difference shown"
    assert rows(meant)[HEADINGS[field]].weight == "noted"
    assert meant.vary == (field,)


@pytest.mark.parametrize("field", ["workload", "mode"])
def test_another_network_or_mode_is_no_counterpart(field):
    found = compare(one(case()), one(case(**{field: "other"})))
    assert found.cases == []
    assert (len(found.only_baseline), len(found.only_candidate)) == (1, 1)
    assert found.overall.reason == "the sides have no case in common"


def test_threads_are_told_and_forbid_nothing():
    found = compare(one(case(threads=1)), one(case(threads=8)))
    assert claims(found)[0].allowed
    assert rows(found)["threads"].weight == "noted"
    on_cpu = compare(one(case(threads=1, regime="cpu")), one(case(threads=8, regime="cpu")))
    assert claims(on_cpu)[0].allowed
    assert rows(on_cpu)["threads"].weight == "weakens"


def test_a_sequence_length_on_one_side_only_is_another_experiment():
    found = compare(one(case(seq_len=None)), one(case(seq_len=100)))
    assert not claims(found)[0].allowed
    assert claims(found)[0].reason == "sequence length: none against 100"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pairs_are_one_to_one_and_blocked_where_and_only_where_the_ledger_says_so(data):
    drawn = st.builds(
        case, precision=st.sampled_from(["ieee", "bf16", None]), batch_size=st.sampled_from([1, 32]),
        variant=st.sampled_from(["eager", "compile"]), threads=st.sampled_from([1, 2]),
        correctness=st.sampled_from(["pass", "drift", "wrong", None]), seq_len=st.sampled_from([100, None]),
        outcome=st.sampled_from(["ok", "ok", "failed"]), fallback=st.booleans(),
        workload=st.sampled_from(["lstm", "gru"]),
    )  # fmt: skip
    sides = [one(*data.draw(st.lists(drawn, min_size=1, max_size=5))) for _ in range(2)]
    vary = data.draw(st.sets(st.sampled_from(["precision", "batch_size", "variant"]), max_size=2))
    found = compare(*sides, vary=vary)
    for evidence, position in ((sides[0], "baseline"), (sides[1], "candidate")):
        paired = [id(getattr(c.pair, position)) for c in found.cases]
        left = [id(c) for c in getattr(found, f"only_{position}")]
        assert sorted(paired + left) == sorted(map(id, evidence.cases.values()))
    blocked = {title for entry in found.blocked for title in entry.cases}
    assert blocked == {c.title for c in found.cases if not c.pair.allowed}
    for claim in (*found.claims, found.overall):
        assert (claim.verdict is None) or claim.allowed
        assert claim.verdict is not None or claim.reason
        assert claim.allowed == (claim.verdict is not None)


# ---- what forbids a pair


def test_wrong_results_are_never_ranked():
    for sides in ((one(case()), one(case(correctness="wrong"))), (one(case(correctness="wrong")), one(case()))):
        found = compare(*sides)
        assert not claims(found)[0].allowed
        assert "wrong results" in claims(found)[0].reason
        assert (rows(found)["correctness"].weight, found.overall.verdict) == ("blocks", None)


def test_wrong_results_in_any_run_count():
    found = compare(one(case()), side(run(case(correctness="wrong")), run(case()), run(case())))
    assert "candidate: wrong results" in claims(found)[0].reason


def test_unknown_arithmetic_is_never_ranked():
    found = compare(one(case(precision=None)), one(case(precision=None)))
    assert "effective precision unknown" in claims(found)[0].reason
    assert rows(found)["arithmetic"].weight == "blocks"


def test_what_was_not_measured_is_told_with_its_outcome():
    failed = case(rates=(), outcome="failed", reason="out of memory", precision=None, correctness=None, steady=None)
    found = compare(one(case()), one(failed))
    assert claims(found)[0].reason == "candidate: no measurement (failed: out of memory)"
    assert [entry.key for entry in found.ledger if entry.cases] == ["effective precision", "outcome"]


def test_a_substitute_stands_in_for_kernels_that_fail_their_check():
    """A run measures the same network without fused kernels where the fused ones compute wrong results."""
    fused, plain = {"fused": True}, {"fused": False}
    own = case((300, 301, 302), params=fused, correctness="wrong")
    candidate = one(own, case((150, 151, 152), params=plain, fallback=True))
    found = compare(one(case((100, 101, 102), params=fused)), candidate)
    (claim,) = claims(found)
    assert claim.allowed
    assert claim.ratio == pytest.approx(1.5, rel=0.01)
    entry = rows(found)["fallback"]
    assert (entry.baseline, entry.candidate, entry.weight) == ("as requested", "substitute", "weakens")
    assert [c.newest.correctness for c in found.only_candidate] == ["wrong"]
    assert found.blocked == []
