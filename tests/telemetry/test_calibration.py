"""Calibration finds what a scenario scripts: tick, update period, averaging time, and which reading is off."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpuprof.supervisor.load import Loaded
from gpuprof.telemetry import calibration, kept
from gpuprof.telemetry.device import Probe
from support import simulators
from support.running import DATA, ROOT, variables
from support.virtual import S, World

# In virtual time: waiting moves the simulated library's clock, so ten seconds of sensor behaviour take none.
CALIBRATE = """
import json, sys
from support import simulators
from gpuprof.telemetry import calibration as calibrate
from gpuprof import telemetry
from gpuprof.supervisor.load import Loaded
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
    return Loaded(lambda: now < 26_000_000_000, now)

print(json.dumps(calibrate.calibrate(device, load, clock=lambda: now, wait=wait)[0]))
"""


class Counted:
    """A device in virtual time: power as scripted, and a counter with a habit that moves every 100 ms."""

    simulated, id, vendor = True, "made:0", "made"

    def __init__(self, world: World, habit: str) -> None:
        self.world, self.habit, self.on = world, habit, [(0.0, 100.0)]

    def identity(self) -> dict:
        return {}

    def watts(self, t: float) -> float:
        return next(w for since, w in reversed(self.on) if since <= t)

    def joules(self, t: float) -> float:
        ends = [since for since, _ in self.on[1:]] + [t]
        return sum(w * (min(end, t) - since) for (since, w), end in zip(self.on, ends, strict=True) if since < t)

    def energy_j(self) -> float:
        self.world.wait(2e-4)
        t = 0.1 * math.floor(self.world.now() / 1e8 + 1e-9)
        if self.habit == "frozen":
            return 5000.0
        if self.habit == "part-time":
            seen = [self.joules(0.1 * n) - self.joules(0.1 * n - 0.025) for n in range(10, round(t / 0.1) + 1)]
            return 5000.0 + 4 * sum(seen)
        lag_s, scale = (0.12, 1.0) if self.habit == "lagging" else (0.0, 0.5 if self.habit == "mis-scaled" else 1.0)
        return 5000.0 + scale * self.joules(t - lag_s)

    def probes(self) -> list[Probe]:
        return [Probe(("power_instant_w", "power_average_w"), lambda: [self.watts(self.world.now() / 1e9)] * 2)]


def loaded(world: World, device: Counted) -> Loaded:
    """What `worker.load` does, scripted before it happens: 6 s of load, then trains of pulses."""
    start = world.now() / 1e9
    device.on += [(start, 600.0), (start + 6.0, 100.0)]
    trains, at = [], start + 8.0
    for phase_s in calibration.phases_s(random.Random(7)):
        first = math.ceil(at / 0.1) * 0.1 + phase_s
        for turn in range(20):
            device.on += [(first + 0.1 * turn, 600.0), (first + 0.1 * turn + 0.05, 100.0)]
        trains.append([round(first * S), round((first + 1.95) * S), round(1.0 * S)])
        at = first + 4.0
    marks = {"start_ns": round(start * S), "end_ns": round((start + 6.0) * S), "trains": trains}
    return Loaded(lambda: world.now() / 1e9 < at - 2.0, round(start * S), marks)


def test_what_was_not_tried_is_not_said():
    """A program's load has no pulses, so that nobody knows whether the counter sees all of the time."""
    world = World(2 * S)
    device = Counted(world, "ideal")

    def program() -> Loaded:
        start = world.now()
        device.on += [(start / 1e9, 600.0), (start / 1e9 + 6.0, 100.0)]
        return Loaded(lambda: world.now() < start + 6 * S, start)

    found, _ = calibration.calibrate(device, program, clock=world.now, wait=lambda s: world.wait(s + 0.003))
    assert found["finding"] == {"kind": "unproven", "means": "not shown: that it sees all of the time"}


