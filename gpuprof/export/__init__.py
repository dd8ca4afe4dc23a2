"""Records -> formats that other tools read. One file a format, each a pure function; the command writes the result.

A value that was not measured stays absent in each format's own way, and what a simulator made is marked in every one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Format(NamedTuple):
    """A row of FORMATS."""

    about: str  # for the command's help
    suffix: str  # of the written file, with its dot
    render: Callable[..., str | bytes]  # from export.runs.Runs; bytes where the format is binary
    compares: bool = False  # read by tools that compare results: cases with wrong results are left out


def _from(module: str) -> Callable[..., str | bytes]:
    """The format's `render`, imported when it is called: the command's help lists formats and needs none of them."""

    def render(runs: Any, **options: Any) -> str | bytes:
        rendered: str | bytes = importlib.import_module(f"gpuprof.export.{module}").render(runs, **options)
        return rendered

    return render


FORMATS = {
    "csv": Format("one row per case and metric, for spreadsheets and data frames", ".csv", _from("csv")),
    "parquet": Format("the same table with types and units; needs pyarrow", ".parquet", _from("parquet")),
    "openmetrics": Format("Prometheus / OpenMetrics textfile, newest values", ".prom", _from("openmetrics"), True),
    "bencher": Format("Bencher Metric Format, newest values", ".bmf.json", _from("bencher"), True),
    "github-benchmark": Format(
        "github-action-benchmark, newest values", ".bench.json", _from("github_benchmark"), True
    ),
    "chrome-trace": Format("phases and sensors over time: Perfetto, chrome://tracing", ".trace.json", _from("trace")),
}
