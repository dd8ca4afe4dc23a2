"""What earlier runs of a machine say of its days: which of them, and how much."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import pytest

from gpuprof.analysis import compare as analysis
from gpuprof.analysis import past
from gpuprof.analysis.evidence import gather
from gpuprof.index.brief import brief
from gpuprof.index.sources import Chosen
from support.sides import case, run, side


class Store:
    """Stands for `Sources`: digests in the order of their directories' names, which a host's clock gave."""

    def __init__(self, digests) -> None:
        self._digests = digests
        self.queries = 0

    def of_machines(self, machines):
        self.queries += 1
        return [Chosen(brief(one), None, lambda one=one: one) for one in self._digests if one.machine in machines]


def at(day: int, hour: int = 9, minute: int = 0) -> str:
    return f"2026-11-{day:02}T{hour:02}:{minute:02}:00.000Z"


RNG = random.Random(3)


def rates(offset: float) -> list[float]:
    return [100 * math.exp(offset + RNG.gauss(0, 0.001)) for _ in range(5)]


def compiled(offset: float):
    return case(rates(offset), variant="compile", case_id="y")


def nights(count: int = 12, **more):
    """A quiet eager case and a compiled one that a night changes by some 6%."""
    return [run(case(rates(0.0005 * (i % 2))), compiled(0.06 * (i % 2)), started_at=at(1 + i), **more)
            for i in range(count)]  # fmt: skip


def days(baseline, candidate, store, **more):
    past.remember(baseline, candidate, Store(store))
    return analysis.compare(baseline, candidate, **more).overall.effect.days


def test_sides_that_alternate_are_as_far_apart_as_their_runs():
    """The middle of Monday and Wednesday is Tuesday: what runs ten minutes apart differ by says nothing of days."""
    near = [run(case(rates(0.0005 * (i % 2))), started_at=at(1, 1 + i // 6, i % 6 * 10)) for i in range(60)]

    def sides():
        return side(*(run(case(rates(0.01)), started_at=at(day)) for day in (9, 11))), side(
            run(case(rates(0.02)), started_at=at(10))
        )

    assert past._apart(*sides()) == timedelta(days=2)
    assert days(*sides(), near) == days(*sides(), [])


@pytest.mark.parametrize("runs", [1, 2])
def test_sides_of_the_same_runs_need_no_past(runs):
    both = [run(case(rates(0)), compiled(0.04), started_at=at(20 + i)) for i in range(runs)]
    sides = [gather("x", [(one, one.cases[i : i + 1]) for one in both]) for i in range(2)]
    past.remember(*sides, Store(nights()))
    assert not sides[0].earlier | sides[1].earlier


def test_the_order_of_the_sides_changes_nothing():
    def sides():
        return side(run(case(), started_at=at(20))), side(run(compiled(0.04), started_at=at(20, 10)))

    store = nights()
    there, back = (days(*pair, store, vary={"variant"}) for pair in (sides(), sides()[::-1]))
    assert tuple(there) == pytest.approx(tuple(back))
    assert there.se > 0.02, "the compiled case's own nights count as well"


def test_what_both_sides_ran_on_a_machine_counts_once():
    def sides(*machines):
        return [side(run(case(rates(0)), started_at=at(20 + i), machine=m)) for i, m in enumerate(machines)]

    one = days(*sides("a", "a"), nights())
    freedom = 11 * 2 / 3
    assert one.freedom == pytest.approx(3 + freedom)  # the round figure's, and 11 differences'
    # Of two machines each side has what its own one showed.
    two = days(*sides("a", "b"), [*nights(), *nights(machine="b")])
    assert two.freedom == pytest.approx(3 + freedom)


def test_jobs_and_their_devices_make_no_run_unlike():
    def store(**variables):
        return [run(case(rates(0)), started_at=at(1 + i),
                    facts={"variables": {name: f"{value}{i}" for name, value in variables.items()}})
                for i in range(12)]  # fmt: skip

    def earlier(digests):
        sides = [side(run(case(rates(0)), started_at=at(20 + i))) for i in range(2)]
        past.remember(*sides, Store(digests))
        return len(sides[0].earlier)

    assert earlier(store(SLURM_JOB_ID="1", CUDA_VISIBLE_DEVICES="")) == 12
    assert earlier(store(OMP_NUM_THREADS="1")) == 0


def test_a_card_that_was_in_two_hosts_has_one_past():
    digests = nights(host="h0")[::2] + nights(host="h1")[1::2]  # as two hosts' directories may lie in a store
    sides = [side(run(case(rates(0)), started_at=at(20 + i))) for i in range(2)]
    past.remember(*sides, Store(digests))
    assert len(sides[0].earlier) == 12


def test_many_machines_ask_once_and_those_that_need_nothing_not_at_all():
    def many(day, *also):
        return side(*(run(case(rates(0)), *(also if i < 2 else ()), machine=f"m{i}", started_at=at(day))
                      for i in range(40)))  # fmt: skip

    store = Store([])
    past.remember(many(20), many(21), store)
    assert store.queries == 0
    past.remember(many(20, compiled(0)), many(21), store)
    assert store.queries == 1


@pytest.mark.parametrize("start", ["", "today", "2026-11-20T09:00:00", "+10000-01-01T00:00:00Z"])
def test_a_start_that_is_no_time_remembers_nothing(start):
    sides = [side(run(case(rates(0)), started_at=start)), side(run(case(rates(0)), started_at=at(20)))]
    past.remember(*sides, Store(nights()))
    assert not sides[0].earlier
