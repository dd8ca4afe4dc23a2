"""A story in a terminal, whole: `pytest --inline-snapshot=fix` rewrites the text here when the form is changed."""

from __future__ import annotations

import dataclasses
import math

from inline_snapshot import snapshot

from gpuprof.report.forms import terminal as text
from gpuprof.report.story import Cell
from support import stories
from support.consoles import printed

STORY = stories.of_each_kind()


def test_a_story_in_a_terminal():
    assert printed(text.render(STORY)) == snapshot("""\
SIMULATED: these numbers come from a simulator, not from hardware
baseline   NVIDIA H100 80GB HBM3 driver 575.51 · CUDA 12.9 · torch 2.15.0
candidate  AMD Instinct MI300X ROCm 7.0 · torch 2.15.0
protocol   full, 5 fresh processes a case and side

Which is faster
Six cases were measured on both sides; one of them did not run the same arithmetic.
LSTM training lost its fused kernel on the candidate: MIOpen fell back.
Throughput by case, with 95% intervals

  case                      baseline   candidate                     ratio   verdict
 ──────────────────────────────────────────────────────────────────────────────────────────────────
  cnn · train · bf16 ·        21,400      25,252                     1.18×   faster
  batch 64                 samples/s   samples/s               1.12 – 1.24
  lstm · train · ieee ·        4,650       3,627                     0.78×   slower
  batch 32                 samples/s   samples/s               0.72 – 0.85
  gru · infer · bf16 ·         1,930       1,969                     1.02×   no difference shown
  batch 1                  samples/s   samples/s               0.95 – 1.09
  rnn · train · ieee ·         6,120       5,569                     0.91×   no verdict
  batch 32                 samples/s   samples/s           one process: no
                                                                  interval
  vgg16 · train · tf32 ·       1,740       2,471                     1.42×   faster
  batch 64                 samples/s   samples/s               1.31 – 1.53   tf32 here, fp32 there
  vgg16 · infer · bf16 ·      11,800      15,694                     1.33×   faster
  batch 256                samples/s   samples/s               1.29 – 1.37


What this does not say
Each side is one machine: an interval over its processes is about that machine.
  · Power sensors of two vendors carry some 5% of systematic error that no statistics removes.
  · Windows last seconds: sustained load is not covered.
  · Prices were not given, so nothing is said about cost.

With charts as a page: -o report.html

The MI300X is faster in 2 of 5 comparable cases, slower in 1: 1.10× overall (1.04× to 1.16×)\
""")


def test_a_comparison_fits_24_lines_of_80_columns_with_the_answer_last(told):
    shown = printed(text.render(told, 80, verbose=False), width=80).splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    assert "SIMULATED" in shown[0]
    last = " ".join(shown[shown.index("") :][-3:])
    assert told.headline in last
    assert "MDE" in last
    whole = "\n".join(shown)
    assert whole.count("●") == 7, "five ratios of speed, energy and power"
    assert "Weakened by" in whole
    assert "To show 5%" in whole


def test_an_interval_in_characters_shows_where_1_is_and_where_it_was_cut():
    cells = [Cell("", bar=bar) for bar in ((0.5, 1.0, 2.0), (1.1, 1.2, 1.3), (0.01, 1.0, 100.0))]
    drawn = [text._drawn(cell, reach) for cell, reach in zip(cells, (0.7, 0.7, math.log(4)), strict=True)]
    assert [len(line) for line in drawn] == [25] * 3
    assert drawn[0].startswith("├─") and drawn[0].endswith("─┤") and drawn[0][12] == "●"
    assert drawn[1][12] == "┊" and drawn[1].index("├") > 12
    assert drawn[2].startswith("◂─") and drawn[2].endswith("─▸")
    assert text._drawn(Cell("", bar=(0.0, 1.0, math.inf)), 1.0).strip() == "┊"


def test_a_story_without_a_glance_shows_its_first_rows_and_the_answer_last():
    shown = printed(text.render(STORY, 60, verbose=False), width=60).splitlines()
    assert max(map(len, shown)) <= 60
    assert len(shown) <= 24
    assert any(line.startswith("cnn · train · bf16") for line in shown)
    assert "1.10× overall" in " ".join(shown[-2:])


def test_records_that_were_left_out_are_named_in_short_as_well(told):
    some = dataclasses.replace(told, left_out=["x: no record", "y: no record"])
    assert "2 records left out: x: no record" in printed(text.render(some, 80, verbose=False), width=80)
