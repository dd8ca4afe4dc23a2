"""Backends over simulated libraries, in processes of their own; and what a scenario promises of its devices.

The expected values are computed here from the scenario, in SI units, and never from what gpuprof makes of them. One
scenario is one process, so a scenario holds as many GPUs as there are cases of a kind.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from gpuprof.telemetry import quantities
from support import simulators, wheels
from support.running import ROOT

NOW_S = 10.3  # where the virtual clock stands when the libraries are opened
NOW_NS = 10_300_000_000
ABSENT = ("unsupported", "no_permission", "transient", "lost")
METRICS = "amdsmi_get_gpu_metrics_info"
NVML_FIELDS = "nvmlDeviceGetFieldValues"
MHZ = 1e6
needs_libraries = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("pynvml", "amdsmi"))), reason="needs nvidia-ml-py and amdsmi"
)
# A quantity, and the field of gpu_metrics that has it.
AMD_FIELDS = {
    "power_instant_w": "current_socket_power",
    "power_average_w": "average_socket_power",
    "energy_j": "energy_accumulator",
    "gpu_utilization_pct": "average_gfx_activity",
    "memory_utilization_pct": "average_umc_activity",
    "temperature_core_c": "temperature_edge",
    "temperature_hotspot_c": "temperature_hotspot",
    "temperature_memory_c": "temperature_mem",
    "core_clock_hz": "current_gfxclk",
    "memory_clock_hz": "current_uclk",
    "throttle": "indep_throttle_status",
}
IN_CASES = settings(max_examples=100, deadline=None, derandomize=True)

PRELUDE = """
import ctypes, json, os, sys, types
from support import simulators
now_ns = 0
def loaded():
    nvml = os.environ["LD_LIBRARY_PATH"].split(os.pathsep)[0], "libnvidia-ml.so.1"
    smi = os.environ["ROCM_HOME"], "lib", "libamd_smi.so"
    for path in (nvml, smi):
        try: yield ctypes.CDLL(os.path.join(*path))
        except OSError: pass
# The same that pynvml and amdsmi will find, by its SONAME or its path: the clock is to stand before they are opened.
libraries = list(loaded())
def at(s):
    global now_ns
    now_ns = round(s * 1e9)
    for library in libraries: simulators.set_time_ns(library, round(s * 1e9))
at(10.3)
from gpuprof import telemetry
from gpuprof.telemetry import quantities, sampler
from gpuprof.telemetry.device import NoReading, Lost, reading
from gpuprof.telemetry.vendors import amd_library
amd_library.time = types.SimpleNamespace(monotonic_ns=lambda: now_ns)  # in which a snapshot becomes a stale one
backends = telemetry.open_backends()
nvidia, amd, cpu = backends
gpus = [*nvidia.devices, *amd.devices]
def plain(readings): return {key: [r.value, r.status, r.reason] for key, r in readings.items()}
def shown(value): return [value.status, value.reason] if isinstance(value, NoReading) else value
def signals(device):
    try: return plain({key: reading(value) for key, value in device.signals().items()})
    except Lost as error: return {"lost": str(error)}
def readings(device):
    return plain(device.identity()) | plain(device.facts()) | signals(device)
def say(value): print(json.dumps(value, allow_nan=False))
"""
# How often the libraries are called for ten samples of the first GPU.
COUNTED = """
import re
names = sorted(set(re.findall(r"(nvmlDevice\\w+|amdsmi_get_\\w+)", open(os.environ["SOURCES"]).read())))
def counts(): return {name: n for library in libraries for name in names if (n := simulators.calls(library, name))}
feed = sampler.Feed(gpus[0], 64); feed.choose_probes()
before = counts()
for i in range(10): feed.take(lambda: 1)
say({name: n - before.get(name, 0) for name, n in counts().items() if n > before.get(name, 0)})
"""
# Asked for the answer to one piece of code after the other, each in a child of its own that has imported all but the
# vendors' modules: a fresh interpreter for each of the hundred would take most of the time of these tests.
SERVER = """
import ctypes, json, os, sys, traceback
from support import simulators
from gpuprof import telemetry
from gpuprof.telemetry import quantities, sampler, summary
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        os.environ.clear()
        os.environ.update(asked["variables"])
        code = 1
        try:
            exec(asked["code"], {"__name__": "__main__"})
            code = 0
        except BaseException: traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# ---- processes with simulated libraries


