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
        yield Table("Throughput of each process of the newest run, samples/s, and where it stands",
                    ("case", "side", "processes", "run", "case in its record.json"), rows, folded=True)  # fmt: skip
    runs = []
    for name, evidence in zip(subject.names, (subject.comparison.baseline, subject.comparison.candidate), strict=True):
        newest = sorted(evidence.runs, key=lambda run: run[1], reverse=True)
        runs += [[Cell(name), Cell(run), Cell(start), Cell(where)] for run, start, where in newest[:_MOST_RUNS]]
        if len(newest) > _MOST_RUNS:
            runs.append([Cell(name), Cell(f"and {len(newest) - _MOST_RUNS:,} older runs", "dim"), Cell(""), Cell("")])
    yield Table("Runs", ("side", "run", "started", "record"), runs, folded=True)
    yield Bullets(METHOD)


METHOD = (
    "Throughput of a process: batch size over the median over blocks of time a step. "
    "The value of a side is the geometric mean; ratios are candidate over baseline of the metric itself.",
    "Unit of inference: the fresh process; the run from three runs a side on; the machine where a side has several. "
    "Steps and blocks are repeated measures and never counted as samples.",
    "Intervals: Welch's t on logarithms, 95%; where both cases are of one run, t on log ratios of processes that took "
    "turns.",
    "Overall: geometric mean over workloads with equal weights, for these workloads; the machines' spread does not "
    "average out over workloads.",
    "Cases are paired by workload, mode, parameters, batch size, sequence length, variant and the arithmetic that ran, "
    "as probed on the device, not as asked for. Wrong results are never ranked.",
    "Latency p50, p90, p99: one request at a time with a synchronisation after each; geometric mean over processes.",
    "Energy: the counter's difference between two of its edges where the device has one, else integrated power; "
    "the idle floor included unless it says above idle.",
)
