"""History: steps are found and not invented, and the gate closes on what is new."""

from __future__ import annotations

import math
import random
import statistics
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.analysis import history as analysis
from gpuprof.analysis.change_points import ENOUGH, SHORTEST, change_points
from gpuprof.analysis.history import regressions
from gpuprof.analysis.newest import over_earlier
from gpuprof.analysis.series import Point
from gpuprof.index.brief import shared
from gpuprof.record.run import RunRecord
from gpuprof.report.forms import markdown
from gpuprof.report.stories.history import History, regression, story
from support.nights import RATE, followed, night, stepped
from support.running import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import changes as bench

# ---- detection


@pytest.mark.slow
def test_steps_are_found_soon_and_not_invented():
    """As scripts/bench/changes.py, with fewer series; its goals less two standard errors of so few."""
    rng = random.Random(11)
    assert bench.found(rng, 60, 0.05, 5) >= 0.90
    assert bench.found(rng, 60, 0.03, 10) >= 0.77
    assert bench.found(rng, 30, 0.10, 5) >= 0.93
    assert bench.invented(rng, 100) <= 0.02


def test_a_long_series_is_searched_quickly():
    assert bench.seconds(random.Random(5)) < 0.4  # the goal is 0.2 on an idle machine


@pytest.mark.slow
def test_other_ways_to_scatter_invent_few_changes():
    """Most values equal, as of memory, or two states: the median of the differences is blind to the rest of them."""
    assert bench.changed(random.Random(11), 60, bench.tied) <= 0.05
    assert bench.changed(random.Random(11), 60, bench.two_states) <= 0.07


def test_a_single_night_is_told_and_few_are_invented():
    assert bench.nights(random.Random(11), 300, 0.05) >= 0.95
    assert bench.nights(random.Random(11), 300, 0.0) <= 0.09  # 3% are slowed on purpose


@pytest.mark.parametrize("values", [[], [1.0], [5.0] * 9, [5.0] * 30, [100.0, 1.0] * 4])
def test_nothing_is_found_in_what_is_short_or_constant(values):
    assert change_points(values) == []


def test_a_series_that_never_scatters_shows_its_step_and_no_rounding():
    assert change_points([1000.0] * 20 + [1010.0] * 20) == [20]
    assert change_points([1000.0 + 0.1 * (i % 2) for i in range(40)]) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1e-9, 1e12), min_size=ENOUGH, max_size=40), st.floats(1e-3, 1e3))
def test_the_unit_changes_nothing(values, factor):
    found = change_points(values)
    assert found == sorted(set(found))
    assert all(SHORTEST <= at <= len(values) - SHORTEST for at in found)
    assert change_points([value * factor for value in values]) == found


def test_only_the_last_runs_are_looked_at():
    (series,) = followed(*(night(i, 100.0 + i % 3) for i in range(analysis.WINDOW + 5)))
    assert len(series.points) == analysis.WINDOW
    assert series.points[-1].run_id.endswith(f"{analysis.WINDOW + 4:08x}")


# ---- levels


def test_slower_is_worse_whichever_way_the_metric_points():
    records = [r.model_dump(mode="json", by_alias=True) for r in stepped(12, 8)]
    for number, data in enumerate(records):
        data["cases"][0]["peak_memory_bytes"] = 1000 if number < 12 else 1200
    (series,) = followed(*map(RunRecord.model_validate, records), metric="peak_memory_bytes")
    assert series.changes[0].worse
    assert series.changes[0].ratio == pytest.approx(1.2)


# ---- the gate


def test_a_change_is_new_for_so_many_runs():
    series = followed(*stepped(20, 8))
    assert [r.settled for r in regressions(series)] == [True]
    assert regressions(series, last=6) == []
    assert regressions(series, least=0.2) == []
    assert regressions(followed(*stepped(20, 8, ratio=1.1))) == []


def test_a_recovery_ends_the_alarm():
    records = [*stepped(20, 8), *(night(28 + i, 100 + i % 2) for i in range(6))]
    (series,) = followed(*records)
    assert [change.worse for change in series.changes] == [True, False]
    assert regressions([series]) == []


