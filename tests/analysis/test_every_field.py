"""Every field of a record is in the fairness ledger, or here with the reason why it cannot matter.

A new field fails the first test until it has its place. What is said to be in the ledger is planted: two records that
differ in this field alone, which must get that line.
"""

from __future__ import annotations

import copy
import fnmatch
import json
import tempfile
import typing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gpuprof.analysis import compare as analysis
from gpuprof.analysis.evidence import gather
from gpuprof.index.digest import digest
from gpuprof.record.run import RunRecord
from gpuprof.telemetry.quantities import FACTS, IDENTITY
from support import rivals


def _read(value: Any) -> dict[str, Any]:
    return {"value": value, "status": "ok", "reason": None}


_BEFORE = "cases.*.repeats.*.telemetry.before."
_TIMES = (
    "warmup_min_steps", "warmup_min_s", "warmup_max_s", "block_min_s", "measure_min_blocks", "measure_min_s",
    "measure_max_s", "latency_max_requests", "latency_min_requests", "latency_min_s", "latency_max_s", "idle_s",
)  # fmt: skip
# Line of the ledger, where in the record, and what the other side has there. `*` in a path is each element of a list.
PLANTED: list[tuple[str, str, Any]] = [
    ("simulated", "simulated", True),
    ("simulated", "telemetry.simulated", True),
    ("run outcome", "outcome", "partial"),
    ("date", "started_at", "2026-12-01T09:00:00.000Z"),
    ("config hash", "config.sha256", "1" * 64),
    ("quick protocol", "protocol.name", "quick"),
    ("repeats", "protocol.repeats", 9),
    *((name, f"protocol.{name}", 7) for name in _TIMES),
    ("energy_error", "protocol.energy_error", 0.5),
    ("architecture", "device.architecture", "sm_100"),
    ("device memory", "device.memory_total_bytes", 40 << 30),
    ("compute units", "device.compute_units", 108),
    ("host name", "environment.hostname", "another"),
    ("os", "environment.os", "another"),
    ("kernel", "environment.kernel", "another"),
    ("host CPU", "environment.cpu", "another"),
    ("CPU cores", "environment.cpu_physical_cores", 7),
    ("logical CPUs", "environment.cpu_logical_cores", 14),
    ("host memory", "environment.memory_total_bytes", 1 << 30),
    ("container", "environment.container", "another"),
    ("python", "environment.python", "3.99"),
    ("gpuprof", "environment.gpuprof", "9.9"),
    ("gpuprof commit", "environment.gpuprof_commit", "another"),
    ("torch", "environment.torch", "3.0.0"),
    ("torch build", "environment.torch_build", "rocm"),
    ("cudnn", "environment.libraries", {"cudnn": "another"}),
    ("OMP_NUM_THREADS", "environment.variables", {"OMP_NUM_THREADS": "3"}),
    ("sensor library", "telemetry.library", "another"),
    ("sensor library", "telemetry.version", "another"),
    ("what power covers", "telemetry.scope", "another"),
    ("what power covers", "telemetry.energy_scope", "another"),
    ("sensor shared by", "telemetry.shared_by", 8),
    ("power signal", "telemetry.power_signal", "average"),
    ("sensor gain error", "telemetry.gain_error", 0.01),
    ("samples a second", "telemetry.hz", 1.0),
    ("driver", "telemetry.identity.driver_version", _read("another")),
    ("VBIOS", "telemetry.identity.vbios_version", _read("another")),
    ("partition", "telemetry.identity.partition", _read("CPX")),
    ("power limit", _BEFORE + "power_limit_w", _read(300.0)),
    ("power limit", _BEFORE + "power_limit_default_w", _read(900.0)),
    ("ECC", _BEFORE + "ecc_enabled", _read(value=False)),
    ("highest core clock", _BEFORE + "core_clock_max_hz", _read(1e9)),
    ("highest memory clock", _BEFORE + "memory_clock_max_hz", _read(1e9)),
    ("PCIe", _BEFORE + "pcie_width", _read(4)),
    ("PCIe", _BEFORE + "pcie_generation_max", _read(3)),
    ("outcome", "cases.*.outcome", "failed"),
    ("fallback", "cases.*.fallback_of", "another"),
    ("effective precision", "cases.*.precision.effective", "tf32"),
    ("precision asked for", "cases.*.precision.requested", "tf32"),
    ("precision switches", "cases.*.precision.flags", {"a": 1}),
    ("variant", "cases.*.variant", "graph"),
    ("batch", "cases.*.batch_size", 16),
    ("sequence length", "cases.*.seq_len", 7),
    ("threads", "cases.*.threads", 9),
    ("seed", "cases.*.seed", 9),
    ("parameters", "cases.*.params", {"hidden": 9}),
    ("item", "cases.*.item", "token"),
    ("items a sample", "cases.*.items_per_sample", 9),
    ("trainable parameters", "cases.*.trainable_parameters", 9),
    ("parameters", "cases.*.parameters", 9),
    ("FLOPs a sample", "cases.*.flops_per_sample", 9),
    ("bytes a sample", "cases.*.bytes_per_sample", 9.0),
    ("weights", "cases.*.weights", {"source": "imagenet", "note": "", "sha256": "1" * 64, "absent": {}}),
    ("correctness", "cases.*.correctness.verdict", "drift"),
    ("tolerance of the check", "cases.*.correctness.tolerance", 0.5),
    ("steady", "cases.*.steady", False),
    ("regime", "cases.*.regime", "host-bound"),
    ("energy method", "cases.*.energy_method", "power_trapezoid"),
    ("idle power", "cases.*.idle_power_w", 300.0),
    ("temperature at start", "cases.*.temperature_c.start", 90.0),
    ("GPU utilisation", "cases.*.gpu_utilization_pct.mean", 20.0),
    ("core clock over its maximum", "cases.*.core_clock_hz.median", 1e9),
    ("throttled", "cases.*.throttled_share", {"thermal": 0.5}),
    ("measured for", "cases.*.repeats.*.throughput.total_s", 500.0),
    ("peak memory covers", "cases.*.repeats.*.memory.scope", "another"),
    ("memory asked for again", "cases.*.repeats.*.memory.alloc_retries", 3),
    ("host busy", "cases.*.repeats.*.cpu.waiting", 0.5),
    ("host busy", "cases.*.repeats.*.cpu.stolen", 0.5),
    ("conditions", "cases.*.repeats.*.telemetry.checks", ["a foreign process appeared"]),
    ("yardstick", "cases.*.repeats.*.yardstick.product_s", 0.02),
    ("yardstick", "cases.*.repeats.*.yardstick.copy_s", 0.02),
]  # fmt: skip

