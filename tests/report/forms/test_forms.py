"""What is printed and written, whole: `pytest --inline-snapshot=fix` rewrites the texts here when a form is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from io import StringIO
from typing import Any

from inline_snapshot import snapshot
from rich.console import Console

from gpuprof.report.forms import markdown
from gpuprof.report.forms import terminal as text
from gpuprof.report.views import run as terminal
from gpuprof.store.assemble import assemble
from support import stories
from support.journals import NOW, journal, repeat

WIDTH = 100
# The first and the last section hold a block of each kind.
STORY = dataclasses.replace(stories.demo(), sections=[stories.demo().sections[at] for at in (0, -1)])


def printed(parts: Iterable[Any]) -> str:
    console = Console(width=WIDTH, file=StringIO())
    for part in parts:
        console.print(part)
    # Tables fill their lines with blanks, and no editor leaves those alone.
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_a_run_in_a_terminal():
    record, _ = assemble(journal(repeat(0), repeat(1, samples_per_s=110.0, warnings=["gap of +2.8%"])), NOW)
    assert printed(terminal.render(record, WIDTH)) == snapshot("""\
test, 1 thread   no torch   full protocol
cnn · train · ieee · batch 8 · eager

  throughput        104.9 samples/s   [57.24 – 192.2 samples/s] 95%
  … by total time   104.9 samples/s   [57.24 – 192.2 samples/s] 95%
  latency p50       100.0 ms   [100.0 ms – 100.0 ms] 95%
  latency p90       200.0 ms
  latency p99       300.0 ms   upper bound of the worst process 400.0 ms
  first step        500.0 ms
  peak memory       1001 B   test
  energy a sample   none: made for a test
  precision         ieee asked, an unknown one ran
  correctness       unknown: the run ended before this case was checked
  regime            cpu, steady
  repeats           2 of 5 ok

warning: repeat 2: gap of +2.8%
ok   run 20261123T090000Z-test-00000000\
""")


def test_a_story_in_a_terminal():
    assert printed(text.render(STORY)) == snapshot("""\
SIMULATED: these numbers come from a vendor simulator and measure no hardware
The MI300X is faster in 2 of 5 comparable cases, slower in 1: 1.10× overall (1.04× to 1.16×)
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

The page has the charts and the method: -o report.html\
""")


def test_a_story_in_markdown():
    assert markdown.render(STORY) == snapshot("""\
# NVIDIA H100 80GB HBM3 against AMD Instinct MI300X

> **SIMULATED: these numbers come from a vendor simulator and measure no hardware**

**The MI300X is faster in 2 of 5 comparable cases, slower in 1: 1.10× overall \\(1.04× to 1.16×\\)**

- baseline: NVIDIA H100 80GB HBM3 driver 575.51 · CUDA 12.9 · torch 2.15.0
- candidate: AMD Instinct MI300X ROCm 7.0 · torch 2.15.0
- protocol: full, 5 fresh processes a case and side

## Which is faster

Six cases were measured on both sides; one of them did not run the same arithmetic.

LSTM training lost its fused kernel on the candidate: MIOpen fell back.

*Throughput, candidate over baseline:* Points right of 1 mean that the candidate is faster; lines are 95% intervals.

**Throughput by case, with 95% intervals**

| case | baseline | candidate | ratio | verdict |
| --- | ---: | ---: | ---: | --- |
| cnn · train · bf16 · batch 64 | 21,400 <sub>samples/s</sub> | 25,252 <sub>samples/s</sub> | **1.18×** <sub>1.12 – 1.24</sub> | **faster** |
| lstm · train · ieee · batch 32 | 4,650 <sub>samples/s</sub> | 3,627 <sub>samples/s</sub> | **0.78×** <sub>0.72 – 0.85</sub> | **slower** |
| gru · infer · bf16 · batch 1 | 1,930 <sub>samples/s</sub> | 1,969 <sub>samples/s</sub> | **1.02×** <sub>0.95 – 1.09</sub> | no difference shown |
| rnn · train · ieee · batch 32 | 6,120 <sub>samples/s</sub> | 5,569 <sub>samples/s</sub> | **0.91×** <sub>one process: no interval</sub> | no verdict |
| vgg16 · train · tf32 · batch 64 | 1,740 <sub>samples/s</sub> | 2,471 <sub>samples/s</sub> | ~~1.42×~~ <sub>1.31 – 1.53</sub> | faster <sub>tf32 here, fp32 there</sub> |
| vgg16 · infer · bf16 · batch 256 | 11,800 <sub>samples/s</sub> | 15,694 <sub>samples/s</sub> | **1.33×** <sub>1.29 – 1.37</sub> | **faster** |

## What this does not say

> **Each side is one machine: an interval over its processes is about that machine.**

- Power sensors of two vendors carry some 5% of systematic error that no statistics removes.
- Windows last seconds: sustained load is not covered.
- Prices were not given, so nothing is said about cost.

*gpuprof 0.2.0 · 2026-11-23 14:27 UTC · runs 20261123T142758Z-1aa7fa27 and 20261123T151502Z-77c0d9e1*
""")  # noqa: E501 - rows of a table