@pytest.mark.parametrize(
    ("levels", "ratio"),
    [
        ([100, 90, 90.6], 0.906),  # not recovered
        ([100, 90, 89.5], 0.895),  # the last change alone would be too small
        ([100, 90, 93], 0.93),
        ([100, 98.2, 96.4], 0.964),  # neither of the two would count alone
        ([100, 120, 108], 0.9),  # what was won is lost again
        ([100, 90, 99.5], None),
        ([90, 100, 99.5], None),
    ],
)
def test_levels_count_and_not_the_last_change_alone(levels, ratio):
    lengths = (20, 5, 5)
    rates = [level + level * 1e-4 * (i % 2) for level, n in zip(levels, lengths, strict=True) for i in range(n)]
    series = followed(*(night(i, rate) for i, rate in enumerate(rates)))
    assert [change.position for change in series[0].changes] == [20, 25]
    assert [r.ratio for r in regressions(series)] == ([] if ratio is None else [pytest.approx(ratio, rel=1e-3)])
    if levels == [100, 90, 90.6]:
        (found,) = regressions(series)
        assert found.since.run_id == series[0].points[20].run_id


def test_a_series_that_has_ended_is_not_worse_for_ever():
    gone = stepped(20, 8)
    there = [night(100 + i, 100, host="other") for i in range(2)]
    assert regressions(followed(*gone))
    series = followed(*gone, *there)
    over = analysis.ended(series, "2026-12-12")
    assert [one.machine for one in over] == [series[0].machine]
    ahead = followed(*gone, night(20_000, 100, host="ahead"))  # by one clock that is wrong
    assert analysis.ended(ahead, "2026-09-29") == []
    assert analysis.ended([], "2026-09-29") == []
    assert analysis.ended(series, "no date") == []
    told = markdown.render(story(History("all", RATE, series, [], ended=over), "now"))
    assert "1 not judged" in told
    assert "ended 2026-09-28" in told


def test_a_short_series_is_judged_by_its_newest_run():
    (found,) = regressions(followed(night(0, 100), night(1, 50, driver="9")))
    assert not found.settled
    assert found.ratio == pytest.approx(0.5, rel=0.01)
    assert [(s.name, s.after) for s in found.suspects] == [("kernel", "9")]
    assert regressions(followed(night(0, 100, scatter=0.001), night(1, 96.5, scatter=0.001))) == []  # nights differ
    assert regressions(followed(night(0, 100, scatter=0.001), night(1, 90, scatter=0.001)))
    assert regressions(followed(night(0, 100, scatter=0.5), night(1, 50, scatter=0.5))) == []
    assert regressions(followed(night(0, 100, processes=1), night(1, 50, processes=1))) == []
    assert regressions(followed(night(0, 50), night(1, 100))) == []


def test_what_a_run_says_against_itself_stands_beside_its_regression():
    bad = night(1, 50).model_dump(mode="json", by_alias=True)
    bad["cases"][0]["steady"] = False
    bad["cases"][0]["absent"].pop("steady", None)
    (found,) = regressions(followed(night(0, 100), RunRecord.model_validate(bad)))
    assert found.cautions == ["not steady"]
    (quiet,) = regressions(followed(night(0, 100), night(1, 50)))
    assert quiet.cautions == []
    assert "(no other recorded change)" in regression(quiet)
    assert "not steady)" in regression(found)
    assert "no other recorded change" not in regression(found)


@pytest.mark.parametrize(
    ("shares", "cautions"),
    [
        ({"clocks_setting": 0.9, "none": 0.1}, []),  # somebody set them, which is no throttling
        ({"idle": 0.9, "none": 0.1}, []),
        ({"clocks_setting": 0.9, "thermal": 0.4}, ["throttled: thermal"]),
    ],
)
def test_only_what_slows_a_device_against_its_will_is_called_throttling(shares, cautions):
    bad = night(1, 50).model_dump(mode="json", by_alias=True)
    bad["cases"][0]["throttled_share"] = shares
    bad["cases"][0]["absent"].pop("throttled_share")
    (found,) = regressions(followed(night(0, 100), RunRecord.model_validate(bad)))
    assert found.cautions == cautions
    assert "clocks_setting" not in regression(found)


