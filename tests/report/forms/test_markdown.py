"""A story in Markdown, whole: `pytest --inline-snapshot=fix` rewrites the text here when the form is changed."""

from __future__ import annotations

from inline_snapshot import snapshot

from gpuprof.report.forms import markdown
from support import stories

STORY = stories.of_each_kind()


def test_a_story_in_markdown():
    assert markdown.render(STORY) == snapshot("""\
# NVIDIA H100 80GB HBM3 against AMD Instinct MI300X

> **SIMULATED: these numbers come from a simulator, not from hardware**

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
