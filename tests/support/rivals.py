"""Stores of two rivals, made up: real record files with the rates that a test wants, to be compared by the command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuprof.record.run import RunRecord
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from support.journals import journal, repeat
from support.running import gpuprof

WORKLOADS = ("cnn", "rnn", "lstm", "gru", "vgg16")
Rates = Sequence[float] | str  # samples/s of each process, or the outcome that all had


def run(
    store: Path, number: int, cases: Mapping[str | tuple[str, int], Rates], *, device: str, card: str = "",
    regime: str = "device-bound", quick: bool = False, yardstick: Mapping[str, float] | None = None,
    torch: str = "2.9.0", threads: int = 1, joules: Sequence[float | None] = (),
    sensor: Mapping[str, Any] | None = None, **case_fields: Any,
) -> Path:  # fmt: skip
    """Publish a run; keys of `cases` are a workload, or a workload and its batch size. Returns its directory.

    `yardstick` has the seconds of product and copy, which scatter by 0.2% from process to process; `joules` those of a
    sample in each process, which a `sensor` measured (fields of `record.run.TelemetrySource`).
    """
    card = card or f"card of {device}"
    lines = journal(kind="gpu")
    clock = f"{9 + number // 60:02}:{number % 60:02}:00"
    at = {"run_id": f"20261123T{clock.replace(':', '')}Z-rival-{number:08x}", "started_at": f"2026-11-23T{clock}.000Z"}
    lines[0] |= at
    lines[0]["environment"] |= {"hostname": f"host of {card}", "torch": torch, "torch_build": "cuda"}
    lines[0]["protocol"]["name"] = "quick" if quick else "full"
    known = {"name": device, "vendor": "nvidia", "index": 0, "uuid": card}
    lines[0]["device"] |= known
    for holder, names in ((lines[0]["device"], known), (lines[0]["environment"], ("torch", "torch_build"))):
        holder["absent"] = {name: why for name, why in holder["absent"].items() if name not in names}
    if sensor is not None:
        lines[0] |= {"telemetry": _source(sensor), "no_telemetry": ""}
        lines[-1] |= {"telemetry": _source(sensor), "no_telemetry": ""}
    template, end = lines[1], lines.pop()
    del lines[1]
    for key, rates in cases.items():
        workload, batch = key if isinstance(key, tuple) else (key, 8)
        seq_len = 100 if workload in ("rnn", "lstm", "gru") else None
        case_id = f"{workload}-b{batch}"
        request = template["request"] | {
            "workload": workload, "batch_size": batch, "seq_len": seq_len, "threads": threads,
        }  # fmt: skip
        lines.append(template | {"case_id": case_id, "request": request})
        each = [repeat(i, outcome=rates, **_because(rates)) for i in range(3)] if isinstance(rates, str) else [
            repeat(i, samples_per_s=rate, latency=_latency(8 / rate), **_yardstick(yardstick, i),
                   **_telemetry(joules, i))
            for i, rate in enumerate(rates)
        ]  # fmt: skip
        lines += [{"type": "repeat", "case_id": case_id, "repeat": one, "raw": {"x": [1.0]}} for one in each]
    record, raw = assemble([*lines, end], "2026-11-23T09:00:00.000Z")
    data = record.model_dump(mode="json", by_alias=True)
    for case in data["cases"]:
        case["precision"] |= {"effective": "ieee"}
        case["precision"]["absent"].pop("effective", None)
        case["correctness"]["verdict"] = "pass"
        case["correctness"]["absent"].pop("verdict", None)
        case |= {"regime": regime if case["outcome"] == "ok" else case["regime"]} | case_fields
        case["absent"] = {name: why for name, why in case["absent"].items() if case[name] is None}
    record = RunRecord.model_validate(data)
    return Journal(store, record.run_id).publish(record, raw)


def _yardstick(seconds: Mapping[str, float] | None, process: int) -> dict[str, Any]:
    if seconds is None:
        return {}
    return {"yardstick": {name: value * (1 + 0.002 * (process % 3 - 1)) for name, value in seconds.items()}}


def _source(sensor: Mapping[str, Any]) -> dict[str, Any]:
    """A sensor as `run` describes it."""
    known = {"vendor": "nvidia", "library": "NVML", "version": "12", "simulated": False, "device": "nvidia:0",
             "attributed_by": "UUID", "scope": "board", "shared_by": 1, "power_signal": "instant",
             "temperature_signal": "edge", "gain_error": 0.05, "gain_source": "made for a test", "hz": 10.0,
             "identity": {}, "tick_s": 0.1, "call_s": 1e-4, "cpu_share": 0.001} | sensor  # fmt: skip
    return known | {"absent": {name: "made for a test" for name, value in known.items() if value is None}}


def _telemetry(joules: Sequence[float | None], process: int) -> dict[str, Any]:
    """Of a window of 300 steps at batch 8, as `support.journals.repeat` has it."""
    if not joules:
        return {}
    each, absent = joules[process], {"achieved_hz", "tick_s", "idle_power_w", "idle_power_error_w", "throttled_share"}
    energy = {} if each is None else {"throughput": {
        "method": "counter", "seconds": 10.0, "energy_j": each * 300 * 8, "error_j": 0.1, "above_idle_j": None,
        "above_idle_error_j": None, "trapezoid_j": None, "disagreement": None,
        "absent": dict.fromkeys(("above_idle_j", "above_idle_error_j", "trapezoid_j", "disagreement"), "test"),
    }}  # fmt: skip
    lost = {"throughput": "the counter stood still"} if each is None else {}
    return {"telemetry": {
        "samples": 100, "missed": 0, **dict.fromkeys(absent), "absent": dict.fromkeys(absent, "made for a test"),
        "energy": energy, "energy_absent": lost, "window": {}, "before": {}, "after": {}, "checks": [],
    }}  # fmt: skip


def _because(outcome: str) -> dict[str, Any]:
    return {"reason": "CUDA out of memory"} if outcome == "out_of_memory" else {}


def _latency(step_s: float) -> dict[str, Any]:
    return {"p50": step_s, "p90": step_s, "p99": step_s, "p50_upper95": step_s, "p90_upper95": step_s,
            "p99_upper95": step_s, "requests": 400, "submit_s": step_s / 10}  # fmt: skip


def told(baseline: Path | str, candidate: Path | str, *arguments: Any) -> str:
    """The answer of the comparison, with all that weighs on it."""
    return document(baseline, candidate, *arguments)["headline"]


def document(baseline: Path | str, candidate: Path | str, *arguments: Any) -> dict[str, Any]:
    done = gpuprof("compare", baseline, candidate, "--json", *arguments)
    assert done.code == 0, done.err
    return json.loads(done.out)
