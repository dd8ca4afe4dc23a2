"""What a comparison claims and what forbids it: pairing, the fairness ledger row by row, and the claims themselves."""

from __future__ import annotations

import dataclasses
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.analysis import compare as analysis
from gpuprof.analysis import pairing
from gpuprof.analysis.compare import ONE_PROCESS
from gpuprof.analysis.evidence import gather
from gpuprof.report.forms import markdown
from gpuprof.report.forms.document import document
from gpuprof.report.forms.document import overview as overview_document
from gpuprof.report.stories import comparison, overview
from gpuprof.store import runs as store
from support.running import KEPT, SAMPLES
from support.sides import NOW, PROTOCOL, STEADY, case, claims, compare, one, real, rows, run, side

CPU, SIMULATED = (store.run_directories(SAMPLES / kind) for kind in ("cpu", "simulated"))


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
    assert rows(struck)[pairing.NAMES.get(field, field)].weight == "blocks"
    assert "--vary " + field in rows(struck)[pairing.NAMES.get(field, field)].why
    (claim,) = claims(meant)
    assert claim.allowed
    assert claim.verdict == "no difference shown"
    assert rows(meant)[pairing.NAMES.get(field, field)].weight == "noted"
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


def test_cases_are_named_by_what_tells_them_apart():
    found = compare(*(one(case(), case(batch_size=64), case(workload="gru")) for _ in range(2)))
    titles = [c.title for c in found.cases]
    assert titles == ["lstm · train · batch 32", "lstm · train · batch 64", "gru · train"]


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
    assert "the arithmetic that ran is unknown" in claims(found)[0].reason
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
    assert (entry.baseline, entry.candidate, entry.weight) == ("as asked", "substitute", "weakens")
    assert [c.newest.correctness for c in found.only_candidate] == ["wrong"]
    assert found.blocked == []


def test_simulated_against_measured_blocks_everything():
    cases = [case(), case(workload="gru")]
    found = compare(one(*cases), one(*cases, simulated=True))
    assert rows(found)["simulated"].weight == "blocks"
    assert (rows(found)["simulated"].baseline, rows(found)["simulated"].candidate) == ("measured", "simulated")
    assert not any(claim.allowed for claim in (*found.claims, found.overall))
    assert found.simulated


def test_simulated_and_measured_runs_on_both_sides_block_as_well():
    mixed = [side(run(case()), run(case(), simulated=True)) for _ in range(2)]
    found = compare(*mixed)
    assert rows(found)["simulated"].weight == "blocks"
    assert not any(claim.allowed for claim in (*found.claims, found.overall))


def test_two_simulated_sides_are_compared_under_the_banner_in_every_form():
    found = compare(one(case(), simulated=True), one(case(), simulated=True, vendor="amd", device="MI300X"))
    assert "simulated" not in rows(found)
    assert claims(found)[0].allowed
    assert document(found, NOW)["simulated"] is True
    assert all(document(found, NOW)[name]["simulated"] for name in ("baseline", "candidate"))
    told = comparison.story(found, NOW)
    assert told.banners == [comparison.SIMULATED.format(names="H100 and MI300X")]
    assert "SIMULATED" in markdown.render(told)
    whole = overview.Overview("x", [one(case(), simulated=True)], [])
    assert [banner.partition(":")[0] for banner in overview.story(whole, NOW).banners] == ["SIMULATED"]
    assert comparison.story(compare(one(case()), one(case())), NOW).banners == []


# ---- the ledger, row by row

