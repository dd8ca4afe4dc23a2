"""Chrome traces: slices, counters and names on one clock."""

from __future__ import annotations

import json

import jsonschema

from support.made import made, render

_EVENT = {"type": "object", "required": ["ph", "name", "pid", "tid", "args"], "properties": {
    "name": {"type": "string", "minLength": 1}, "pid": {"type": "integer"}, "tid": {"type": "integer"}}}  # fmt: skip
_AT = {"type": "number", "minimum": 0}
TRACE = {
    "type": "object", "required": ["traceEvents"],
    "properties": {"displayTimeUnit": {"enum": ["ms", "ns"]}, "traceEvents": {"type": "array", "items": {"oneOf": [
        _EVENT | {"properties": _EVENT["properties"] | {
            "ph": {"const": "M"}, "name": {"enum": ["process_name", "thread_name"]},
            "args": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}},
        _EVENT | {"required": [*_EVENT["required"], "ts", "dur", "cat"],
                  "properties": _EVENT["properties"] | {"ph": {"const": "X"}, "ts": _AT, "dur": _AT}},
        _EVENT | {"required": [*_EVENT["required"], "ts"], "properties": _EVENT["properties"] | {
            "ph": {"const": "C"}, "ts": _AT,
            "args": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}}}},
    ]}}},
}  # fmt: skip


def test_a_trace_has_slices_counters_and_names_on_one_clock():
    later = made(1, started_at="2026-11-23T10:00:00.000Z")
    other = made(2, name="AMD MI300X", started_at="2026-11-23T10:00:00.000Z")
    trace = json.loads(render("chrome-trace", made(), later, other))
    jsonschema.validate(trace, TRACE)
    events = trace["traceEvents"]
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == [
        "gpu:1 NVIDIA H100 on h",
        "gpu:1 AMD MI300X on h",
    ]
    first = [e for e in events if e["tid"] == 1]
    slices = [(e["name"], e["ts"], e["dur"]) for e in first if e["ph"] == "X"]
    assert slices[:3] == [("repeat 1", 0, 4_003_000), ("cold", 0, 1_000_000), ("warmup", 1_001_000, 1_000_000)]
    assert slices[5][:2] == ("repeat 2", 10_000_000)
    counters = [(e["name"], e["ts"], e["args"]) for e in first if e["ph"] == "C"]
    assert [c for c in counters if c[0] == "power instant (W)"][:2] == [
        ("power instant (W)", 500_000, {"W": 90.0}), ("power instant (W)", 1_500_000, {"W": 400.0}),
    ]  # fmt: skip
    assert ("core clock (MHz)", 1_500_000, {"MHz": 1755.0}) in counters
    assert {c[0] for c in counters} == {
        "power instant (W)",
        "temperature core (°C)",
        "core clock (MHz)",
        "gpu utilization (%)",
    }
    assert len([c for c in counters if c[0] == "power instant (W)"]) == 4  # two that were not there
    assert min(e["ts"] for e in events if e.get("tid") == 2 and "ts" in e) == 3_600_000_000
    throughput = next(e for e in first if e["name"] == "throughput")
    assert throughput["args"]["samples_per_s"] == 100
