"""What a page holds: its policy, its texts, its cells, and no script where it is still."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import re
import sys

import pytest

from gpuprof.report.charts import cases as charts
from gpuprof.report.forms import page
from gpuprof.report.story import Cell, Chart, Notice, Section, Story, Table
from gpuprof.text import printable
from support import stories
from support.stories import CHARTS, HOSTILE


@pytest.mark.slow
def test_the_policy_names_the_scripts_and_nothing_else(plain):
    text = plain.read_text("utf-8")
    assert len(text.encode()) < 1_000_000
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (packed,) = re.findall(r'<script type="text/plain" id="library">(.*?)</script>', text, re.DOTALL)
    scripts.append(gzip.decompress(base64.b64decode(packed)).decode())
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.search(r"script-src ([^;]*);", policy)[1].split() == [f"'sha256-{digest}'" for digest in digests]
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy and "http" not in policy
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(specs) == CHARTS
    assert all(not set("<>&") & set(spec) and json.loads(spec)["config"] for spec in specs)


@pytest.mark.slow
def test_the_still_page_has_no_script():
    text = page.render(stories.poisoned(stories.demo(), HOSTILE), interactive=False)
    assert "<script" not in text
    assert "script-src &#39;none&#39;" in text
    assert text.count('class="marks"') == CHARTS
    assert len(text) < 1_000_000


def test_a_story_without_charts_needs_no_bundle(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    text = page.render(Story("t", "h", "plain", (), (Section("a", "A", (Table("c", ("x",), ()),)),), "m"))
    assert 'id="library"' not in text and 'role="alert"' not in text


def test_texts_cannot_steer_their_display():
    assert printable("a\u202eb\x1b[0m\ud800\u00a0ü\n") == "a\ufffdb\ufffd[0m\ufffd\u00a0ü\n"
    chart = Chart("c", "t", "s", charts.ratios([
        {"label": "\u202e\ud800", "ratio": 2.0, "low": None, "high": None, "verdict": "", "allowed": True},
    ]))  # fmt: skip
    chart.spec["data"]["values"][0]["extra"] = math.nan
    page.render(Story("\ud800", "h", "plain", (), (Section("a", "A", (chart,)),), "m")).encode()


def test_cells():
    table = Table("c", ("case", "ratio"), [
        (Cell("a"), Cell("1.5×", "good", number=True, bar=(1.2, 1.5, 1.9))),
        (Cell("b"), Cell("–", struck=True, bar=(0.0, math.nan, 1.0))),
    ])  # fmt: skip
    text = page.render(Story("t", "h", "plain", (), (Section("a", "A", (table,)), Section("glossary", "G", ())), "m"))
    assert text.count('<svg class="bar"') == 1  # what a log scale cannot show has no picture
    assert '<span class="hidden">not comparable: </span><s>–</s>' in text
    assert '<th scope="col" class="number"><a class="term" href="#glossary" title="Candidate divided' in text
    assert '<span class="mark" aria-hidden="true">▲</span> 1.5×' in text


def test_what_stands_between_backticks_is_code_and_still_escaped():
    story = Story("t", "Ask `gpuprof doctor`", "plain", (), (Section("a", "A", (Notice("`<b>` and `x"),)),), "m")
    text = page.render(story)
    assert "Ask <code>gpuprof doctor</code>" in text
    assert "<code>&lt;b&gt;</code> and `x" in text