_NAME = "names the record, and measures nothing"
_SIDES = "what is compared: it stands at the top of the report"
_RESULT = "a result: reports show it for both sides"
_TOTAL = "a part of the results that are shown, or their sum"
_RARE = "what follows from it has a line of its own"
REASONS = {
    "schema_": _NAME, "run_id": "a run that both sides have blocks: the line `runs`", "reason": "the outcome in words",
    "finished_at": "a run's length is not compared", "warnings": "in words what other fields hold",
    "config.file": _NAME, "config.text": "the hash stands for it", "config.overrides": "the hash stands for them",
    "config.shard": "which part of the cases a run has: cases without a counterpart are listed",
    "config.held": "the same", "protocol.timeout_s": "a limit that nobody reached changes nothing",
    "device.kind": _SIDES, "device.vendor": _SIDES, "device.name": _SIDES,
    "device.index": "the number of a device in its host", "device.uuid": "tells machines apart: scope and spread",
    "device.pci": "the same",
    "telemetry.vendor": _SIDES, "telemetry.device": _NAME, "telemetry.attributed_by": "how the sensor was found",
    "telemetry.temperature_signal": "temperatures of unlike sensors are shown, and never divided",
    "telemetry.gain_source": "where gain_error comes from", "telemetry.tick_s": "it is part of each energy's error",
    "telemetry.calibration.*": "what it holds against a counter is a check of each process",
    "telemetry.call_s": "outside of timed steps", "telemetry.cpu_share": "below 1% of a core, measured by a bench",
    "telemetry.identity.*.status": _RARE, "telemetry.identity.*.reason": _RARE,
    "cases.case_id": _NAME, "cases.workload": "cases of other workloads are no pair", "cases.mode": "the same",
    "cases.reason": "the outcome in words", "cases.weights.note": _NAME,
    "cases.flops.*": "flops_per_sample is their sum",
    "cases.precision.probe.*": "the effective precision is concluded from it",
    "cases.correctness.*": "the verdict is concluded from it",
    "cases.throughput_per_s.*": _RESULT, "cases.throughput_total_per_s.*": _RESULT, "cases.latency_s.*": _RESULT,
    "cases.device_span_s.*": _RESULT, "cases.first_step_s": _RESULT, "cases.peak_memory_bytes": _RESULT,
    "cases.energy_j_per_sample.*": _RESULT, "cases.energy_above_idle_j_per_sample.*": _RESULT,
    "cases.energy_error_j_per_sample": _RESULT, "cases.power_w.*": _RESULT, "cases.temperature_c.*": _RESULT,
    "cases.gpu_utilization_pct.*": "of the window the mean is compared",
    "cases.core_clock_hz.*": "the median is compared",
    "cases.warnings": "in words what other fields hold",
    "cases.repeats.index": "the number of a process", "cases.repeats.order": "the number of a process",
    "cases.repeats.outcome": "a process without a result does not count; the number of others is each interval's",
    "cases.repeats.reason": "the same", "cases.repeats.exit_code": "the same", "cases.repeats.output_tail": "the same",
    "cases.repeats.started_at": "within the run's time",
    "cases.repeats.duration_s": "a process's length is not compared",
    "cases.repeats.cold.*": _TOTAL, "cases.repeats.warmup.*": "`steady` is concluded from it",
    "cases.repeats.throughput.*": _TOTAL, "cases.repeats.device_span.step_s": _TOTAL,
    "cases.repeats.latency.*": _TOTAL,
    "cases.repeats.memory.*": _TOTAL, "cases.repeats.cpu.*": "who waited for a core is compared",
    "cases.repeats.telemetry.energy.*": _TOTAL, "cases.repeats.telemetry.window.*": _TOTAL,
    "cases.repeats.telemetry.window_absent.*": "what a sensor did not say is no value of a comparison",
    "cases.repeats.telemetry.throttled_share": "the case's share is its mean",
    "cases.repeats.telemetry.before.*.status": _RARE, "cases.repeats.telemetry.before.*.reason": _RARE,
    "cases.repeats.telemetry.after.*": "checks compare it with `before`, in the process itself",
    "cases.repeats.telemetry.*": "it is part of each energy's error, or of a check",
    "cases.repeats.phases.*": "when it was measured, for pictures",
    "cases.repeats.warnings": "in words what others hold",
}  # fmt: skip


