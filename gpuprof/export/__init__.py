"""Records -> formats that other tools read. One file a format, each a pure function; the command writes the result.

A value that was not measured stays absent in each format's own way, and what a simulator made is marked in every one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Format(NamedTuple):
    """`render` takes runs (`gpuprof.export.runs.Runs`) and returns the text, or bytes where the format is binary."""

    about: str
    suffix: str
    render: Callable[..., str | bytes]
    compares: bool = False  # results for tools that compare them: a case that computed wrong results takes no part


def _from(module: str) -> Callable[..., str | bytes]:
    """The format's `render`, imported when it is called: the command's help lists formats and needs none of them."""

    def render(runs: Any, **options: Any) -> str | bytes:
        found: str | bytes = importlib.import_module(f"gpuprof.export.{module}").render(runs, **options)
        return found

    return render


FORMATS = {
    "csv": Format("one row a case and metric, for spreadsheets and data frames", ".csv", _from("csv")),
    "parquet": Format("the same table with types and units; needs pyarrow", ".parquet", _from("parquet")),
    "openmetrics": Format("Prometheus / OpenMetrics textfile, newest values", ".prom", _from("openmetrics"), True),
    "bencher": Format("Bencher Metric Format, newest values", ".bmf.json", _from("bencher"), True),
    "github-benchmark": Format(
        "github-action-benchmark, newest values", ".bench.json", _from("github_benchmark"), True
    ),
    "chrome-trace": Format("phases and sensors over time: Perfetto, chrome://tracing", ".trace.json", _from("trace")),
}
