"""Parquet: types and units."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq

from support.made import made, render, table


def test_parquet_has_types_and_units():
    found = pq.read_table(io.BytesIO(render("parquet", made())))
    types = {field.name: str(field.type) for field in found.schema}
    assert (types["value"], types["batch_size"], types["simulated"]) == ("double", "int64", "bool")
    assert types["started_at"] == "timestamp[ms, tz=UTC]"
    assert json.loads(found.schema.metadata[b"gpuprof.units"])["latency_p50_s"] == "s"
    assert found.schema.field("batch_size").metadata[b"unit"] == b"samples"
    text = [{k: v for k, v in row.items() if k != "started_at"} for row in table(render("csv", made()))]
    for row, line in zip(found.to_pylist(), text, strict=True):
        assert row["started_at"].isoformat() == "2026-11-23T09:00:00+00:00"
        assert {k: line[k] or None for k in ("metric", "device", "absent")} == {
            k: row[k] for k in ("metric", "device", "absent")
        }
        assert line["value"] == "" if row["value"] is None else float(line["value"]) == row["value"]