RUN_FACTS = [
    # key, fact, baseline's, candidate's, weight
    ("gpuprof", "gpuprof", "0.2", "0.3", "weakens"),
    ("gpuprof commit", "gpuprof_commit", "aaa", "bbb", "noted"),
    ("config hash", "config", "abc", "def", "noted"),
    ("torch", "torch", "2.9.0", "2.8.0", "weakens"),
    ("torch", "torch", "2.9.0+cu126", "2.9.0+rocm6.3", "noted"),
    ("torch build", "torch_build", "cuda", "rocm", "noted"),
    ("driver", "driver_version", "550.1", "560.1", "weakens"),
    ("VBIOS", "vbios_version", "1", "2", "noted"),
    ("partition", "partition", "SPX", "CPX", "weakens"),
    ("partition", "partition", None, "1g.10gb", "weakens"),
    ("ECC", "ecc_enabled", True, False, "weakens"),
    ("what power covers", "scope", "board", "socket", "weakens"),
    ("host CPU", "cpu", "EPYC", "Xeon", "noted"),
    ("CPU cores", "cores", 64, 32, "noted"),
    ("container", "container", "a@sha256:1", "a@sha256:2", "noted"),
    ("kernel", "kernel", "6.1", "6.8", "noted"),
    ("os", "os", "Ubuntu 22.04", "Ubuntu 24.04", "noted"),
    ("python", "python", "3.11", "3.12", "noted"),
    ("highest core clock", "core_clock_max_hz", 1.98e9, 1.755e9, "weakens"),
    ("repeats", "protocol", PROTOCOL, PROTOCOL | {"repeats": 9}, "weakens"),
    ("quick protocol", "protocol", PROTOCOL, PROTOCOL | {"name": "quick"}, "weakens"),
    ("NVIDIA_TF32_OVERRIDE", "variables", {}, {"NVIDIA_TF32_OVERRIDE": "1"}, "weakens"),
    ("CUDA_VISIBLE_DEVICES", "variables", {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}, "noted"),
    ("cudnn", "libraries", {"cudnn": "9.1"}, {"cudnn": "9.5"}, "weakens"),
    ("torchvision", "libraries", {"torchvision": "0.24"}, {"torchvision": "0.25"}, "noted"),
]


@pytest.mark.parametrize(("key", "fact", "left", "right", "weight"), RUN_FACTS)
def test_a_difference_between_the_runs_stands_in_the_ledger_and_only_then(key, fact, left, right, weight):
    differ = compare(one(case(), facts={fact: left}), one(case(), facts={fact: right}))
    entry = rows(differ)[key]
    assert entry.weight == weight
    assert entry.why
    assert entry.cases == ()
    assert entry.baseline != entry.candidate
    same = compare(one(case(), facts={fact: left}), one(case(), facts={fact: left}))
    assert same.ledger == []


def test_what_differs_because_the_vendors_do_is_noted():
    amd = {"torch_build": "rocm", "torch": "2.9.0+rocm6.3", "driver_version": "6.14", "libraries": {"miopen": "3.5"}}
    found = compare(one(case()), one(case(), vendor="amd", device="MI300X", facts=amd))
    assert {e.key: e.weight for e in found.ledger} == dict.fromkeys(
        ("torch", "torch build", "driver", "cudnn", "miopen"), "noted"
    )


def test_the_host_matters_where_it_submits_or_does_the_work():
    other = {"cpu": "Xeon", "cores": 8}
    for bound, sides in (
        ("host-bound", {}), ("cpu", {"kind": "cpu"}),
    ):  # fmt: skip
        found = compare(one(case(regime=bound), **sides), one(case(regime=bound), facts=other, **sides))
        assert rows(found)["host CPU"].weight == rows(found)["CPU cores"].weight == "weakens"


@pytest.mark.parametrize(
    ("left", "right", "weight", "why"),
    [
        ((700, 700), (350, 700), "weakens", "candidate ran below its default power limit"),
        ((350, 700), (350, 700), "weakens", "baseline and candidate ran below its default power limit"),
        ((700, 700), (750, 750), "noted", "each at its default"),
        ((700, 700), (700, 700), None, ""),
        ((700, None), (700, None), None, ""),
        ((None, None), (700, 700), None, ""),
    ],
)
def test_power_limits(left, right, weight, why):
    facts = [{"power_limit_w": limit, "power_limit_default_w": default} for limit, default in (left, right)]
    entry = rows(compare(*(one(case(), facts=f) for f in facts))).get("power limit")
    assert (None if entry is None else (entry.weight, entry.why)) == (None if weight is None else (weight, why))


@pytest.mark.parametrize("value", ["high", [1], {"w": 2}, True, "1e999", -5.0])
def test_a_power_limit_that_is_no_power_breaks_nothing(value):
    facts = {"power_limit_w": value, "power_limit_default_w": 700.0}
    for sides in ((facts, {}), (facts, {"power_limit_w": 700.0}), (facts, facts)):
        found = compare(*(one(case(), facts=f) for f in sides))
        comparison.story(found, NOW)