@dataclass(frozen=True)
class Libraries:
    """Simulated libraries of several releases, each built when it is first asked for.

    Beside RELEASES there is "amdsmi VERSION" for each wheel of wheels.HASHES: the wrapper and a library that fits it.
    """

    directory: Path
    built: dict[str, Path]

    RELEASES = {  # noqa: RUF012 - a constant
        "usual": {},
        "old driver": {
            "vendors": ["nvidia"],
            "omit": [
                "nvmlDeviceGetTemperatureV", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons",
            ],
        },
        "no fields": {"vendors": ["nvidia"], "omit": [NVML_FIELDS]},
        "newer ROCm": {"vendors": ["amd"], "oversize_bytes": 176},
        "older ROCm": {"vendors": ["amd"], "oversize_bytes": -1000},
        "ROCm 10": {"omit": ["amdsmi_set_gpu_clk_range", "amdsmi_gpu_driver_reload"]},
    }  # fmt: skip

    def __getitem__(self, release: str) -> Path:
        if release not in self.built:
            place = self.directory / release.replace(" ", "_")
            package, _, version = release.partition(" ")
            if package == "amdsmi":
                wheel = wheels.unpacked("amdsmi", version, self.directory / f"wheel-{version}")
                self.built[release] = simulators.build(place, vendors=["amd"], wheel=wheel)
            else:
                self.built[release] = simulators.build(place, **self.RELEASES[release])
        return self.built[release]


@pytest.fixture(scope="session")
def releases(tmp_path_factory) -> Libraries:
    return Libraries(tmp_path_factory.mktemp("libraries"), {})


