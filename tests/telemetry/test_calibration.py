"""Calibration finds what a scenario scripts: tick, update period, averaging time, and which reading is off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import simulators
from support.running import ROOT, variables

# In virtual time: waiting moves the simulated library's clock, so ten seconds of sensor behaviour take none.
CALIBRATE = """
import json, sys
from support import simulators
from gpuprof.telemetry import calibration as calibrate
from gpuprof import telemetry
device = telemetry.all_devices(telemetry.open_backends())[0]
if device.vendor == "nvidia":
    import pynvml
    library = pynvml.nvmlLib
else:
    library = device._smi._wrapper._libraries["libamd_smi.so"]
now = 1_000_000_000
simulators.set_time_ns(library, now)

def wait(seconds):
    global now
    now += int(seconds * 1e9)
    simulators.set_time_ns(library, now)

def load():  # the scenario's own step stands for it
    global now
    while now < 20_000_000_000:
        wait(0.002)
    return (lambda: now < 26_000_000_000), now

print(json.dumps(calibrate.calibrate(device, load, clock=lambda: now, wait=wait)))
"""


def calibrated(libraries: Path, tmp_path: Path, gpu: dict) -> dict:
    steps = {"kind": "steps", "steps": [[0, 100], [20, 600], [26, 100]]}
    scenario = simulators.load({"gpus": [{"power": steps, **gpu}]})
    env = variables(**simulators.variables(libraries, scenario, tmp_path))
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CALIBRATE], env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("model", ["h100", "mi300x_spx"])
def test_the_tick_is_found(libraries, tmp_path, model):
    tick_s = {"h100": 0.1, "mi300x_spx": 0.02}[model]
    found = calibrated(libraries, tmp_path, {"like": model, "counter": {"tick_s": tick_s, "offset_j": 1.0}})
    assert found["counter"]["tick_s"] == pytest.approx(tick_s, abs=0.002)
    assert found["counter"]["power_w"] == pytest.approx(100, rel=0.02)
    assert found["simulated"]
    assert all(found["calls_s"]), "a call without a signal"


def test_one_reading_of_an_h100_is_short_and_the_other_a_second_long(libraries, tmp_path):
    found = calibrated(libraries, tmp_path, {"like": "h100"})
    instant, average = found["power"]["power_instant_w"], found["power"]["power_average_w"]
    assert instant["window_s"] is None  # 25 ms, renewed every 100 ms: nothing shorter than the renewal can be told
    assert "within one update" in instant["absent_window"]
    assert average["window_s"] == pytest.approx(1.0, abs=0.15)
    assert average["update_s"] == pytest.approx(0.1, abs=0.005)
    assert found["agreement"]["over_counter"]["power_instant_w"] == pytest.approx(1, abs=0.01)


def test_a_device_without_counter_or_step_says_so(libraries, tmp_path):
    found = calibrated(libraries, tmp_path, {"like": "rx6900xt", "power": {"kind": "constant", "w": 200}})
    assert "absent" in found["counter"]
    assert "absent" in found["agreement"]
    assert "no power step" in found["power"]["power_average_w"]["absent_window"]
    assert found["power"]["power_instant_w"] == {"absent": "this device does not report it"}