def test_run_outcome_host_and_date():
    found = compare(
        one(case()), one(case(), outcome="partial", host="other", started_at="2026-11-25T00:00:00Z"),
    )  # fmt: skip
    entries = rows(found)
    assert (entries["run outcome"].baseline, entries["run outcome"].candidate) == (None, "partial")
    assert entries["run outcome"].weight == "weakens"
    assert (entries["date"].baseline, entries["date"].candidate) == ("2026-11-23", "2026-11-25")
    assert entries["date"].weight == entries["host name"].weight == "noted"


def test_many_values_of_one_fact_are_told_in_short():
    many = side(*(run(case(), facts={"driver_version": f"550.{i}"}) for i in range(6)))
    assert rows(compare(one(case()), many))["driver"].candidate == "550.0 (1), 550.1 (1), 550.2 (1) and 3 more"


CASE_FACTS = [
    ("fallback", {}, {"fallback": True}, "weakens"),
    ("precision asked for", {}, {"requested": "tf32"}, "noted"),
    ("precision switches", {"facts": {"flags": {"tf32": True}}}, {"facts": {"flags": {"tf32": False}}}, "noted"),
    ("steady", {}, {"steady": False}, "weakens"),
    ("regime", {}, {"regime": "host-bound"}, "weakens"),
    ("energy method", {}, {"energy_method": "power_trapezoid"}, "weakens"),
    ("correctness", {}, {"correctness": "drift"}, "weakens"),
    ("correctness", {}, {"correctness": None}, "weakens"),
    ("correctness", {}, {"correctness": "wrong"}, "blocks"),
    ("outcome", {}, {"outcome": "failed", "reason": "why"}, "blocks"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"power_cap": 0.3}}}, "noted"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"thermal": 0.3}}}, "weakens"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"clocks_setting": 1}}}, "weakens"),
    ("temperature at start", {"facts": {"temperature_start_c": 40}}, {"facts": {"temperature_start_c": 60}}, "noted"),
    ("conditions", {}, {"facts": {"checks": ["a foreign process appeared"]}}, "weakens"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "left", "right", "weight"), CASE_FACTS)
def test_a_difference_between_the_cases_stands_in_the_ledger_and_only_then(key, left, right, weight):
    differ = compare(one(case(**left)), one(case(**right)))
    assert rows(differ)[key].weight == weight
    assert rows(differ)[key].cases == ("lstm · train",)
    assert claims(differ)[0].allowed == (weight != "blocks")
    assert compare(one(case(**left)), one(case(**left))).ledger == []


@pytest.mark.parametrize(
    "right",
    [{"throttled_share": {"power_cap": 0.04, "thermal": 0.01}}, {"throttled_share": {"idle": 0.9}},
     {"temperature_start_c": 45.0}, {"checks": []}],
)  # fmt: skip
def test_what_is_too_small_to_matter_stands_nowhere(right):
    left = {"throttled_share": {}, "temperature_start_c": 40.0}
    assert compare(one(case(facts=left)), one(case(facts=left | right))).ledger == []


def test_unknown_facts_of_a_case_are_no_difference():
    unknown = case(requested="ieee", energy_method=None, steady=None, regime=None)
    assert compare(one(case()), one(unknown)).ledger == []


def test_the_ledger_is_sorted_by_weight_and_tells_a_thing_once():
    sizes = [8, 64, 512]
    found = compare(
        one(*(case(batch_size=b) for b in sizes)),
        one(*(case(batch_size=b, steady=False) for b in sizes), case(workload="gru", correctness="wrong"),
            host="other"),
    )  # fmt: skip
    assert [e.weight for e in found.ledger] == ["weakens", "noted"]
    assert rows(found)["steady"].cases == tuple(c.title for c in found.cases)


def test_blocks_come_first():
    found = compare(
        one(case(), case(workload="gru")), one(case(steady=False), case(workload="gru", correctness="wrong"))
    )
    assert [(e.weight, e.key) for e in found.ledger] == [("blocks", "correctness"), ("weakens", "steady")]
    assert [e.key for e in found.blocked] == ["correctness"]


# ---- claims