def environment(where: Path, scenario: dict, tmp: Path, **extra: str) -> dict[str, str]:
    path = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GPUPROF_", "AMDSMI_", "RSMI_"))}
    # Compiled once and not by each of the many processes; beside the libraries, where nobody else sees it.
    mine = {"PYTHONPATH": os.pathsep.join(path), "PYTHONPYCACHEPREFIX": str(where.parent / "compiled")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return clean | mine | simulators.variables(where, scenario, tmp) | extra


def process(arguments: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="session")
def server(releases, tmp_path_factory):
    """serve(code, variables, folder): as process() does, without the wait for an interpreter."""
    variables = environment(releases["usual"], simulators.load({"gpus": []}), tmp_path_factory.mktemp("server"))
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:

        def serve(code: str, variables: dict[str, str], tmp: Path) -> subprocess.CompletedProcess:
            out, err = tmp / "out", tmp / "err"
            for file in (out, err):
                file.write_text("")
            asked = {"code": code, "variables": variables, "out": str(out), "err": str(err)}
            running.stdin.write(json.dumps(asked) + "\n")
            running.stdin.flush()
            return subprocess.CompletedProcess(code, int(running.stdout.readline()), out.read_text(), err.read_text())

        yield serve
        running.stdin.close()


@pytest.fixture
def ask(releases, server, tmp_path):
    """ask(scenario, code): what the code says in a process of its own, where gpuprof has opened every library."""

    def asked(scenario: str | dict, code: str, release: str = "usual", **extra: str) -> Any:
        variables = environment(releases[release], simulators.load(scenario), tmp_path, **extra)
        # The linker reads its path when a process starts; nothing else of these variables needs a new interpreter.
        fresh = "LD_LIBRARY_PATH" in extra
        done = process(["-c", PRELUDE + code], variables) if fresh else server(PRELUDE + code, variables, tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        (line,) = done.stdout.splitlines()  # nothing beside the answer: the libraries' noise is swallowed
        return json.loads(line)

    return asked


@pytest.fixture
def devices_command(releases, tmp_path):
    """`gpuprof devices` as a process."""

    def run(scenario: dict, *arguments: str, release: str = "usual", **extra: str) -> subprocess.CompletedProcess:
        variables = environment(releases[release], simulators.load(scenario), tmp_path, **extra)
        done = process(["-m", "gpuprof", "devices", *arguments], variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done

    return run


def many(like: str, changes: Sequence[dict]) -> dict:
    """A GPU for each change, each in a slot of its own."""
    return {"gpus": [{"like": like, "pci": f"0000:{16 + i:02x}:00.0", **change} for i, change in enumerate(changes)]}


# ---- what a scenario promises


def mean_w(gpu: dict, window: str) -> float | None:
    """What the sensor with this window shows at NOW_S."""
    sensor = gpu["sensor"] or {}
    if (gpu["power"] or {}).get("kind") == "shown":
        return gpu["power"][{"window_s": "instant_w", "average_window_s": "average_w"}[window]]
    if gpu["power"] is None or not sensor.get(window):
        return None
    update_ns, window_ns = round(sensor["update_s"] * 1e9), round(sensor[window] * 1e9)
    end = NOW_NS - NOW_NS % update_ns
    return simulators.truth_energy_j(gpu, end - window_ns, end) / sensor[window]


def counted_j(gpu: dict) -> float | None:
    if gpu["counter"] is None:
        return None
    tick_ns = round(gpu["counter"]["tick_s"] * 1e9)
    return gpu["counter"]["offset_j"] + simulators.truth_energy_j(gpu, 0, NOW_NS - NOW_NS % tick_ns)


def scaled(section: dict | None, name: str, factor: float) -> float | None:
    value = (section or {}).get(name)
    return None if value is None else value * factor


def promised(gpu: dict, scenario: dict) -> dict[str, Any]:
    """Key -> the value in SI units, None for what the device does not have."""
    clocks, pcie, ecc, memory, limit, celsius, use = (
        gpu[section] or {}
        for section in (
            "clock_mhz", "pcie", "ecc", "memory_bytes", "power_limit_w", "temperature_c", "utilisation_percent"
        )
    )  # fmt: skip
    both = {
        "name": gpu["name"] or None,
        "uuid": gpu["uuid"],
        "pci_bus_id": gpu["pci"],
        "vbios_version": gpu["vbios"],
        "memory_total_bytes": memory.get("total"),
        "memory_used_bytes": memory.get("used"),
        "power_limit_w": limit.get("current"),
        "power_limit_default_w": limit.get("default"),
        "power_limit_min_w": limit.get("min"),
        "power_limit_max_w": limit.get("max"),
        "core_clock_max_hz": scaled(clocks, "core_max", MHZ),
        "memory_clock_max_hz": scaled(clocks, "memory_max", MHZ),
        "pcie_generation": pcie.get("gen"),
        "pcie_generation_max": pcie.get("gen_max"),
        "pcie_width": pcie.get("width"),
        "pcie_width_max": pcie.get("width_max"),
        "ecc_enabled": ecc.get("enabled"),
        "ecc_corrected": ecc.get("corrected"),
        "ecc_uncorrected": ecc.get("uncorrected"),
        "processes": gpu["processes"],
        "energy_j": counted_j(gpu),
        "gpu_utilization_pct": use.get("gpu"),
        "memory_utilization_pct": use.get("memory"),
        "temperature_memory_c": celsius.get("memory"),
        "core_clock_hz": scaled(clocks, "core", MHZ),
        "memory_clock_hz": scaled(clocks, "memory", MHZ),
    }
    instant_w, average_w = mean_w(gpu, "window_s"), mean_w(gpu, "average_window_s")
    if gpu["vendor"] == "nvidia":
        capability = gpu["compute_capability"]
        # 1 is an idle GPU and 4 the software power cap, the first and the third of the vocabulary.
        assert gpu["throttle_bits"] in (None, 0, 1, 4)
        return both | {
            "serial": gpu["serial"],
            "architecture": capability and f"sm_{capability[0]}{capability[1]}",
            "driver_version": scenario["system"]["nvidia_driver"],
            "library_version": scenario["system"]["nvml"],
            "partition": "MIG" if gpu["mig"] else "none",
            "fan_pct": gpu["fan_percent"],
            "performance_state": None if gpu["performance_state"] is None else f"P{gpu['performance_state']}",
            "power_instant_w": instant_w,
            "power_average_w": average_w,
            "temperature_core_c": celsius.get("core"),
            "temperature_hotspot_c": None,
            "throttle": gpu["throttle_bits"],
        }
    partition = gpu["compute_partition"]
    speed = None if gpu["fan_rpm"] is None else round(gpu["fan_rpm"] * 255 / gpu["fan_rpm_max"])
    return both | {
        "serial": gpu["product_serial"] or gpu["asic_serial"] or None,
        "architecture": gpu["target_graphics_version"],
        "driver_version": gpu["driver"],
        "library_version": ".".join(map(str, scenario["system"]["amd_library"])),
        "partition": f"{partition} {gpu['partition_id']}" if partition not in (None, "SPX") else partition,
        "power_limit_min_w": limit.get("min") or None,  # the library zero-fills what it cannot read
        "fan_pct": speed and 100 * speed / 255,
        "performance_state": gpu["perf_level"],
        "power_instant_w": instant_w and math.floor(instant_w + 0.5),  # the firmware knows whole watts
        "power_average_w": average_w and math.floor(average_w + 0.5),
        "temperature_core_c": celsius.get("edge"),
        "temperature_hotspot_c": celsius.get("hotspot"),
        "throttle": scenario["promises"].get("throttle", gpu["throttle_bits"]),
    }


def check(found: dict[str, list], wanted: dict[str, Any], who: str) -> None:
    """Every reading is the promised value, or nothing with the reason."""
    assert set(found) == set(wanted), who
    for key, promise in wanted.items():
        value, status, reason = found[key]
        if promise is None:
            assert value is None and status in ABSENT and reason, (who, key, found[key])
        else:
            close = pytest.approx(promise, rel=1e-6) if isinstance(promise, float) else promise
            assert (value, status, reason) == (close, "ok", None), (who, key, found[key])


def answered_by(kind: str) -> set[str]:
    tables = (quantities.IDENTITY, quantities.FACTS, quantities.SIGNALS)
    return {key for table in tables for key in quantities.keys(table, kind)}
