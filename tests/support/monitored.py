"""`gpuprof monitor` as a process, over simulated GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import simulators
from support.running import ROOT, Done, command, gpuprof, variables

FAST = {"tick_s": 0.01}  # so that a test waits a tenth of the time for the counter to move
QUICK_H100 = {"like": "h100", "counter": FAST, "power": {"kind": "constant", "w": 400}}
QUICK_MI300 = {"like": "mi300x_spx", "counter": FAST, "power": {"kind": "constant", "w": 500}}
SAY = (sys.executable, "-c", "print('from the command')")


def surroundings(libraries: Path, scenario: dict, tmp: Path) -> dict[str, str]:
    """gpuprof's own variables, with these libraries as the vendors'."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "COLUMNS": "200", **simulators.variables(libraries, scenario, tmp)}


@pytest.fixture
def monitor(libraries, tmp_path):
    """monitor(gpus, *arguments): the command over these simulated GPUs, which count their time from now on."""

    def run(gpus: list[dict], *arguments: str, system: dict | None = None, **more) -> Done:
        scenario = simulators.load({"gpus": gpus, **(system or {})}, origin_ns=time.monotonic_ns())
        return gpuprof("monitor", *arguments, env=surroundings(libraries, scenario, tmp_path), **more)

    return run


@pytest.fixture
def started(libraries, tmp_path):
    """As `monitor`, but still running."""
    running = []

    def start(gpus: list[dict], *arguments: str) -> subprocess.Popen:
        scenario = simulators.load({"gpus": gpus}, origin_ns=time.monotonic_ns())
        process = subprocess.Popen(
            command("monitor", *arguments), cwd=ROOT, env=variables(**surroundings(libraries, scenario, tmp_path)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def complete(document: dict) -> None:
    """Every null of the document has its reason, and each metric is a summary or says why it is none."""

    def nulls(part: dict, where: str) -> list[str]:
        empty = {key for key, value in part.items() if value is None}
        assert empty == set(part.get("absent", {})), where
        return [part["absent"][key] for key in empty]

    reasons = nulls(document, "the document")
    assert {
        "schema", "command", "started_at", "start_ns", "end_ns", "duration_s", "exit_code", "simulated", "devices",
        "telemetry_hz", "telemetry_cpu_share",
    } <= set(document)  # fmt: skip
    for device in document["devices"]:
        assert {
            "id", "name", "uuid", "pci_bus_id", "vendor", "simulated", "energy_j", "energy_error_j", "energy_method",
            "power_mean_w", "trapezoid_j", "gain_error", "scope", "throttled_share", "throttle_unsampled", "metrics",
            "samples", "checks",
        } <= set(device)  # fmt: skip
        reasons += nulls(device, device["id"])
        for key, metric in device["metrics"].items():
            if "mean" in metric:
                assert metric["min"] <= metric["mean"] * (1 + 1e-12) and metric["samples"] > 0, key
            else:
                assert metric["value"] is None and metric["status"] != "ok", key
                reasons.append(metric["reason"])
    assert all(isinstance(reason, str) and reason.strip(" ;") == reason != "" for reason in reasons), reasons


def by_id(document: dict) -> dict[str, dict]:
    return {device["id"]: device for device in document["devices"]}