def test_tonight_alone_counts_where_it_is_asked_for():
    records = [*(night(i, 100 + i % 3) for i in range(30)), night(30, 50)]
    series = followed(*records)
    assert regressions(series) == []  # one run is no level
    assert [r.settled for r in regressions(series, tonight=True)] == [False]
    assert regressions(followed(*records[:-1]), tonight=True) == []


# ---- slow declines, days of the week, months


@pytest.mark.slow
def test_a_slow_decline_is_found_and_quiet_months_stay_quiet():
    """As scripts/bench/changes.py, with fewer series."""
    assert bench.decay(random.Random(3), 15) >= 0.93
    assert bench.weekends(random.Random(3), 6) <= 0.05
    assert bench.months(random.Random(3), 25) <= 0.24  # of the goal of 10% three standard errors above


def test_a_slow_decline_is_told_as_one():
    (found,) = regressions(followed(*(night(i, 100 * (1 - 0.001 * i) + 0.1 * (i % 2)) for i in range(100))))
    assert found.slowly
    assert 0.90 < found.ratio < 0.93
    assert "slowly since" in regression(found)


def test_a_step_long_ago_is_no_slow_decline():
    rng = random.Random(1)
    rates = [100 * (1 + rng.gauss(0, 0.003)) * (0.9 if i > 40 else 1) for i in range(100)]
    assert regressions(followed(*(night(i, rate) for i, rate in enumerate(rates)))) == []


def test_an_old_step_that_was_told_is_no_slow_decline_whatever_counts():
    rng = random.Random(1)
    rates = [100 * (1 + rng.gauss(0, 0.001)) * (0.985 if i > 40 else 1) for i in range(100)]
    series = followed(*(night(i, rate) for i, rate in enumerate(rates)))
    assert regressions(series, least=0.01) == []


def test_small_steps_that_nobody_was_told_of_add_up():
    rng = random.Random(1)
    rates = [100 * (1 + rng.gauss(0, 0.001)) * 0.985 ** (i // 40) for i in range(120)]
    series = followed(*(night(i, rate) for i, rate in enumerate(rates)))
    (found,) = regressions(series)
    assert found.slowly
    assert regressions(series, least=0.01) == []


def test_of_a_series_in_which_nothing_ever_changed_any_change_counts():
    series = followed(*(night(i, 100.0, scatter=0.0) for i in range(40)))
    assert regressions(series, least=0.0) == []


@pytest.mark.parametrize("others", [0, 9, 29])
def test_what_a_series_can_tell_counts_those_that_are_judged_with_it(others):
    """The size that it usually names is told in some 80%, however many stand beside it."""
    rng = random.Random(5)

    def points(newest=1.0):
        rates = [100 * math.exp(rng.gauss(0, 0.01)) for _ in range(9)]
        return [Point(f"r{i}", f"2026-09-{i + 1:02}T03:00:00Z", rate, None, {}, shared("{}"), shared("{}"), dict)
                for i, rate in enumerate([*rates[:-1], rates[-1] * newest])]  # fmt: skip

    def together(newest=1.0):
        nights = [points(newest), *(points() for _ in range(others))]
        return analysis.together([analysis.Series("x", "x", "d", "m", False, RATE, each, [], over_earlier(each))
                                  for each in nights])  # fmt: skip

    named = statistics.median(together()[0].resolution for _ in range(60))
    nights = [together(1 / (1 + named)) for _ in range(100)]
    told = sum(any(worse.series is series[0] for worse in regressions(series)) for series in nights)
    assert 0.68 <= told / 100 <= 0.92


def test_a_slow_weekday_is_still_told_where_weekends_are_slow():
    rng = random.Random(2)

    def rates(last):
        days = [100 * (1 + rng.gauss(0, 0.01)) * (0.96 if (i + 1) % 7 > 4 else 1) for i in range(41)]
        return [night(i, rate) for i, rate in enumerate([*days, last])]

    # The first night is a Tuesday: number 41 a Monday, and 40 a Sunday.
    assert regressions(followed(*rates(100)), tonight=True) == []
    (found,) = regressions(followed(*rates(93)), tonight=True)
    assert not found.settled
    sundays = [*rates(100)[:40], night(40, 96)]
    assert regressions(followed(*sundays), tonight=True) == []