def fields(model: type[BaseModel] = RunRecord, prefix: str = "") -> list[str]:
    """Every field of the schema that holds values, as a path; the names in a dictionary of parts are a *."""
    found = []
    for name, field in model.model_fields.items():
        inner = list(_parts(field.annotation))
        keyed = "*." if inner and "dict[" in str(field.annotation) and "list[" not in str(field.annotation) else ""
        found += [path for part in inner for path in fields(part, f"{prefix}{name}.{keyed}")] or [f"{prefix}{name}"]
    return [path for path in found if not path.endswith("absent")]


def _parts(kind: Any):
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for argument in typing.get_args(kind):
        yield from _parts(argument)


def _planted_path(path: str) -> str:
    """A path of PLANTED as `fields` spells it: without lists, and a sensor's reading by its value."""
    parts = [part for part in path.split(".") if part != "*"]
    if "before" in parts or "identity" in parts:
        parts[-1:] = ["*", "value"]
    return ".".join(parts)


def test_every_field_is_in_the_ledger_or_cannot_matter():
    planted = {_planted_path(path) for _, path, _ in PLANTED}
    placed = [*planted, *REASONS]
    all_fields = fields()
    assert len(all_fields) > 250
    inside = {path for path in all_fields if any(path.startswith(f"{p}.") or path == p for p in planted)}
    homeless = [
        path for path in all_fields if path not in inside and not any(fnmatch.fnmatch(path, p) for p in REASONS)
    ]
    assert homeless == []
    gone = [p for p in placed if not any(path == p or path.startswith(f"{p}.") or fnmatch.fnmatch(path, p)
                                         for path in all_fields)]  # fmt: skip
    assert gone == []


READINGS = {
    "name": _SIDES, "uuid": "tells machines apart", "pci_bus_id": "tells machines apart", "serial": "the same",
    "architecture": "the device's own field is compared", "library_version": "telemetry.version is compared",
    "memory_total_bytes": "the device's own field is compared", "memory_used_bytes": "foreign processes are a check",
    "power_limit_min_w": "what could be set changes nothing", "power_limit_max_w": "the same",
    "fan_pct": "the temperatures are compared", "pcie_generation": "at rest a link may be in a slow state",
    "pcie_width_max": "the width in use is compared", "ecc_corrected": "checks compare before and after",
    "ecc_uncorrected": "the same", "performance_state": "clocks and throttling are compared",
    "processes": "foreign processes are a check",
}  # fmt: skip