def test_words_say_which_way_is_better():
    faster = case((200, 201, 199), latency=(1e-3, 1.01e-3, 0.99e-3))
    slower = case((100, 101, 99), latency=(2e-3, 2.01e-3, 1.99e-3))
    found = compare(one(slower), one(faster))
    assert {c.metric: c.verdict for c in found.claims} == {"throughput_per_s": "faster", "latency_p50_s": "faster"}
    assert {c.metric: round(c.ratio, 3) for c in found.claims} == {"throughput_per_s": 2, "latency_p50_s": 0.5}
    back = compare(one(faster), one(slower))
    assert {c.verdict for c in back.claims} == {"slower"}
    assert (found.overall.verdict, back.overall.verdict) == ("faster", "slower")


def test_one_process_a_side_gives_no_verdict_and_the_reason():
    found = compare(one(case((100.0,))), one(case((300.0,))))
    for claim in (claims(found)[0], found.overall):
        assert claim.ratio == pytest.approx(3)
        assert (claim.verdict, claim.ci95, claim.mde, claim.reason) == (None, None, None, ONE_PROCESS)
    assert ONE_PROCESS in " ".join(comparison.headline(found, ("a", "b")))


def test_one_case_alone_is_tested_once():
    """The claim over all workloads is then that case again, and no further test to correct for."""
    for machine in ("a", "b"):
        found = compare(one(case()), one(case((104, 105.5, 103)), machine=machine))
        (claim,) = claims(found)
        assert found.overall.p_adjusted == claim.p_adjusted
        alone = compare(one(case()), one(case((104, 105.5, 103)), machine=machine))
        assert claim.p_adjusted == pytest.approx(alone.cases[0].differences["throughput_per_s"].effect.p)


def test_verdicts_are_corrected_for_their_number():
    works = [f"w{i}" for i in range(8)]
    alone = compare(one(case()), one(case((104.5, 105.5, 103.5))))
    assert claims(alone)[0].verdict == "faster"
    p = claims(alone)[0].p_adjusted
    many = compare(
        one(*(case(workload=w) for w in works)),
        one(
            case((104.5, 105.5, 103.5), workload="w0"),
            *(case((100.5 + i / 100, 99.4, 100.2), workload=w) for i, w in enumerate(works[1:])),
        ),
    )
    assert claims(many)[0].p_adjusted == pytest.approx(9 * p)
    assert claims(many)[0].verdict == "no difference shown"


def test_overall_is_the_geometric_mean_over_workloads_with_equal_weights():
    """Two cases of one workload count half each."""
    base = [case(workload="a"), case(workload="b"), case(workload="b", batch_size=64)]
    factors = (2.0, 3.0, 12.0)
    other = [dataclasses.replace(c, processes={"throughput_per_s": [r * f for r in STEADY]})
             for c, f in zip(base, factors, strict=True)]  # fmt: skip
    found = compare(one(*base), one(*other))
    assert found.overall.ratio == pytest.approx((2 * 6) ** 0.5, rel=1e-9)
    assert found.overall.case == "2 workloads"
    assert found.overall.verdict == "faster"
    assert found.overall.view == "all workloads"


def test_struck_pairs_are_not_part_of_the_whole():
    base = [case(workload="a"), case(workload="b")]
    other = [case((200, 202, 198), workload="a"), case((900, 902, 898), workload="b", correctness="wrong")]
    found = compare(one(*base), one(*other))
    assert found.overall.ratio == pytest.approx(2)
    assert found.overall.case == "a"


def test_best_batches_are_compared_where_a_sweep_allows():
    rates = {8: (100, 101, 99), 64: (300, 301, 299), 512: (200, 201, 199)}
    faster = {8: (90, 91, 89), 64: (280, 281, 279), 512: (600, 601, 599)}
    found = compare(
        one(*(case(r, batch_size=b) for b, r in rates.items())),
        one(*(case(r, batch_size=b) for b, r in faster.items())),
    )
    (claim,) = claims(found, view="best-batch")
    assert claim.case == "lstm · train · best batch, 64 against 512"
    assert claim.ratio == pytest.approx(2, rel=1e-3)
    assert claim.verdict == "faster"
    assert claims(compare(one(case()), one(case())), view="best-batch") == []


