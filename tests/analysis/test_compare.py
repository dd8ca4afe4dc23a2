"""What a comparison claims: of cases, of the best batch, of the whole, of real runs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
import time

import pytest

from gpuprof.absent import Absent
from gpuprof.analysis import compare as analysis
from gpuprof.analysis.claims import ONE_PROCESS
from gpuprof.analysis.evidence import gather
from gpuprof.report.forms import markdown
from gpuprof.report.forms.document import document
from gpuprof.report.stories import comparison, overview
from gpuprof.report.stories.answer import answer
from gpuprof.store import runs as store
from support.running import KEPT, SAMPLES
from support.sides import NOW, STEADY, case, claims, compare, one, real, rows, run, side

CPU, SIMULATED = (store.run_directories(SAMPLES / kind) for kind in ("cpu", "simulated"))


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
    assert ONE_PROCESS in answer(found, ("a", "b")).whole


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
    alone = compare(one(case()), one(case((109.5, 110.5, 108.5))))
    assert claims(alone)[0].verdict == "faster"
    p = claims(alone)[0].p_adjusted
    many = compare(
        one(*(case(workload=w) for w in works)),
        one(
            case((109.5, 110.5, 108.5), workload="w0"),
            *(case((100.5 + i / 100, 99.4, 100.2), workload=w) for i, w in enumerate(works[1:])),
        ),
    )
    # The whole is not shown, which leaves 1% for eight claims in place of 5%.
    assert many.overall.verdict == "no difference shown"
    first = claims(many)[0]
    assert first.p_adjusted == pytest.approx(8 * p * 5)
    assert first.verdict == "no difference shown"
    assert first.level == pytest.approx(0.01 / 8)
    assert first.interval[0] < 1 < first.ci95[0]


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
    """10 s of compilation, then 20 ms a step instead of 40 ms: paid off after 500 steps."""
    eager = case((800, 801, 799), first_step=0.5, batch_size=32)
    compiled = case((1600, 1602, 1598), first_step=10.5, batch_size=32, variant="compile")
    there = compare(one(eager), one(compiled), vary={"variant"}).cases[0]
    assert there.break_even.steps == pytest.approx(500)
    assert there.break_even.says == "steps until the candidate's longer first step has paid off"
    back = compare(one(compiled), one(eager), vary={"variant"}).cases[0]
    assert back.break_even.steps == pytest.approx(500)
    assert back.break_even.says == "steps until the baseline's longer first step has paid off"


@pytest.mark.parametrize(
    ("first", "rate", "says"),
    [(0.4, 1.5, "candidate is ahead"), (0.6, 0.5, "baseline is ahead"), (0.5, 1.5, "candidate is ahead"),
     (0.5, 1.0, "neither side is ahead"), (0.6, 1.0, "baseline is ahead"), (None, 1.0, "unknown")],
)  # fmt: skip
def test_no_break_even_says_why(first, rate, says):
    found = compare(one(case(first_step=0.5)), one(case([r * rate for r in STEADY], first_step=first)))
    even = found.cases[0].break_even
    assert isinstance(even, Absent)
    assert says in even.reason


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
    assert found.overall.spread == pytest.approx((2 * 0.015**2 + 2 * 0.01**2) ** 0.5)
    measured = compare(real(CPU[0]), nvidia)
    assert not measured.overall.allowed
    assert "simulated numbers do not come from hardware" in claims(measured)[0].reason


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


def test_comparing_many_cases_is_quick():
    rng = random.Random(1)
    cases = [case([rng.gauss(100, 1) for _ in range(5)], batch_size=b + 1) for b in range(60)]
    started = time.process_time()
    found = compare(one(*cases), one(*cases))
    assert len(found.cases) == 60
    assert time.process_time() - started < 2


def test_three_runs_of_one_day_do_not_show_how_days_differ():
    """A session whose machine is 2% slower than the other's: three runs in a row are not three days of it."""
    rates = [(100 * (1 + i / 1000), 100.1, 99.9) for i in range(3)]
    slower = [tuple(0.98 * rate for rate in each) for each in rates]

    def runs(each, days):
        named = [f"2026112{day}T090000Z-test-{next(ids):08x}" for day in days]
        return side(*(run(case(found), run_id=name) for found, name in zip(each, named, strict=True)))

    ids = itertools.count(900)
    (in_a_row,) = claims(compare(runs(rates, (1, 1, 1)), runs(slower, (1, 1, 1))))
    (by_days,) = claims(compare(runs(rates, (1, 2, 3)), runs(slower, (4, 5, 6))))
    assert (in_a_row.unit, in_a_row.verdict) == ("run", "no difference shown")
    assert in_a_row.spread == pytest.approx(0.01 * math.sqrt(2), rel=0.01)
    assert (by_days.unit, by_days.verdict, by_days.spread) == ("run", "slower", 0.0)
