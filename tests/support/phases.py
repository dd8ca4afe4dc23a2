"""One repeat on a timetable: telemetry of a run, whose every phase has a scripted truth, in virtual time.

A child process opens the simulated libraries, plays supervisor and worker on the timetable, and says what came of it.
The timetable leaves each pause just the time that reading the counters takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gpuprof.record.repeat import RepeatTelemetry
from support import simulators
from support.running import ROOT

IDLE_W = 80
# Seconds of virtual time: when each phase begins and ends, and what the device draws in it.
PHASES = {"cold": (102.03, 103.03, 300), "warmup": (106.33, 109.33, 500), "throughput": (110.03, 115.03, 620),
          "latency": (118.53, 119.53, 400)}  # fmt: skip
STEPS = [[0, IDLE_W], *(step for start, end, watts in PHASES.values() for step in ([start, watts], [end, IDLE_W]))]
POWER = {"kind": "steps", "steps": STEPS}
PROTOCOL = {
    "name": "full", "repeats": 1, "idle_s": 2.0, "energy_error": 0.01, "timeout_s": 100.0, "block_min_s": 0.02,
    "warmup_min_steps": 20, "warmup_min_s": 3.0, "warmup_max_s": 60.0,
    "measure_min_blocks": 30, "measure_min_s": 5.0, "measure_max_s": 30.0,
    "latency_min_requests": 299, "latency_max_requests": 2000, "latency_min_s": 2.0, "latency_max_s": 10.0,
}  # fmt: skip
NVIDIA = {"like": "h100", "power": POWER, "processes": []}
AMD = {"like": "mi300x_spx", "power": POWER, "processes": []}

CHILD = """
import ctypes, json, os, sys, types
from support import simulators
from support.virtual import S, World
from gpuprof import telemetry
from gpuprof.absent import Absent
from gpuprof.messages import Ready
from gpuprof.record.repeat import Phase
from gpuprof.record.protocol import Protocol
from gpuprof.telemetry.vendors import amd_library, nvidia
from gpuprof.telemetry.watch import Station

def shown(part): return part.reason if isinstance(part, Absent) else part.model_dump(mode="json")

asked = json.loads(sys.argv[1])
# The same libraries that the bindings will load.
libraries = [ctypes.CDLL("libnvidia-ml.so.1"), ctypes.CDLL(os.environ["ROCM_PATH"] + "/lib/libamd_smi.so")]
world = World(100 * S, [lambda ns, library=library: simulators.set_time_ns(library, ns) for library in libraries])
# The time base of its throttle counters, and in which it looks at an energy counter.
amd_library.time = nvidia.time = types.SimpleNamespace(monotonic_ns=world.now, sleep=world.wait)
backends = telemetry.open_backends()

station = Station(backends, asked["device"], hz=asked["hz"], clock=world.now, wait=world.wait)
said = {"answers": {}}
with world.driving(station._sampler, station):
    watch = station.repeat(Protocol.model_validate(asked["protocol"]))
    phases = []
    for name, (start, end, _) in asked["phases"].items():
        device = asked["worker"] or asked["device"] if name == "cold" else None
        said["answers"][name] = watch.pause(Ready(window=name, phases=phases, device=device)).min_s
        world.wait_until(round(start * S))
        if name == "throughput" and asked["stall_s"]:
            station._sampler.call(lambda: world.wait(asked["stall_s"]))
        world.wait_until(round(end * S))
        phases.append({"name": name, "start_ns": round(start * S), "end_ns": round(end * S)})
    marks = [Phase.model_validate(phase) for phase in phases]
    found = watch.result(marks)
    series = watch.series(marks)
    source = station.source()
    said |= {
        "result": shown(found), "phases": phases, "source": shown(source),
        "simulated": station.simulated, "series": {name: len(values) for name, values in series.items()},
    }
print(json.dumps(said))
"""


def torch_says(gpu: dict, index: int = 0) -> dict:
    """A simulated GPU as torch describes it; HIP writes the digits of its UUID as ASCII."""
    if gpu["vendor"] == "nvidia":
        uuid = gpu["uuid"].removeprefix("GPU-")
    else:
        uuid = (gpu["hip_uuid"] or "").removeprefix("GPU-").encode().hex() or None
    return {
        "kind": "gpu",
        "vendor": gpu["vendor"],
        "name": gpu["name"],
        "index": index,
        "uuid": uuid,
        "pci": gpu["pci"],
    }


@pytest.fixture
def watched(libraries, tmp_path):
    """watched(gpus): what the station and its watch say of one repeat on the first of these GPUs."""

    def run(
        *gpus: dict, which: int = 0, worker: dict | None = None, stall_s: float = 0, hz: float = 10, **protocol
    ) -> dict:
        scenario = simulators.load({"gpus": list(gpus)})
        absent = {name: "not asked for" for name, value in protocol.items() if value is None}
        asked = {
            "device": torch_says(scenario["gpus"][which]), "worker": worker, "phases": PHASES, "hz": hz,
            "protocol": PROTOCOL | protocol | {"absent": absent}, "stall_s": stall_s,
        }  # fmt: skip
        path = [str(ROOT / "tests"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        path = {"PYTHONPATH": os.pathsep.join(path)}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=60,
            env=os.environ | simulators.variables(libraries, scenario, tmp_path) | path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        said = json.loads(done.stdout)
        said["gpus"] = scenario["gpus"]
        if isinstance(said["result"], dict):
            RepeatTelemetry.model_validate(said["result"])
        return said

    return run
