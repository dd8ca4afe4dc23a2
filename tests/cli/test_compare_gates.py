"""Comparisons as gates of a pipeline: exit codes, the run before, what would show a difference."""

from __future__ import annotations

import random

import pytest

from support import rivals
from support.rivals import document, told
from support.running import gpuprof

pytestmark = pytest.mark.slow


@pytest.fixture
def sides(tmp_path):
    """Two cards of one store, the second `ratio` times as fast; processes scatter by `sd`."""

    def fill(ratio: float, sd: float = 0.002):
        rng = random.Random(2)
        for number, speed in ((0, 100), (1, 100 * ratio)):
            cases = {w: [speed * (1 + rng.gauss(0, sd)) for _ in range(5)] for w in ("cnn", "lstm")}
            rivals.run(tmp_path, number, cases, device="H100", card="one")
        return "--store", tmp_path

    return fill


def code(*arguments) -> int:
    done = gpuprof("compare", "previous", "last", *arguments)
    assert "previous" in done.out or "rival" in done.out or done.code == 2
    return done.code


@pytest.mark.parametrize(
    ("ratio", "sd", "options", "expected"),
    [
        (0.8, 0.002, ("--fail-on", "slower"), 5),
        (0.8, 0.002, ("--fail-on", "slower", "--least", "30%"), 0),
        (0.8, 0.002, ("--fail-on", "no-verdict"), 0),
        (1.25, 0.002, ("--fail-on", "slower", "--fail-on", "no-verdict"), 0),
        (0.8, 0.002, (), 0),
        (1.0, 0.1, ("--fail-on", "no-verdict"), 5),
        (1.0, 0.1, ("--fail-on", "slower"), 0),
        (1.0, 0.0005, ("--fail-on", "no-verdict", "--least", "8%"), 0),
        (1.0, 0.0005, ("--fail-on", "no-verdict", "--least", "0.01"), 5),
    ],
)
def test_fail_on(sides, ratio, sd, options, expected):
    assert code(*sides(ratio, sd), *options) == expected


@pytest.mark.parametrize(
    ("fate", "whose", "expected"),
    [
        ("out_of_memory", 1, 5),
        (None, 1, 5),
        ("crashed", 0, 0),  # nothing that the baseline had is lost
        (None, 0, 0),  # a new case
    ],
)
def test_a_case_of_the_baseline_without_a_verdict_fails_its_gate(tmp_path, fate, whose, expected):
    for number, speed in ((0, 100), (1, 180)):
        cases = {"cnn": [speed, speed * 1.001, speed * 0.999], "lstm": [speed * 1.002, speed, speed * 1.001]}
        if number == whose:
            cases["lstm"] = fate
        rivals.run(tmp_path, number, {w: c for w, c in cases.items() if c is not None}, device="H100", card="one")
    done = gpuprof("compare", "previous", "last", "--store", tmp_path, "--fail-on", "no-verdict")
    assert (done.code, "lstm" in done.err) == (expected, expected == 5), done.out + done.err


def test_the_report_is_written_also_where_the_gate_fails(sides, tmp_path):
    page = tmp_path / "report.html"
    assert gpuprof("compare", "previous", "last", *sides(0.8), "--fail-on", "slower", "-o", page).code == 5
    assert "slower" in page.read_text()


@pytest.mark.parametrize("least", ["5 %%", "0", "-1%", "many", "nan"])
def test_a_share_that_is_none_is_a_mistake(sides, least):
    done = gpuprof("compare", "previous", "last", *sides(1.0), "--least", least)
    assert done.code == 2
    assert "write 5% or 0.05" in done.err


def test_previous_is_the_run_before_of_the_same_configuration(sides, tmp_path):
    store = sides(0.8)
    done = gpuprof("show", "previous", *store, "--json")
    assert done.json["run_id"].endswith("rival-00000000")
    for path in tmp_path.glob("*-rival-00000000"):
        path.rename(tmp_path / path.name.replace("rival", "other"))
    alone = gpuprof("show", "previous", *store)
    assert alone.code == 2
    assert "no run before" in alone.err
    assert "is of the same configuration" in alone.err


def test_no_difference_shown_says_what_would_show_one(sides):
    store = sides(1.0, 0.02)
    first = told("previous", "last", *store, "--least", "2%")
    assert "To show 2%:" in first
    assert "processes a side that take turns in one run" in first
    assert "runs a side, each on a day of its own (now 1)" in first
    plan = document("previous", "last", *store, "--least", "2%")["plan"]
    assert (plan["least"], plan["power"]) == (0.02, 0.8)
    options = {option["what"]: option for option in plan["options"]}
    assert options["runs"]["needed"] > options["runs"]["now"] == 1
    assert "To show" not in told("previous", "last", *store, "--least", "90%")
