"""github-benchmark: the array that github-action-benchmark takes as customBiggerIsBetter or customSmallerIsBetter.

That action knows one direction a file, so a file holds the metrics of one. A metric without a value has no entry.
https://github.com/benchmark-action/github-action-benchmark
"""

from __future__ import annotations

import json
from typing import Literal

from gpuprof.absent import Absent
from gpuprof.export.runs import Runs, benchmark_name, newest
from gpuprof.metrics import METRICS
from gpuprof.record.case import Case
from gpuprof.record.run import RunRecord
from gpuprof.text import one_line

Direction = Literal["bigger", "smaller"]
_BETTER = {"bigger": "higher", "smaller": "lower"}


def render(runs: Runs, direction: Direction = "bigger") -> str:
    """A JSON array with an entry for each case and metric of which `direction` is better."""
    entries = []
    for record, case in newest(runs, benchmark_name):
        for metric in METRICS:
            reading = metric.read(case)
            if metric.better != _BETTER[direction] or isinstance(reading, Absent):
                continue
            entry: dict[str, str | float] = {
                "name": f"{benchmark_name(record, case)}: {metric.key}",
                "unit": metric.unit,
                "value": reading.value,
                "extra": _extra(record, case),
            }
            if reading.ci95 is not None:
                low, high = reading.ci95
                entry["range"] = f"95% {low:.6g} to {high:.6g}"
            entries.append(entry)
    return json.dumps(entries, indent=1, allow_nan=False) + "\n"


def _extra(record: RunRecord, case: Case) -> str:
    """The lines that a chart shows beside the value."""
    lines = ["SIMULATED: these numbers come from a simulator, not from hardware"] if record.simulated else []
    lines += [f"run {record.run_id}", f"started {record.started_at}", f"host {record.environment.hostname}"]
    lines.append(f"precision {case.precision.effective or 'unknown'}")
    lines.append(f"correctness {case.correctness.verdict or 'unknown'}")
    return "\n".join(map(one_line, lines))
