"""A run in a terminal: a card for one case, a row each for many; nothing cut, nothing steered."""

from __future__ import annotations

from inline_snapshot import snapshot

from gpuprof.report.views import run as terminal
from gpuprof.store.assemble import assemble
from support.consoles import WIDTH, printed
from support.journals import NOW, journal, repeat


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