@pytest.mark.parametrize("habit", ["ideal", "lagging", "part-time", "frozen", "mis-scaled"])
def test_five_counters_are_five_findings(habit):
    world = World(2 * S)
    device = Counted(world, habit)
    found, readings = calibration.calibrate(
        device, lambda: loaded(world, device), clock=world.now, wait=lambda s: world.wait(s + 0.003)
    )
    assert found["finding"]["kind"] == habit, found["finding"]
    if habit == "lagging":
        assert found["lag"]["lag_s"] == pytest.approx(0.12, abs=0.01)
    if habit == "ideal":
        assert found["pulses"]["spread"] < 0.05
    assert len(found["pulses"]["trains"]) == calibration.TRAINS
    assert len(readings["energy_j"]) > 1000


def test_a_real_h100_sees_all_of_the_time():
    """Its own trace: 2 ms readings of NVML around a steady load and eight trains of pulses, a phase each."""
    with gzip.open(DATA / "2026-11-27-nvidia-h100" / "trace.csv.gz", "rt") as file:
        marks = json.loads(file.readline()[2:])
        rows = [(int(row["t_ns"]), row) for row in csv.DictReader(file)]
    counted = [(t, int(row["energy_mj"]) / 1e3) for t, row in rows]
    instant = {"power_instant_w": [(t, int(row["power_instant_mw"]) / 1e3) for t, row in rows]}
    trains = [[train[0][0], train[-1][1], sum(end - start for start, end in train)] for train in marks["phases"]]
    found = calibration.pulses(instant, counted, trains)
    assert found["spread"] < 0.08
    watts = [train["power_instant_w"] for train in found["trains"]]
    assert max(watts) > 2.4 * min(watts), "the same trains, by a reading that sees 25 of 100 ms"
    assert calibration.lag(counted, marks["steady"][1])["lag_s"] == pytest.approx(0.011, abs=0.005)


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


def test_what_was_found_is_kept_for_the_card(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = SimpleNamespace(uuids=frozenset({"a", "b"}))
    assert "has not run" in kept.kept(device, "580.1").reason
    result = {
        "finding": {"kind": "lagging", "means": "its joules are old"}, "lag": {"lag_s": 0.04},
        "identity": {"driver_version": {"value": "580.1"}},
    }  # fmt: skip
    assert kept.keep(device, result, "2026-11-27T10:00:00Z")
    found = kept.kept(device, "580.1")
    assert (found.kind, found.measured_at) == ("lagging", "2026-11-27T10:00:00Z")
    assert kept.lag_s(found) == pytest.approx((0.01, 0.05))
    assert kept.trusted(found)
    assert list(kept.doubts(found)) == []
    (file,) = tmp_path.rglob("*.json")
    file.write_text('{"kind": "perfect"}')
    assert "cannot be read" in kept.kept(device, "580.1").reason, "not what gpuprof writes"
    assert "has not run" in kept.kept(SimpleNamespace(uuids=frozenset({"c"})), "580.1").reason
    assert not kept.keep(SimpleNamespace(uuids=frozenset()), result, "now")


def test_a_calibration_counts_for_the_driver_that_it_was_made_with(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = SimpleNamespace(uuids=frozenset({"a"}))
    result = {
        "finding": {"kind": "ideal", "means": "all of it"}, "lag": {"lag_s": 0.0},
        "identity": {"driver_version": {"value": "580.1"}},
    }  # fmt: skip
    assert kept.keep(device, result, "2026-11-27T10:00:00Z")
    later = kept.kept(device, "590.2")
    assert later.reason == "calibrated with driver 580.1, now 590.2: run calibrate-telemetry again"
    assert not kept.trusted(later)
    assert kept.lag_s(later) is None
    assert list(kept.doubts(later)) == []


def test_a_finding_without_lag_or_driver_is_kept_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = SimpleNamespace(uuids=frozenset({"a"}))
    result = {
        "finding": {"kind": "part-time", "means": "it sees a part"}, "lag": {"absent": "no power step"},
        "identity": {"driver_version": {"value": None}},
    }  # fmt: skip
    assert kept.keep(device, result, "later")
    found = kept.kept(device, None)
    assert "sees a part" in next(kept.doubts(found))
    assert found.absent == {"lag_s": "no power step", "driver": "its version could not be read"}
    assert not kept.trusted(found)
    assert kept.lag_s(found) is None, "measured by a counter that cannot be believed"
