"""The story of a history: every form tells the change."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gpuprof.analysis.history import regressions
from gpuprof.report.charts import drawing
from gpuprof.report.forms import markdown, page
from gpuprof.report.stories.history import History, sparkline, story
from support.nights import RATE, followed, night, stepped


def test_a_simulated_device_is_named_above_everything():
    series = [replace(one, simulated=True) for one in followed(night(0, 100, gpu="NVIDIA H100"))]
    told = story(History("all", RATE, series, []), "now")
    assert told.banners[0].startswith("SIMULATED: a simulator stood in for NVIDIA H100;")
    assert story(History("all", RATE, followed(night(0, 100)), []), "now").banners == []


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
