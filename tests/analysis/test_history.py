"""History: steps are found and not invented, what changed with them is named, and the gate closes on what is new."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.analysis import history as analysis
from gpuprof.analysis.history import ENOUGH, change_points, history, regressions
from gpuprof.index.brief import brief
from gpuprof.index.digest import digest
from gpuprof.record.run import RunRecord
from gpuprof.report.charts import drawing
from gpuprof.report.forms import markdown, page
from gpuprof.report.stories.history import History, regression, sparkline, story
from gpuprof.store.assemble import assemble
from support.journals import journal, repeat
from support.made import publish
from support.running import ROOT, gpuprof, imported_by

sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import changes as bench

from support.nights import night

RATE = "throughput_per_s"


def followed(*records: RunRecord, metric: str = RATE) -> list[analysis.Series]:
    digests = [digest(record) for record in records]
    return history([(brief(one), None, lambda one=one: one) for one in digests], metric)


def stepped(before: int, after: int, ratio: float = 0.9, seed: int = 3, **then) -> list[RunRecord]:
    """Nights with a step; `then` holds from the step on."""
    rng = random.Random(seed)
    rates = [100 * (1 + rng.gauss(0, 0.01)) * (ratio if i >= before else 1) for i in range(before + after)]
    return [night(i, rate, **(then if i >= before else {})) for i, rate in enumerate(rates)]


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
    assert bench.nights(random.Random(11), 300, 0.05) >= 0.98
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
    assert all(analysis.SHORTEST <= at <= len(values) - analysis.SHORTEST for at in found)
    assert change_points([value * factor for value in values]) == found


def test_only_the_last_runs_are_looked_at():
    (series,) = followed(*(night(i, 100.0 + i % 3) for i in range(analysis.WINDOW + 5)))
    assert len(series.points) == analysis.WINDOW
    assert series.points[-1].run_id.endswith(f"{analysis.WINDOW + 4:08x}")


# ---- series and suspects


def test_a_step_has_its_levels_direction_and_what_changed_with_it():
    (series,) = followed(*stepped(20, 8, driver="6.2", torch="2.16.0"))
    (change,) = series.changes
    assert abs(change.position - 20) <= 1
    assert change.worse
    assert change.ratio == pytest.approx(0.9, rel=0.02)
    assert {(s.name, s.before, s.after) for s in change.suspects} == {
        ("kernel", "1", "6.2"), ("PyTorch", "2.15.0", "2.16.0"),
    }  # fmt: skip
    (slower,) = followed(*stepped(20, 8, ratio=1.2), metric="throughput_total_per_s")
    assert not slower.changes[0].worse
    assert slower.changes[0].suspects == ()


def test_slower_is_worse_whichever_way_the_metric_points():
    records = [r.model_dump(mode="json", by_alias=True) for r in stepped(12, 8)]
    for number, data in enumerate(records):
        data["cases"][0]["peak_memory_bytes"] = 1000 if number < 12 else 1200
    (series,) = followed(*map(RunRecord.model_validate, records), metric="peak_memory_bytes")
    assert series.changes[0].worse
    assert series.changes[0].ratio == pytest.approx(1.2)


def test_series_are_one_machine_one_file_one_work():
    records = [
        night(0, 100), night(1, 100, host="other"), night(2, 100, config="y"), night(3, 100, requested="bf16"),
        night(4, 100, threads=8), night(5, 100, params={"fused": False}), night(6, 100, effective="tf32"),
        night(7, 100, params={"hidden_size": 8}),
    ]  # fmt: skip
    series = followed(*records)
    assert sorted(len(one.points) for one in series) == [1, 1, 1, 1, 4]  # threads, kernels, arithmetic: settings
    assert len({one.title for one in series}) == len(series)


def test_a_run_with_several_ways_of_the_same_work_keeps_them_apart():
    lines = journal(repeat(0, samples_per_s=100))
    request = lines[1]["request"]
    lines.insert(2, {**lines[1], "case_id": "b", "request": {**request, "threads": 4}})
    lines.insert(4, {"type": "repeat", "case_id": "b", "repeat": repeat(0, samples_per_s=300), "raw": {}})
    both = assemble(lines, "2026-11-23T09:00:00.000Z")[0]
    one, other = followed(night(0, 99, config="x").model_copy(update={"config": both.config}), both)
    assert sorted((len(one.points), len(other.points))) == [1, 2]


def test_seeds_of_one_run_are_series_of_their_own():
    lines = journal(repeat(0, samples_per_s=100))
    lines.insert(2, {**lines[1], "case_id": "seed1"})
    lines.insert(4, {"type": "repeat", "case_id": "seed1", "repeat": repeat(0, samples_per_s=80), "raw": {}})
    series = followed(assemble(lines, "2026-11-23T09:00:00.000Z")[0])
    assert [[round(value) for value in one.values] for one in series] == [[100], [80]]
    assert len({one.title for one in series}) == 2


def test_failed_and_wrong_runs_are_no_points():
    (series,) = followed(night(0, 100), night(1, 100, outcome="error"), night(2, 1000, verdict="wrong"))
    assert [point.value for point in series.points] == [pytest.approx(100, rel=0.01)]
    assert series.newest is None
    assert "too short to tell: 1 run of 10" in series.short


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


def test_a_simulated_device_is_named_above_everything():
    series = [replace(one, simulated=True) for one in followed(night(0, 100, gpu="NVIDIA H100"))]
    told = story(History("all", RATE, series, []), "now")
    assert told.banners[0].startswith("SIMULATED: a vendor simulator stood for NVIDIA H100.")
    assert story(History("all", RATE, followed(night(0, 100)), []), "now").banners == []


def test_what_a_run_says_against_itself_stands_beside_its_regression():
    bad = night(1, 50).model_dump(mode="json", by_alias=True)
    bad["cases"][0]["steady"] = False
    bad["cases"][0]["absent"].pop("steady", None)
    (found,) = regressions(followed(night(0, 100), RunRecord.model_validate(bad)))
    assert found.cautions == ["it was not steady"]
    (quiet,) = regressions(followed(night(0, 100), night(1, 50)))
    assert quiet.cautions == []
    assert "(nothing else changed)" in regression(quiet)
    assert "it was not steady)" in regression(found)
    assert "nothing else changed" not in regression(found)


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


# ---- shown


def test_sparkline():
    assert sparkline([1, 2, 4, 8]) == "▁▃▆█"
    assert sparkline([7, 7, 7]) == "▄▄▄"
    assert len(sparkline(range(1, 100))) == 12


def shown(worse: bool = True, **then) -> History:
    series = followed(*stepped(20, 8, ratio=0.9 if worse else 1.2, **then))
    return History("all", RATE, series, regressions(series))


def test_every_form_tells_the_change():
    found = shown(driver="<script>alert(1)</script>")
    told = story(found, "now")
    html = page.render(told)
    assert "<script>alert(1)" not in html
    assert "kernel 1 →" in html
    for text in (html, markdown.render(told)):
        assert re.search(r"regression 0\.[89]", text)
        assert "since 2026-09-2" in text
        assert "0.9" in text
    (chart,) = [b for s in told.sections for b in s.blocks if type(b).__name__ == "Chart"]
    picture = drawing.svg(chart.spec)
    assert "var(--bad)" in picture
    assert "var(--good)" in drawing.svg(
        next(b for s in story(shown(worse=False), "now").sections for b in s.blocks if type(b).__name__ == "Chart").spec
    )


@pytest.mark.parametrize("runs", [2, 20])
def test_a_series_without_a_change_is_drawn(runs):
    series = followed(*(night(i, 100.0 + i % 3) for i in range(runs)))
    (chart,) = [b for s in story(History("all", RATE, series, []), "now").sections for b in s.blocks
                if type(b).__name__ == "Chart"]  # fmt: skip
    picture = drawing.svg(chart.spec)
    assert "Infinity" not in picture
    assert "NaN" not in picture
    assert picture.count("<path") >= runs  # a point each


@pytest.mark.slow
def test_the_command(tmp_path):
    store = publish(tmp_path / "store", *((record, {}) for record in stepped(20, 8, driver="6.2")))
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = gpuprof("history", "--store", store, env=env)
    assert done.code == 0
    assert "Worse: " in done.out
    assert "kernel 1 → 6.2" in " ".join(done.out.split())
    assert any(bar in done.out for bar in "▁█")
    checked = gpuprof("history", "--store", store, "--check", "--json", env=env)
    assert checked.code == 5
    assert checked.json["schema"] == "gpuprof.history/1"
    assert checked.json["regressions"][0]["workload"] == "cnn"
    assert checked.json["series"][0]["changes"][0]["direction"] == "regression"
    assert gpuprof("history", "--store", store, "--check", "--last", "3", env=env).code == 0
    assert gpuprof("history", "--store", store, "-o", tmp_path / "h.html", env=env).code == 0
    assert "history-0" in (tmp_path / "h.html").read_text()
    picked = gpuprof("history", "date<2026-09-05", "--store", store, "--check", "--json", env=env)
    assert picked.code == 0
    assert picked.json["series"][0]["too_short"] == "too short to tell: 4 runs of 10"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "speed"], "no metric 'speed'"),
        (["--metric", "temperature_max_c"], "there are throughput_per_s"),
        (["workload=none"], "that fulfils 'workload=none'"),
        (["frequency=5"], "no field 'frequency'"),
        (["--last", "0"], "--last"),
        (["--format", "html", "--json"], "two different things"),
    ],
)
def test_wrong_usage_is_told(tmp_path, arguments, message):
    done = gpuprof("history", "--store", tmp_path, *arguments)
    assert done.code == 2
    assert message in done.err + done.out


def test_help_imports_no_statistics():
    for arguments in (["history", "--help"], ["nightly", "--help"], ["schedule", "render", "--help"]):
        assert not imported_by(*arguments) & {"numpy", "scipy", "ruptures", "torch", "rich", "pydantic"}
