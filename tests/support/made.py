"""Whole runs made up with every quantity that a format may show, published or not."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pyarrow.parquet as pq
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gpuprof.export import FORMATS
from gpuprof.record.run import RunRecord
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from support.journals import journal, repeat
from support.running import gpuprof

RUN_ID = "20261123T090000Z-test-0000000{}"
START_NS = 5_000_000_000_000
PHASES = ("cold", "warmup", "throughput", "latency")


def phases(index: int) -> list[dict]:
    """One second each with a millisecond between, ten seconds from repeat to repeat."""
    first = START_NS + index * 10_000_000_000
    starts = [first + i * 1_001_000_000 for i in range(4)]
    return [{"name": n, "start_ns": s, "end_ns": s + 1_000_000_000} for n, s in zip(PHASES, starts, strict=True)]


SERIES = {
    "telemetry/t_s": [0.5, 1.5, 2.5], "telemetry/half_width_s": [1e-4] * 3,
    "telemetry/power_instant_w": [90.0, 400.0, math.nan],
    "telemetry/temperature_core_c": [55.0, 60.0, 61.0], "telemetry/core_clock_hz": [1.5e9, 1.755e9, 1.755e9],
    "telemetry/gpu_utilization_pct": [0.0, 97.0, 98.0], "telemetry/energy_j": [0.0, 1.0, 2.0], "block_step_s": [0.08],
}  # fmt: skip


def made(
    number: int = 0, *, name: str = "NVIDIA H100", simulated: bool = False, rate: float = 100.0, telemetry: bool = True,
    verdict: str | None = None, started_at: str = "2026-11-23T09:00:00.000Z", job: str | None = None,
) -> tuple[RunRecord, dict]:  # fmt: skip
    """A run of one case in two processes on a GPU, with telemetry as a sampled device gives it, or without."""
    lines = journal(
        *(repeat(i, samples_per_s=rate, phases=phases(i), started_at=started_at) for i in range(2)), kind="gpu"
    )
    known = {"name": name, "vendor": "nvidia", "index": 1, "uuid": "GPU-1", "pci": "0000:01:00.0"}
    lines[0] |= {"run_id": RUN_ID.format(number), "started_at": started_at, "simulated": simulated}
    lines[0]["device"] |= known
    lines[0]["device"]["absent"] = {k: v for k, v in lines[0]["device"]["absent"].items() if k not in known}
    if job is not None:
        lines[0]["environment"]["variables"] = {"SLURM_JOB_ID": job}
    for line in lines:
        if line["type"] == "repeat" and telemetry:
            line["raw"] = SERIES
    record, raw = assemble(lines, started_at)
    data = record.model_dump(mode="json", by_alias=True)
    case = data["cases"][0]
    if telemetry:
        summary = {"mean": 400.0, "median": 400.0, "min": 90.0, "max": 650.0, "start": 55.0, "end": 61.0, "samples": 50}
        estimate = {"value": 0.5, "ci95": [0.4, 0.6], "processes": 2}
        case |= {
            "energy_j_per_sample": estimate, "energy_method": "counter", "idle_power_w": 80.0, "power_w": summary,
            "temperature_c": summary | {"max": 61.0}, "gpu_utilization_pct": summary | {"mean": 97.0},
            "core_clock_hz": summary | {"mean": 1.755e9}, "throttled_share": {"power_cap": 0.12, "none": 0.88},
        }  # fmt: skip
    if verdict is not None:
        case["correctness"]["verdict"] = verdict
        case["correctness"]["absent"].pop("verdict", None)
    case["absent"] = {field: why for field, why in case["absent"].items() if case[field] is None}
    return RunRecord.model_validate(data), raw


def render(name: str, *runs: tuple[RunRecord, dict], **options):
    return FORMATS[name].render([(record, lambda raw=raw: raw) for record, raw in runs], **options)


def publish(directory: Path, *runs: tuple[RunRecord, dict]) -> Path:
    for record, raw in runs:
        Journal(directory, record.run_id).publish(record, raw)
    return directory


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def samples(text: str) -> list:
    return [sample for found in text_string_to_metric_families(text) for sample in found.samples]


def parsed(name: str, content):
    """What the format's own reader makes of it; every one refuses what breaks the format."""
    return {
        "csv": table, "openmetrics": samples, "bencher": json.loads, "github-benchmark": json.loads,
        "chrome-trace": json.loads,
        "parquet": lambda data: pq.read_table(io.BytesIO(data)).to_pylist(),
    }[name](content)  # fmt: skip


def export(*arguments, **options):
    return gpuprof("export", *arguments, **options)
