"""parquet: the table with types; an absent value is null. Units are in the metadata of fields and schema."""

from __future__ import annotations

import io
import json
from typing import Any

from gpuprof import __version__
from gpuprof.errors import GpuprofError
from gpuprof.export.runs import Runs
from gpuprof.export.table import COLUMNS, rows
from gpuprof.metrics import METRICS
from gpuprof.system.clock import moment

NEEDED = "python -m pip install 'pyarrow>=15'   (or the extra gpuprof-dl[parquet])"


def render(runs: Runs) -> bytes:
    """The table of export.table as a Parquet file.

    Raises GpuprofError without pyarrow, ValueError or OverflowError for an integer of more than 64 bits.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise GpuprofError(f"parquet needs pyarrow ({error}); install it: {NEEDED}") from None
    types = {
        "text": pa.string(), "time": pa.timestamp("ms", tz="UTC"), "flag": pa.bool_(), "count": pa.int64(),
        "number": pa.float64(),
    }  # fmt: skip
    fields = [
        pa.field(column.name, types[column.type], metadata={"description": column.about, "unit": column.unit})
        for column in COLUMNS
    ]
    metadata = {
        "gpuprof.version": __version__,
        "gpuprof.units": json.dumps({metric.key: metric.unit for metric in METRICS}),
        "gpuprof.better": json.dumps({metric.key: metric.better for metric in METRICS}),
    }
    columns = list(zip(*rows(runs), strict=True)) or [()] * len(COLUMNS)
    arrays = [
        pa.array([_typed(cell, column.type) for cell in cells], field.type)
        for column, field, cells in zip(COLUMNS, fields, columns, strict=True)
    ]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata)), out)
    return out.getvalue()


def _typed(cell: Any, kind: str) -> Any:
    if kind == "time":
        return moment(cell)
    return float(cell) if kind == "number" and cell is not None else cell