def test_every_quantity_that_sensors_are_asked_for_is_in_the_ledger_or_cannot_matter():
    planted = {path.rpartition(".")[2] for _, path, _ in PLANTED if "before" in path or "identity" in path}
    asked = {quantity.key for quantity in (*IDENTITY, *FACTS)}
    assert asked - planted == READINGS.keys()


@cache
def _record() -> str:
    """Of one case, with all that a GPU's sensors say, as JSON."""
    with tempfile.TemporaryDirectory() as directory:
        path = rivals.run(
            Path(directory), 1, {"lstm": [100.0, 101.0, 99.0]}, device="H100", joules=[1.0, 1.01, 0.99],
            sensor={}, yardstick={"product_s": 0.005, "copy_s": 0.002},
        )  # fmt: skip
        record = json.loads((path / "record.json").read_text())
    summary = {"mean": 95.0, "median": 1.9e9, "min": 1.0, "max": 2e9, "start": 40.0, "end": 60.0, "samples": 9,
               "absent": {}}  # fmt: skip
    identity = {"driver_version": "1", "vbios_version": "1", "partition": "none"}
    record["telemetry"]["identity"] = {name: _read(value) for name, value in identity.items()}
    before = {"power_limit_w": 700.0, "power_limit_default_w": 700.0, "ecc_enabled": True, "core_clock_max_hz": 1.98e9,
              "memory_clock_max_hz": 2.6e9, "pcie_width": 16, "pcie_generation_max": 5}  # fmt: skip
    record["device"] |= {"architecture": "sm_90", "memory_total_bytes": 80 << 30, "compute_units": 132}
    record["device"]["absent"] = {k: v for k, v in record["device"]["absent"].items() if record["device"][k] is None}
    for case in record["cases"]:
        case |= dict.fromkeys(("temperature_c", "gpu_utilization_pct", "core_clock_hz"), summary)
        case |= {"idle_power_w": 60.0, "throttled_share": {}, "flops_per_sample": 1, "parameters": 1,
                 "trainable_parameters": 1, "bytes_per_sample": 1.0,
                 "weights": {"source": "random", "note": "", "sha256": "0" * 64, "absent": {}}}  # fmt: skip
        case["correctness"] |= {"tolerance": 0.01}
        for repeat in case["repeats"]:
            repeat["telemetry"]["before"] = {name: _read(value) for name, value in before.items()}
        _explained(case)
    return json.dumps(record)


def _explained(part: Any) -> None:
    """Drop reasons for values that are there by now, and give one for each that is gone."""
    if isinstance(part, list):
        for each in part:
            _explained(each)
    elif isinstance(part, dict):
        if "absent" in part:
            part["absent"] = {name: "test" for name, value in part.items() if value is None and name != "absent"}
        for each in part.values():
            _explained(each)


def _plant(holder: Any, path: list[str], value: Any) -> None:
    if path[0] == "*":
        for each in holder:
            _plant(each, path[1:], value)
    elif len(path) > 1:
        _plant(holder[path[0]], path[1:], value)
    else:
        holder[path[0]] = value


def _compared(other: dict[str, Any]) -> analysis.Comparison:
    sides = []
    for number, data in enumerate((json.loads(_record()), other)):
        data["run_id"] = f"20261123T090000Z-rival-{number:08x}"
        for case in data["cases"]:  # a second measurement, not a copy
            for repeat in case["repeats"]:
                repeat["throughput"]["samples_per_s"] *= 1 + 1e-9 * number
        _explained(data)
        found = digest(RunRecord.model_validate(data))
        sides.append(gather("side", [(found, found.cases)]))
    return analysis.compare(*sides)


def test_records_that_differ_in_nothing_have_an_empty_ledger():
    found = _compared(json.loads(_record()))
    assert [entry.key for entry in found.ledger] == ["turns"]
    assert found.alike == []


@pytest.mark.parametrize(("key", "path", "value"), PLANTED, ids=[path for _, path, _ in PLANTED])
def test_a_planted_difference_has_its_line(key, path, value):
    other = json.loads(_record())
    before = copy.deepcopy(other)
    _plant(other, path.split("."), value)
    assert other != before
    found = _compared(other)
    rows = {entry.key: entry for entry in (*found.ledger, *found.alike)}
    assert key in rows
    assert rows[key].why
    assert all(entry.baseline != entry.candidate for entry in found.ledger)
