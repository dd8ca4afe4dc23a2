"""Runs as one long, tidy table for csv and parquet: a row for each case and metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gpuprof.absent import Absent
from gpuprof.case_keys import SELECTED
from gpuprof.export.runs import Runs, in_order
from gpuprof.metrics import METRICS, Metric
from gpuprof.record.case import Case
from gpuprof.record.run import RunRecord
from gpuprof.text import printable

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str
    type: Literal["text", "time", "flag", "count", "number"]  # of its cells, each of which may be None
    about: str
    unit: str = ""


_WORDS = tuple(key for key in SELECTED if key.words and key.name != "precision")
_NUMBERS = tuple(key for key in SELECTED if not key.words)
COLUMNS = (
    Column("run_id", "text", "the run's directory in the store"),
    Column("started_at", "time", "start of the run, UTC"),
    Column("simulated", "flag", "true if the numbers come from a simulator, not from hardware"),
    Column("hostname", "text", "host name of the machine"),
    Column("vendor", "text", "vendor of the device; absent for a CPU"),
    Column("device", "text", "device model"),
    Column("case_id", "text", "the case as requested, with every setting that differs from the workload's default"),
    Column("workload", "text", "network"),
    *(Column(key.name, "text", key.about) for key in _WORDS),
    Column("precision_effective", "text", "precision actually used, as measured by the probe"),
    *(Column(key.name, "count", key.about, key.unit) for key in _NUMBERS),
    Column("correctness", "text", "verdict on the results: pass, drift or wrong; leave wrong ones out of comparisons"),
    Column("metric", "text", "name of the value; its suffix is the unit"),
    Column("unit", "text", "unit of value, ci95_low and ci95_high"),
    Column("value", "number", "absent if not measured", "see column unit"),
    Column("ci95_low", "number", "lower bound of the 95% interval across processes", "see column unit"),
    Column("ci95_high", "number", "upper bound of the 95% interval across processes", "see column unit"),
    Column(
        "processes", "count", "number of processes that value is the mean of; absent if it is not a mean", "processes"
    ),
    Column("absent", "text", "why value is missing"),
)


def rows(runs: Runs) -> Iterator[tuple[Cell, ...]]:
    """Rows of cells in the order of COLUMNS, oldest run first. None is absent."""
    for record, _ in in_order(runs):
        for case in record.cases:
            for metric in METRICS:
                yield tuple(printable(cell) if isinstance(cell, str) else cell for cell in _row(record, case, metric))


def _row(record: RunRecord, case: Case, metric: Metric) -> tuple[Cell, ...]:
    reading = metric.read(case)
    value, ci95 = (None, None) if isinstance(reading, Absent) else (reading.value, reading.ci95)
    low, high = ci95 or (None, None)
    return (
        record.run_id, record.started_at, record.simulated, record.environment.hostname, record.device.vendor,
        record.device.name, case.case_id, case.workload, *(getattr(case, key.name) for key in _WORDS),
        case.precision.effective, *(getattr(case, key.name) for key in _NUMBERS), case.correctness.verdict,
        metric.key, metric.unit, value, low, high, _processes(case, metric.key),
        reading.reason if isinstance(reading, Absent) else None,
    )  # fmt: skip


def _processes(case: Case, key: str) -> int | None:
    """Fresh processes behind a metric; None where it is not measured, or no mean over processes."""
    part = case.latency_s if key.startswith("latency_") else getattr(case, key, None)
    processes: int | None = getattr(part, "processes", None)
    return processes
