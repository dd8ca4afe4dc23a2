"""`gpuprof schema` from outside."""

from __future__ import annotations

from support.running import gpuprof


def test_schema_is_json_schema():
    assert gpuprof("schema").json["$id"] == "gpuprof.record/4"