def test_a_best_batch_takes_no_part_of_a_struck_pair():
    base = [case(batch_size=b) for b in (8, 64)]
    other = [case(batch_size=8), case((900, 901, 899), batch_size=64, correctness="wrong")]
    (best,) = claims(compare(one(*base), one(*other)), view="best-batch")
    assert best.case.endswith("8 against 8"), "fast but wrong is not fast"


def test_a_batch_that_fits_on_one_side_alone_is_its_best():
    base = [case(batch_size=b) for b in (8, 64)]
    other = [*base, case((300, 301, 299), batch_size=512)]
    (best,) = claims(compare(one(*base), one(*other)), view="best-batch")
    assert best.ratio == pytest.approx(3, rel=0.02)
    assert best.case.endswith("against 512")


def test_break_even_by_hand():
    """10 s of compilation, then 20 ms a step instead of 40 ms: made good after 500 steps."""
    eager = case((800, 801, 799), first_step=0.5, batch_size=32)
    compiled = case((1600, 1602, 1598), first_step=10.5, batch_size=32, variant="compile")
    there = compare(one(eager), one(compiled), vary={"variant"}).cases[0]
    assert there.break_even_steps == pytest.approx(500)
    assert there.break_even_says.startswith("the candidate's longer first step")
    back = compare(one(compiled), one(eager), vary={"variant"}).cases[0]
    assert back.break_even_steps == pytest.approx(500)
    assert back.break_even_says.startswith("the baseline's longer first step")


@pytest.mark.parametrize(
    ("first", "rate", "says"),
    [(0.4, 1.5, "candidate is ahead"), (0.6, 0.5, "baseline is ahead"), (0.5, 1.5, "candidate is ahead"),
     (0.5, 1.0, "neither is ahead"), (0.6, 1.0, "baseline is ahead"), (None, 1.0, "not known")],
)  # fmt: skip
def test_no_break_even_says_why(first, rate, says):
    found = compare(one(case(first_step=0.5)), one(case([r * rate for r in STEADY], first_step=first)))
    assert found.cases[0].break_even_steps is None
    assert says in found.cases[0].break_even_says


def test_processes_that_took_turns_in_one_run_are_compared_in_pairs():
    """A drift that both share is no scatter of theirs."""
    drift = (1.0, 1.1, 0.9, 1.05)
    rates = [[f * 100 * (1 + e) for f, e in zip(drift, errors, strict=True)]
             for errors in ((0.001, 0, -0.001, 0), (0, 0.001, 0.0005, -0.001))]  # fmt: skip
    both = run(case(rates[0], case_id="e"), case([1.02 * r for r in rates[1]], case_id="c", variant="compile"))
    sides = [gather(c.variant, [(both, [c])]) for c in both.cases]
    found = compare(*sides, vary={"variant"})
    assert claims(found)[0].unit == "pair of processes"
    assert claims(found)[0].verdict == "faster"
    apart = compare(one(both.cases[0]), one(both.cases[1]), vary={"variant"})
    assert claims(apart)[0].unit == "process"
    assert claims(apart)[0].verdict == "no difference shown"


def test_pairs_are_matched_by_repeat_where_one_is_missing():
    left, right = case((100, 200, 400), case_id="e"), case((202, 404), case_id="c", variant="compile", order=[1, 2])
    both = run(left, right)
    found = compare(*(gather("x", [(both, [c])]) for c in both.cases), vary={"variant"})
    assert claims(found)[0].ratio == pytest.approx(1.01)
    assert claims(found)[0].units == (2, 2)


def test_the_best_batch_of_a_pair_is_that_pair():
    """The same two cases have one interval, also where their processes took turns."""
    cases = [case([r * f for r in STEADY], batch_size=b, variant=v, case_id=f"{v}{b}")
             for b, f in ((8, 1), (64, 3)) for v in ("eager", "compile")]  # fmt: skip
    both = run(*cases)
    sides = [gather(v, [(both, [c for c in cases if c.variant == v])]) for v in ("eager", "compile")]
    found = compare(*sides, vary={"variant"})
    (best,) = claims(found, view="best-batch")
    assert (best.ci95, best.unit) == (claims(found)[1].ci95, claims(found)[1].unit)


