"""Bencher: its own measures in its own units."""

from __future__ import annotations

import json

import jsonschema
import pytest

from support.made import made, render

BMF = {
    "type": "object",
    "patternProperties": {".+": {"type": "object", "patternProperties": {"^[a-z0-9-]{1,64}$": {
        "type": "object", "required": ["value"], "additionalProperties": False,
        "properties": {key: {"type": "number"} for key in ("value", "lower_value", "upper_value")},
    }}, "additionalProperties": False}},
}  # fmt: skip


def test_bencher_has_its_own_measures_in_its_own_units():
    found = json.loads(render("bencher", made()))
    jsonschema.validate(found, BMF)
    measures = found["a on NVIDIA H100"]
    assert measures["latency"]["value"] == pytest.approx(0.1e9)
    assert measures["throughput"]["value"] == pytest.approx(100)
    assert measures["latency-p99-ns"] == {"value": pytest.approx(0.3e9)}
    assert measures["energy-j-per-sample"] == {"value": 0.5, "lower_value": 0.4, "upper_value": 0.6}
    assert measures["peak-memory-bytes"] == {"value": 1001}
