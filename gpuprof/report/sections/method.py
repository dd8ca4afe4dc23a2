"""Raw numbers, where they are stored, and how they were made."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof import units
from gpuprof.analysis.compare import HEADLINE
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Block, Bullets, Cell, Table
from gpuprof.report.wording import NONE
from gpuprof.text import listed

_MOST_RUNS = 50


def blocks(subject: Subject) -> Iterable[Block]:
    """Each process's throughput in the newest runs, the newest 50 runs of each side, and METHOD."""
    rows = []
    for case in subject.comparison.cases:
        for name, side in zip(subject.names, (case.pair.baseline, case.pair.candidate), strict=True):
            values = side.newest.processes.get(HEADLINE, [])
            shown = listed([units.number(value) for value in values], 12) or NONE
            rows.append([Cell(case.title), Cell(name), Cell(shown), Cell(side.newest_run), Cell(side.newest.case_id)])
    if rows:
        yield Table("Throughput of each process in the newest run, samples/s, and its source",
                    ("case", "side", "processes", "run", "case in record.json"), rows, folded=True)  # fmt: skip
    runs = []
    for name, evidence in zip(subject.names, (subject.comparison.baseline, subject.comparison.candidate), strict=True):
        newest = sorted(evidence.runs, key=lambda run: run[1], reverse=True)
        runs += [[Cell(name), Cell(run), Cell(start), Cell(where)] for run, start, where in newest[:_MOST_RUNS]]
        if len(newest) > _MOST_RUNS:
            runs.append([Cell(name), Cell(f"and {len(newest) - _MOST_RUNS:,} older runs", "dim"), Cell(""), Cell("")])
    yield Table("Runs", ("side", "run", "started", "record"), runs, folded=True)
    yield Bullets(METHOD)


METHOD = (
    "Throughput of a process: batch size divided by the time per step of the median block. "
    "A side's value is the geometric mean; ratios are candidate over baseline.",
    "Unit of inference: the process; the run, from three runs of a machine on; the machine, from three on. Runs of "
    "one day do not show how days differ, and a spread is added for it. Steps and blocks are repeated measures, never "
    "counted as independent samples.",
    "Intervals: Welch's t on logarithms; if both cases come from the same runs, t on the log ratios of their "
    "interleaved processes. For days and machines that were not measured a spread is added, with few degrees of "
    "freedom of its own. Each process also times a fixed product and a fixed copy: where they show that the same "
    "machine was slower for one side, intervals widen by as much.",
    "Overall: geometric mean across these workloads, equally weighted. Cases are averaged within each repeat and run "
    "first, so that what they share does not average out.",
    "Cases are paired by workload, mode, parameters, batch size, sequence length, variant and effective precision: the "
    "one probed on the device, not the one requested. Wrong results are never ranked.",
    "Latency p50, p90, p99: one request at a time, synchronised after each; geometric mean across processes.",
    "Energy: the difference between two updates of the device's energy counter; without a counter, integrated power. "
    "Idle power is included unless the number says above idle.",
)