def test_the_same_run_on_both_sides_is_no_comparison():
    found = compare(real(CPU[2]), real(CPU[2]))
    assert {claim.verdict for claim in (*found.claims, found.overall)} == {None}
    assert rows(found)["runs"].weight == "blocks"


def test_two_real_runs_on_one_machine_that_did_not_take_turns():
    found = analysis.compare(real(CPU[0]), real(CPU[1]))
    assert found.overall.spread == pytest.approx(0.01 * 2**0.5), "one machine, two runs that did not take turns"
    assert rows(found)["turns"].weight == "weakens"
    assert rows(found)["threads"].weight == "weakens"
    assert found.overall.unit == "process"


def test_real_simulated_runs_are_compared_with_energy_and_the_banner():
    nvidia, amd = (real(path) for path in (SIMULATED[0], SIMULATED[2]))
    found = compare(nvidia, amd)
    assert found.simulated
    energy = found.cases[0].differences["energy_j_per_sample"]
    assert energy.effect.ci95[0] < energy.effect.ratio < energy.effect.ci95[1]
    assert energy.baseline.ci95[0] < energy.baseline.value < energy.baseline.ci95[1]
    assert rows(found)["what power covers"].weight == "weakens"
    assert found.overall.spread == pytest.approx(0.015 * 2**0.5)
    measured = compare(real(CPU[0]), nvidia)
    assert not measured.overall.allowed
    assert "a simulator measures no hardware" in claims(measured)[0].reason


def test_a_kept_record_of_an_older_schema_is_compared():
    found = compare(real(KEPT), real(CPU[0]))
    assert found.cases
    assert {e.key for e in found.ledger} >= {"gpuprof"} or found.ledger
    assert document(found, NOW)["claims"]


# ---- values that no device has


def test_a_negative_energy_above_idle_has_no_ratio():
    cases = [dataclasses.replace(case(), values={"throughput_per_s": 100.0, "energy_above_idle_j_per_sample": joules})
             for joules in (0.2, -0.1)]  # fmt: skip
    found = compare(one(cases[0]), one(cases[1])).cases[0].differences["energy_above_idle_j_per_sample"]
    assert (found.baseline.value, found.candidate.value, found.effect) == (0.2, -0.1, None)


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_a_throughput_without_processes_is_shown_and_never_claimed(value):
    """A damaged record may hold a headline that none of its processes bears out."""
    values = {"throughput_per_s": value, "first_step_s": 1.0}
    odd = [dataclasses.replace(case(batch_size=b), processes={}, values=values) for b in (8, 64)]
    for found in (compare(one(*odd), one(case(batch_size=8), case(batch_size=64))), compare(one(*odd), one(*odd))):
        assert {claim.verdict for claim in (*found.claims, found.overall)} == {None}
        told = comparison.story(found, NOW)
        json.dumps(document(found, NOW), allow_nan=False)
        markdown.render(told)
    overview.story(overview.Overview("x", [one(*odd)], []), NOW)


# ---- the whole store


def test_a_report_gives_no_ratio_of_a_simulated_gpu_over_a_measured_cpu():
    cpu = one(case(regime="cpu", threads=4), kind="cpu", vendor=None, device="EPYC")
    for simulated in (False, True):
        gpu = one(case((900, 901, 902)), simulated=simulated)
        told = overview.story(overview.Overview("x", [gpu, cpu], []), NOW)
        assert ("cpu" in [section.key for section in told.sections]) == (not simulated)


def test_a_report_leaves_no_case_out():
    """Also a GPU's cases that differ in the threads of their host alone."""
    gpu = one(case(threads=1), case((200, 201, 202), threads=8))
    told = overview.story(overview.Overview("x", [gpu], []), NOW)
    (glance,) = [section for section in told.sections if section.key == "glance"]
    assert len(glance.blocks[0].rows) == 2
    assert len(overview_document(overview.Overview("x", [gpu], []), NOW)["devices"][0]["cases"]) == 2


def test_comparing_many_cases_is_quick():
    rng = random.Random(1)
    cases = [case([rng.gauss(100, 1) for _ in range(5)], batch_size=b + 1) for b in range(60)]
    started = time.process_time()
    found = compare(one(*cases), one(*cases))
    assert len(found.cases) == 60
    assert time.process_time() - started < 2
