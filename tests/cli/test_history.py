"""`gpuprof history` from outside."""

from __future__ import annotations

import pytest

from support.made import publish
from support.nights import night, stepped
from support.running import gpuprof


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
    assert picked.json["series"][0]["too_short"] == "too short to judge: 4 of 10 runs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "speed"], "no history of metric 'speed'"),
        (["--metric", "temperature_max_c"], "known: throughput_per_s"),
        (["workload=none"], "matches 'workload=none'"),
        (["frequency=5"], "unknown field 'frequency'"),
        (["--last", "0"], "--last"),
        (["--require-power", "5%"], "--require-power is part of --check"),
        (["--check", "--require-power", "much"], "write 5% or 0.05"),
        (["--format", "html", "--json"], "contradict each other"),
    ],
)
def test_wrong_usage_is_told(tmp_path, arguments, message):
    done = gpuprof("history", "--store", tmp_path, *arguments)
    assert done.code == 2
    assert message in done.err + done.out


@pytest.mark.slow
def test_a_gate_may_require_that_a_change_would_show(tmp_path):
    quiet = publish(tmp_path / "quiet", *((night(i, 100 + 0.2 * (i % 3), scatter=0.001), {}) for i in range(12)))
    first = publish(tmp_path / "first", (night(0, 100), {}))
    two = publish(tmp_path / "two", *((night(i, 100, scatter=0.05), {}) for i in range(2)))

    def check(store, *options):
        done = gpuprof("history", "--store", store, "--check", "--json", *options)
        return done.code, done.json["cannot_tell"], done.json["headline"]

    assert check(quiet, "--require-power", "5%")[:2] == (0, 0)
    assert check(quiet, "--require-power", "0.1%")[:2] == (5, 1)
    code, cannot, headline = check(first)
    assert (code, cannot) == (0, 1)
    assert headline == "Too early to tell in any of 1 series: a first run has nothing to be compared with."
    assert check(first, "--require-power", "10%")[0] == 5
    code, cannot, headline = check(two, "--require-power", "0.1")
    assert (code, cannot) == (5, 1)
    assert "Too early to tell in any of 1 series: the smallest change that would show is " in headline
    page = gpuprof("history", "--store", two, "--format", "html").out
    assert "cannot tell yet" in page
    assert "nothing would show" in page
