"""Journals of runs that were never made: what the supervisor would have written."""

from __future__ import annotations

import os
from pathlib import Path

from gpuprof.store import runs as store
from gpuprof.store.journal import Journal

NOW = "2026-11-23T09:00:00.000Z"


def repeat(index: int = 0, *, outcome: str = "ok", samples_per_s: float = 100.0, submit: float = 0.1, **more) -> dict:
    """A repeat as the journal holds it."""
    parts = ("cold", "warmup", "throughput", "device_span", "latency", "memory", "cpu", "telemetry")
    base = {
        "index": index, "order": index, "outcome": outcome, "reason": None, "exit_code": None, "started_at": NOW,
        "duration_s": 1.0, "phases": [], "warnings": [], "output_tail": "", **dict.fromkeys(parts),
        "absent": dict.fromkeys((*parts, "reason", "exit_code"), "made for a test"),
    }  # fmt: skip
    if outcome == "ok":
        step_s = 8 / samples_per_s
        base |= {
            "cold": {"import_s": 1, "build_s": 1, "capture_s": None, "first_step_s": 0.5 + index, "settle_steps": 1,
                     "settle_s": 0.1, "absent": {"capture_s": "eager"}},
            "warmup": {"steady": True, "reason": "", "steps": 20, "seconds": 3.0},
            "throughput": {"samples_per_s": samples_per_s, "samples_per_s_total": samples_per_s, "step_s": step_s,
                           "submit_s": submit * step_s, "blocks": 30, "steps": 300, "steps_per_block": 10,
                           "total_s": 300 * step_s, "drift": 0.01},
            "latency": {"p50": 0.1, "p90": 0.2, "p99": 0.3, "p50_upper95": 0.11, "p90_upper95": 0.21,
                        "p99_upper95": 0.4, "requests": 400, "submit_s": submit * step_s},
            "memory": {"peak_bytes": 1000 + index, "scope": "test", "reserved_bytes": 1, "alloc_retries": 0},
            "cpu": {"seconds": 1, "wall_s": 1, "threads": 1, "utilisation": 1, "waiting": 0, "stolen": 0},
        }  # fmt: skip
        base["absent"] = dict.fromkeys(("device_span", "reason", "exit_code", "telemetry"), "made for a test")
    else:
        base |= {"reason": f"because of {outcome}"}
        del base["absent"]["reason"]
    base |= more
    base["absent"] = {k: v for k, v in base["absent"].items() if base[k] is None}
    return base


def journal(*repeats: dict, kind: str = "cpu", interrupted: str | None = None, end: bool = True) -> list[dict]:
    request = {"workload": "cnn", "mode": "train", "precision": "ieee", "batch_size": 8, "seq_len": None,
               "variant": "eager", "threads": 1, "seed": 0, "params": {}}  # fmt: skip
    device = dict.fromkeys(("vendor", "index", "uuid", "pci", "architecture", "memory_total_bytes", "compute_units"))
    reasons = dict.fromkeys(device, "made for a test")
    environment = dict.fromkeys(("cpu", "memory_total_bytes", "container", "gpuprof_commit", "torch", "torch_build"))
    lines = [
        {
            "type": "run", "schema": "gpuprof.record/4", "run_id": "20261123T090000Z-test-00000000", "simulated": False,
            "started_at": NOW, "config": {"file": "x", "sha256": "0" * 64, "text": ""},
            "protocol": {"name": "full", "repeats": 5, "warmup_min_steps": 1, "warmup_min_s": 1, "warmup_max_s": 1,
                         "block_min_s": 1, "measure_min_blocks": 1, "measure_min_s": 1, "measure_max_s": 1,
                         "latency_max_requests": 1, "latency_min_requests": 1, "latency_min_s": 1, "latency_max_s": 1,
                         "idle_s": 0, "energy_error": 0.01, "timeout_s": 1},
            "device": {"kind": kind, "name": "test", **device, "absent": reasons},
            "environment": {"hostname": "h", "os": "o", "kernel": "k", "cpu_physical_cores": 1, "cpu_logical_cores": 1,
                            "python": "3", "gpuprof": "0", **environment,
                            "absent": dict.fromkeys(environment, "made for a test")},
            "telemetry": None, "no_telemetry": "made for a test",
        },
        {"type": "case", "case_id": "a", "request": request, "fallback_of": None},
    ]  # fmt: skip
    lines += [{"type": "repeat", "case_id": "a", "repeat": r, "raw": {"x": [1.0]}} for r in repeats]
    last = {"type": "end", "finished_at": NOW, "interrupted": interrupted, "telemetry": None}
    return [*lines, last] if end else lines


DAY_S = 86_400
REPEATS = 50


def dead(directory: Path, *lines: dict, age_s: float = 0) -> Path:
    """What a killed run leaves: its journal, unlocked."""
    log = Journal(directory, store.new_run_id("dead"))
    for line in lines:
        log.append(line)
    log._close()
    return aged(log.staging, age_s)


def aged(path: Path, age_s: float) -> Path:
    for one in (*path.iterdir(), path):
        when = one.stat().st_mtime - age_s
        os.utime(one, (when, when))
    return path


def left(directory: Path, *, age_s: float = 90, name: str = "") -> Path:
    """What a run killed after 50 repeats leaves."""
    lines = journal(*(repeat(i) for i in range(REPEATS)), end=False)
    lines[0] |= {"run_id": store.new_run_id(name or "dead")}
    return dead(directory, *lines, age_s=age_s)


def garble(staging: Path, number: int, text: bytes) -> bytes:
    """Damage one line, counted from 0, the file's times as they were; the whole as it had been."""
    file = staging / "journal.jsonl"
    before, times = file.read_bytes(), file.stat()
    lines = before.splitlines(keepends=True)
    lines[number] = text
    file.write_bytes(b"".join(lines))
    os.utime(file, (times.st_atime, times.st_mtime))
    return before
