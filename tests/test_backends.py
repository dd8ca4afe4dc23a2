"""What backends say of their devices: the real pynvml and amdsmi over simulated libraries, and Linux over a fake root.

The expected values are computed here from the scenario, in SI units, and never from what gpuprof makes of them. One
scenario is one process, so a scenario holds as many GPUs as there are cases of a kind.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import simulators
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.telemetry import amd, amd_library, device, energy, host, nvidia, quantities, sampler
from gpuprof.telemetry.device import Absent

HERE = Path(__file__).parent
NOW_S = 10.3  # where the virtual clock stands when the libraries are opened
NOW_NS = 10_300_000_000
ABSENT = ("unsupported", "no_permission", "transient", "lost")
METRICS = "amdsmi_get_gpu_metrics_info"
NVML_FIELDS = "nvmlDeviceGetFieldValues"
MHZ = 1e6
IN_CASES = settings(max_examples=100, deadline=None, derandomize=True)

PRELUDE = """
import ctypes, json, os, sys
import simulators
def loaded():
    nvml = os.environ["LD_LIBRARY_PATH"].split(os.pathsep)[0], "libnvidia-ml.so.1"
    smi = os.environ["ROCM_HOME"], "lib", "libamd_smi.so"
    for path in (nvml, smi):
        try: yield ctypes.CDLL(os.path.join(*path))
        except OSError: pass
# The same that pynvml and amdsmi will find, by its SONAME or its path: the clock is to stand before they are opened.
libraries = list(loaded())
def at(s):
    for library in libraries: simulators.set_time_ns(library, round(s * 1e9))
at(10.3)
from gpuprof import telemetry
from gpuprof.telemetry import quantities, sampler
from gpuprof.telemetry.device import Absent, Lost, reading
backends = telemetry.open_backends()
nvidia, amd, cpu = backends
gpus = [*nvidia.devices, *amd.devices]
def plain(readings): return {key: [r.value, r.status, r.reason] for key, r in readings.items()}
def shown(value): return list(value) if isinstance(value, Absent) else value
def signals(device):
    try: return plain({key: reading(value) for key, value in device.signals().items()})
    except Lost as error: return {"lost": str(error)}
def readings(device):
    return plain(device.identity()) | plain(device.facts()) | signals(device)
def say(value): print(json.dumps(value, allow_nan=False))
"""
# Asked for the answer to one piece of code after the other, each in a child of its own that has imported all but the
# vendors' modules: a fresh interpreter for each of the hundred would take most of the time of these tests.
SERVER = """
import ctypes, json, os, sys, traceback
import simulators
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
    """Simulated libraries of several releases, each built when it is first asked for."""

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
            self.built[release] = simulators.build(place, **self.RELEASES[release])
        return self.built[release]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Libraries:
    return Libraries(tmp_path_factory.mktemp("libraries"), {})


def environment(where: Path, scenario: dict, tmp: Path, **extra: str) -> dict[str, str]:
    path = [str(HERE.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
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
def server(libraries, tmp_path_factory):
    """serve(code, variables, folder): as process() does, without the wait for an interpreter."""
    variables = environment(libraries["usual"], simulators.load({"gpus": []}), tmp_path_factory.mktemp("server"))
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
def ask(libraries, server, tmp_path):
    """ask(scenario, code): what the code says in a process of its own, where gpuprof has opened every library."""

    def asked(scenario: str | dict, code: str, release: str = "usual", **extra: str) -> Any:
        variables = environment(libraries[release], simulators.load(scenario), tmp_path, **extra)
        # The linker reads its path when a process starts; nothing else of these variables needs a new interpreter.
        fresh = "LD_LIBRARY_PATH" in extra
        done = process(["-c", PRELUDE + code], variables) if fresh else server(PRELUDE + code, variables, tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        (line,) = done.stdout.splitlines()  # nothing beside the answer: the libraries' noise is swallowed
        return json.loads(line)

    return asked


@pytest.fixture
def devices_command(libraries, tmp_path):
    """`gpuprof devices` as a process."""

    def run(scenario: dict, *arguments: str, release: str = "usual", **extra: str) -> subprocess.CompletedProcess:
        variables = environment(libraries[release], simulators.load(scenario), tmp_path, **extra)
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
        assert gpu["throttle_bits"] in (None, 0, 4)  # 4 is the software power cap, the third of the vocabulary
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
        "performance_state": "auto",
        "power_instant_w": instant_w and math.floor(instant_w + 0.5),  # the firmware knows whole watts
        "power_average_w": average_w and math.floor(average_w + 0.5),
        "temperature_core_c": celsius.get("edge"),
        "temperature_hotspot_c": celsius.get("hotspot"),
        "throttle": gpu["throttle_bits"],
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


# ---- the contract


SCENARIOS = sorted(path.stem for path in simulators.SCENARIOS.glob("*.yaml") if path.stem != "defaults")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_device_answers_for_every_quantity_in_si_units(ask, name):
    scenario = simulators.load(name)
    gpus, cpu = ask(name, "say([[readings(gpu) for gpu in gpus], readings(cpu.devices[0])])")
    assert len(gpus) == len(scenario["gpus"])
    for gpu, found in zip(scenario["gpus"], gpus, strict=True):
        assert set(found) == answered_by("gpu")
        check(found, promised(gpu, scenario), f"{name}: {gpu['name']} {gpu['pci']}")
    assert set(cpu) == answered_by("cpu")
    for key, (value, status, reason) in cpu.items():
        assert (value is None) == (status != "ok") == bool(reason), (key, value, status, reason)
        assert value not in (-1, "", "N/A"), key


def test_what_was_simulated_is_said_to_be(ask):
    assert ask("two_and_two", "say([d.simulated for b in backends for d in b.devices])") == [True] * 4 + [False]


def test_two_vendors_at_once_through_the_command_line(devices_command):
    watts = [250, 400, 300, 500]
    scenario = simulators.load("two_and_two")
    for gpu, w in zip(scenario["gpus"], watts, strict=True):
        gpu["power"] = {"kind": "constant", "w": w}
    done = devices_command(scenario | {"noise": True}, "--json")
    listed = json.loads(done.stdout)
    assert [d["id"] for d in listed] == ["nvidia:0", "nvidia:1", "amd:0", "amd:1", "cpu"]
    for found, gpu, w in zip(listed, scenario["gpus"], watts, strict=False):
        assert (found["vendor"], found["name"], found["uuid"], found["pci_bus_id"], found["simulated"]) == (
            gpu["vendor"], gpu["name"], gpu["uuid"], gpu["pci"], True,
        )  # fmt: skip
        wanted = promised(gpu, scenario)
        wanted["power_instant_w"] = w
        if wanted["power_average_w"] is not None:
            wanted["power_average_w"] = w
        plain = {key: [m["value"], m["status"], m["reason"]] for key, m in found["metrics"].items()}
        assert plain.pop("energy_j")[1] == "ok"  # it follows the real clock here
        check(plain, {key: value for key, value in wanted.items() if key != "energy_j"}, found["id"])


def test_noise_of_the_libraries_reaches_neither_stdout_nor_stderr(ask, devices_command):
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = devices_command(scenario)
    assert "a line on stdout" not in done.stdout and "drm root" not in done.stdout
    noise = ask(scenario, "say([b.noise for b in backends])")  # but it is kept, for a doctor to read
    assert all("Failed to open drm root directory" in text and "a line on stdout" in text for text in noise[:2])


# ---- what is not there, field by field


FULL_AMD = {
    "power": {"kind": "constant", "w": 500},
    "sensor": {"average_window_s": 0.1},
    "temperature_c": {"edge": 44},
    "throttle_bits": 0,
}
NO_DIES = {f"{METRICS}.current_gfxclks": "max"}  # else each die's clock is told apart
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
ZERO_IS_NONE = [key for key in AMD_FIELDS if key.startswith(("temperature", "power", "energy"))]
ZERO_IS_ZERO = ["gpu_utilization_pct", "memory_utilization_pct", "throttle"]


def test_amd_signal_with_a_sentinel_is_absent_and_the_others_stay(ask):
    cases = [(key, "max") for key in AMD_FIELDS] + [(key, 0) for key in ZERO_IS_NONE + ZERO_IS_ZERO]
    scenario = simulators.load(many("mi300x_spx", [
        FULL_AMD | {"answers": NO_DIES | {f"{METRICS}.{AMD_FIELDS[key]}": raw}} for key, raw in cases
    ]))  # fmt: skip
    signals = quantities.keys(quantities.SIGNALS, "gpu")
    found = ask(scenario, "say([signals(gpu) for gpu in gpus])")
    for (key, raw), gpu, said in zip(cases, scenario["gpus"], found, strict=True):
        wanted = {name: value for name, value in promised(gpu, scenario).items() if name in signals}
        assert all(value is not None for value in wanted.values())
        wanted[key] = 0.0 if raw == 0 and key in ZERO_IS_ZERO else None
        check(said, wanted, f"{key} as {raw}")
        if wanted[key] is None:
            assert said[key][1] in ("unsupported", "transient") and AMD_FIELDS[key] in said[key][2]


def test_amd_fact_with_a_sentinel_is_absent_and_the_others_stay(ask):
    cap, pcie, ecc = "amdsmi_get_power_cap_info.0", "amdsmi_get_pcie_info", "amdsmi_get_gpu_total_ecc_count"
    cases = [
        ("memory_total_bytes", "amdsmi_get_gpu_memory_total.0.value", "max"),
        ("memory_total_bytes", "amdsmi_get_gpu_memory_total.0.value", 0),
        ("memory_used_bytes", "amdsmi_get_gpu_memory_usage.0.value", "max"),
        *((key, f"{cap}.{field}", raw)
          for key, field in (("power_limit_w", "power_cap"), ("power_limit_default_w", "default_power_cap"),
                             ("power_limit_max_w", "max_power_cap"))
          for raw in ("max", 0)),
        ("core_clock_max_hz", "amdsmi_get_clock_info.0.max_clk", "max"),
        ("core_clock_max_hz", "amdsmi_get_clock_info.0.max_clk", 0xFFFF),
        ("core_clock_max_hz", "amdsmi_get_clock_info.0.max_clk", 0),
        ("memory_clock_max_hz", "amdsmi_get_clock_info.4.max_clk", "max"),
        *((key, f"{pcie}.{field}", raw)
          for key, field in (("pcie_generation", "pcie_metric.pcie_speed"),
                             ("pcie_generation_max", "pcie_static.max_pcie_speed"),
                             ("pcie_width", "pcie_metric.pcie_width"),
                             ("pcie_width_max", "pcie_static.max_pcie_width"))
          for raw in ("max", 0)),
        ("ecc_enabled", "amdsmi_get_gpu_ecc_enabled.value", "max"),
        ("ecc_corrected", f"{ecc}.correctable_count", "max"),
        ("ecc_uncorrected", f"{ecc}.uncorrectable_count", "max"),
        ("performance_state", "amdsmi_get_gpu_perf_level.value", "max"),
        ("fan_pct", "amdsmi_get_gpu_fan_speed.0.value", "max"),
        ("fan_pct", "amdsmi_get_gpu_fan_speed_max.0.value", 0),
        ("uuid", "amdsmi_get_gpu_device_uuid", ""),
        ("uuid", "amdsmi_get_gpu_device_uuid", "N/A"),
        ("vbios_version", "amdsmi_get_gpu_vbios_info.version", "N/A"),
        ("driver_version", "amdsmi_get_gpu_driver_info.driver_version", ""),
        ("architecture", "amdsmi_get_gpu_asic_info.target_graphics_version", "max"),
    ]  # fmt: skip
    scenario = simulators.load(many("mi300x_spx", [
        {"fan_rpm": 1650, "power_limit_w": {"min": 300}, "answers": {answer: raw}} for _, answer, raw in cases
    ]))  # fmt: skip
    found = ask(scenario, "say([plain(gpu.identity()) | plain(gpu.facts()) for gpu in gpus])")
    signals = quantities.keys(quantities.SIGNALS, "gpu")
    for (key, answer, raw), gpu, said in zip(cases, scenario["gpus"], found, strict=True):
        wanted = {name: value for name, value in promised(gpu, scenario).items() if name not in signals}
        check(said, wanted | {key: None}, f"{answer} is {raw!r}")


def test_amd_names_fall_back_before_they_are_absent(ask):
    changes = [
        {"name": "N/A"},
        {"name": "", "product_name": "N/A"},
        {"product_serial": "N/A"},
        {"product_serial": "", "asic_serial": "N/A"},
    ]
    found = ask(many("mi300x_spx", changes), "say([plain(gpu.identity()) for gpu in gpus])")
    assert found[0]["name"][0] == "AMD Instinct MI300X"  # the board's
    assert found[1]["name"][:2] == [None, "unsupported"]
    assert found[2]["serial"][0] == "67C63AC3C3C637F9"  # the chip's
    assert found[3]["serial"][:2] == [None, "unsupported"]


def test_nvidia_field_with_a_sentinel_is_absent_and_the_others_stay(ask):
    get = "nvmlDeviceGet"
    cases = [
        ("power_instant_w", "field.186", "max"),
        ("power_average_w", "field.185", "max"),
        ("temperature_memory_c", "field.82", "max"),
        ("energy_j", "field.83", "max"),
        ("temperature_core_c", f"{get}Temperature.0", "max"),
        ("temperature_core_c", f"{get}Temperature.0", 0),
        ("core_clock_hz", f"{get}ClockInfo.1", "max"),
        ("memory_clock_hz", f"{get}ClockInfo.2", "max"),
        ("gpu_utilization_pct", f"{get}UtilizationRates.gpu", "max"),
        ("memory_utilization_pct", f"{get}UtilizationRates.memory", "max"),
        ("core_clock_max_hz", f"{get}MaxClockInfo.1", "max"),
        ("memory_clock_max_hz", f"{get}MaxClockInfo.2", "max"),
        ("fan_pct", f"{get}FanSpeed_v2.0", "max"),
        ("pcie_generation", f"{get}CurrPcieLinkGeneration", "max"),
        ("pcie_generation_max", f"{get}MaxPcieLinkGeneration", "max"),
        ("pcie_width", f"{get}CurrPcieLinkWidth", "max"),
        ("pcie_width_max", f"{get}MaxPcieLinkWidth", "max"),
        ("ecc_corrected", f"{get}TotalEccErrors.0.0", "max"),
        ("ecc_uncorrected", f"{get}TotalEccErrors.1.0", "max"),
        ("memory_used_bytes", "memory.used", "max"),
        ("performance_state", f"{get}PerformanceState", "max"),
        ("performance_state", f"{get}PerformanceState", 32),  # NVML_PSTATE_UNKNOWN
        ("serial", f"{get}Serial", ""),
        ("serial", f"{get}Serial", "N/A"),
        ("vbios_version", f"{get}VbiosVersion", ""),
        ("name", f"{get}Name", ""),
    ]
    changes = [{"fan_percent": 30, "answers": {answer: raw}} for _, answer, raw in cases]
    scenario = simulators.load(many("h100", changes))
    found = ask(scenario, "say([readings(gpu) for gpu in gpus])")
    for (key, answer, raw), gpu, said in zip(cases, scenario["gpus"], found, strict=True):
        check(said, promised(gpu, scenario) | {key: None}, f"{answer} is {raw!r}")


def test_nvidia_sentinels_stay_out_of_every_later_sample(ask):
    """The first look and the many after it decode the fields in two ways."""
    changes = [{"answers": {f"field.{field}": "max"}} for field in (186, 185, 83, 82)]
    code = """
def thrice(gpu):
    feed = sampler.Feed(gpu, 64)
    feed.settle()
    for s in (10.4, 10.5, 10.6): at(s); feed.take(lambda: 1)
    return [str(feed.between(1, 1)[key]) for key in
            ("power_instant_w", "power_average_w", "energy_j", "temperature_memory_c")]
say([thrice(gpu) for gpu in gpus])
"""
    for index, columns in enumerate(ask(many("h100", changes), code)):
        assert [column == "[nan, nan, nan]" for column in columns] == [i == index for i in range(4)], columns


def test_amd_sentinel_that_comes_later_is_no_sample(ask):
    """65535 W at 20 s: a line from 500 W at 10 s."""
    answers = {f"{METRICS}.current_socket_power": "@line -64535 6503.5"}
    code = """
feed = sampler.Feed(gpus[0], 64); at(10); feed.settle(); feed.take(lambda: 1); at(20); feed.take(lambda: 1)
say([str(feed.between(1, 1)["power_instant_w"]), feed.absent["power_instant_w"].status])
"""
    assert ask(many("mi300x_spx", [{"answers": answers}]), code) == ["[500.0, nan]", "unsupported"]


def test_amd_clock_that_sleeps_when_first_looked_at_is_sampled_once_it_is_awake(ask):
    """An idle Radeon shows 0 MHz: nothing to measure now, and no reason to do without the clock for the whole run."""
    clocks = {f"{METRICS}.current_gfxclk": "@line -1000 100", f"{METRICS}.current_uclk": "@line -900 90"}
    code = """
feed = sampler.Feed(gpus[0], 64); at(10); feed.settle(); feed.take(lambda: 1); at(20); feed.take(lambda: 1)
say([str(feed.between(1, 1)[f"{which}_clock_hz"]) for which in ("core", "memory")])
"""
    said = ask(many("rx6900xt", [{"answers": NO_DIES | clocks}]), code)
    assert said == ["[nan, 1000000000.0]", "[nan, 900000000.0]"]


def test_clock_of_several_dies_is_the_mean_of_those_that_report(ask):
    clocks = {f"{METRICS}.current_gfxclks": [2000, 1000, 0, 65535, 65535, 65535, 65535, 65535]}
    changes = [{"answers": clocks | {f"{METRICS}.current_gfxclk": "max"}}, {"answers": NO_DIES}]
    several, one = ask(many("mi300x_spx", changes), "say([signals(g)['core_clock_hz'][0] for g in gpus])")
    assert (several, one) == (1500 * MHZ, 2095 * MHZ)


# ---- error codes


NVML_CODES = {
    3: "unsupported", 13: "unsupported", 25: "unsupported", 4: "no_permission", 15: "lost", 16: "lost",
    1: "transient", 10: "transient", 18: "transient", 999: "transient",
}  # fmt: skip
AMD_CODES = {
    2: "unsupported", 3: "unsupported", 40: "unsupported", 42: "unsupported", 43: "unsupported", 52: "unsupported",
    10: "no_permission", 31: "lost",
    8: "transient", 9: "transient", 11: "transient", 30: "transient", 32: "transient",
}  # fmt: skip


def test_nvml_error_codes(ask):
    errors = [
        {"errors": {"nvmlDeviceGetMaxPcieLinkWidth": code, "nvmlDeviceGetUtilizationRates": code, "field.190": 3}}
        for code in NVML_CODES
    ]
    found = ask(many("h100", errors), "say([[plain(gpu.facts()), signals(gpu)] for gpu in gpus])")
    for (code, status), (facts, signals) in zip(NVML_CODES.items(), found, strict=True):
        assert facts["pcie_width_max"][:2] == [None, status], code
        assert f"error {code}" in facts["pcie_width_max"][2]
        assert facts["power_limit_w"][0] == 700  # by the older call, its field being unsupported
        if status == "lost":
            assert list(signals) == ["lost"], code
            continue
        assert signals["gpu_utilization_pct"][:2] == signals["memory_utilization_pct"][:2] == [None, status], code
        assert signals["power_instant_w"][0] == 650


def test_nvml_fields_fail_one_by_one_while_the_call_succeeds(ask):
    codes = {code: status for code, status in NVML_CODES.items() if status != "lost"}
    scenario = many("h100", [{"errors": {"field.186": code, "field.82": code}} for code in codes])
    for (code, status), said in zip(codes.items(), ask(scenario, "say([signals(g) for g in gpus])"), strict=True):
        assert said["power_instant_w"][:2] == said["temperature_memory_c"][:2] == [None, status], code
        assert said["power_average_w"][0] == 300 and said["energy_j"][1] == "ok"


def test_amd_error_codes(ask):
    late = {METRICS: 5.0}  # the snapshot works when it is first looked at
    errors = [
        {"errors": {"amdsmi_get_gpu_fan_speed": code, "amdsmi_get_power_cap_info": code, METRICS: code},
         "errors_from_s": {name: at + 10 for name, at in late.items()}}
        for code in AMD_CODES
    ]  # fmt: skip
    code = """
found = []
for gpu in gpus:
    at(10.3)
    row = [plain(gpu.facts())]
    probe = gpu.probes()[0]
    at(16)
    try: row.append([shown(value) for value in probe.call()][0])
    except Lost as error: row.append(["lost", str(error)])
    found.append(row)
say(found)
"""
    for (number, status), (facts, power) in zip(AMD_CODES.items(), ask(many("mi300x_spx", errors), code), strict=True):
        for key in ("fan_pct", "power_limit_w", "power_limit_max_w"):
            assert facts[key][:2] == [None, status], (number, key)
            assert f"error {number}" in facts[key][2]
        assert power[0] == status, number
        assert facts["memory_total_bytes"][1] == "ok"


def test_codes_that_nobody_has_named_are_tried_again():
    assert nvidia.absent(12345, "f").status == amd_library.failed(12345, "f").status == "transient"


@pytest.mark.parametrize("like", ["h100", "mi300x_spx"])
def test_transient_failures_cost_their_own_samples_only(ask, like):
    """Every third call fails, from the second on: the look at the device is over by then or it is not, all the same."""
    code = """
feed = sampler.Feed(gpus[0], 64); feed.settle()
for i in range(30): at(11 + i / 10); feed.take(lambda: 1)
columns = feed.between(1, 1)
say([[value == value for value in columns[key]] for key in ("power_instant_w", "energy_j")] + [feed.lost])
"""
    power, counter, lost = ask(many(like, [{"transient_every": 3}]), code)
    assert lost == ""
    assert sum(power) == 20 and power.count(False) == 10
    assert counter.count(True) >= 20


def test_amd_that_is_busy_when_first_looked_at_still_has_its_snapshot(ask):
    """One failed call says nothing about whether library and wrapper fit: neither yes nor no, for good."""
    scenario = many("mi300x_spx", [{"transient_every": every} for every in (2, 3, 4, 5)])
    found = ask(scenario, "say([signals(g) for g in gpus])")
    assert all(said["power_instant_w"][1] in ("ok", "transient") for said in found)
    # Where it was busy throughout, what is absent is absent for now only.
    assert all(said["energy_j"][1] in ("ok", "transient") for said in found)


def test_a_lost_gpu_raises_and_is_still_listed(ask, devices_command):
    changes = [{"lost_at_s": 0}, {}]
    for like, vendor in (("h100", "nvidia"), ("mi300x_spx", "amd")):
        listed = json.loads(devices_command(many(like, changes), "--json").stdout)
        assert [d["id"] for d in listed] == [f"{vendor}:0", f"{vendor}:1", "cpu"]
        gone, there = listed[:2]
        assert set(gone["metrics"]) == answered_by("gpu")
        assert {gone["metrics"][key]["status"] for key in ("power_instant_w", "energy_j", "temperature_core_c")} == {
            "lost"
        }
        assert all(m["value"] is not None or (m["reason"] and m["status"] != "ok") for m in gone["metrics"].values())
        assert there["metrics"]["power_instant_w"]["status"] == "ok"
        assert "Traceback" not in devices_command(many(like, changes)).stdout


@pytest.mark.parametrize(("like", "code"), [("h100", 15), ("h100", 16), ("mi300x_spx", 31)])
def test_a_gpu_lost_later_is_lost_for_good_at_the_third_time(ask, like, code):
    scenario = many(like, [{"lost_at_s": 20, "lost_code": code}])
    said = ask(scenario, """
feed = sampler.Feed(gpus[0], 64); feed.settle()
found = []
for s in (19.8, 19.9, 20, 20.1, 20.2, 20.3): at(s); feed.take(lambda: 1); found.append([feed.count, bool(feed.lost)])
def raises(call):
    try: call()
    except Lost: return True
say([found, raises(gpus[0].signals), raises(gpus[0].energy_j)])
""")  # fmt: skip
    assert said == [[[1, False], [2, False], [2, False], [2, False], [2, True], [2, True]], True, True]


# ---- NVIDIA: generations and drivers


def test_old_nvidia_driver_gives_the_values_by_older_calls(ask):
    scenario = simulators.load("h100")
    (said,) = ask("h100", "say([readings(g) for g in gpus])", release="old driver")
    gpu = scenario["gpus"][0]
    reserved = gpu["memory_bytes"]["reserved"]  # which the older call counts as used
    used = gpu["memory_bytes"]["used"] + reserved
    check(said, promised(gpu, scenario) | {"memory_used_bytes": used}, "old driver")


def test_nvidia_driver_without_fields(ask):
    scenario = simulators.load(many("h100", [{}, {"architecture": 7, "compute_capability": [8, 0],
                                                  "sensor": {"usage_is_average": False}}]))  # fmt: skip
    hopper, ga100 = ask(scenario, "say([readings(g) for g in gpus])", release="no fields")
    wanted = promised(scenario["gpus"][0], scenario)
    check(hopper, wanted | {"power_instant_w": None, "temperature_memory_c": None}, "Hopper")
    wanted = promised(scenario["gpus"][1], scenario)
    check(ga100, wanted | {"power_average_w": None, "temperature_memory_c": None}, "GA100")


@pytest.mark.parametrize(("architecture", "capability", "averaged"), [
    (5, [7, 0], False), (6, [7, 5], False), (7, [8, 0], False), (7, [8, 6], True), (8, [8, 9], True), (9, [9, 0], True),
])  # fmt: skip
def test_older_power_call_means_what_the_architecture_makes_it(ask, architecture, capability, averaged):
    """On Ampere (but GA100) and newer GetPowerUsage is averaged over a second, before it is not: never both."""
    change = {"architecture": architecture, "compute_capability": capability,
              "sensor": {"fields": False, "usage_is_average": averaged}}  # fmt: skip
    scenario = simulators.load(many("h100", [change]))
    said = ask(scenario, "say(signals(gpus[0]))")
    instant, average = said["power_instant_w"], said["power_average_w"]
    assert (average if averaged else instant)[0] == pytest.approx(300 if averaged else 650)
    assert (instant if averaged else average)[:2] == [None, "unsupported"]


def test_superchip_power_is_that_of_the_module_and_says_so(ask):
    scenario = many("h100", [{"sensor": {"scope": 1}}, {}])
    code = "say([[g.power.scope, signals(g)['power_instant_w'][0], signals(g)['power_average_w'][0]] for g in gpus])"
    assert ask(scenario, code) == [["module, CPU included", 650, 300], ["board", 650, 300]]


def test_mig_has_no_utilisation_and_shares_its_power(ask):
    said = ask("h100_mig", "g = gpus[0]; say([g.power.scope, g.power.shared_by, sorted(g.uuids), signals(g)])")
    scope, shared, uuids, signals = said
    assert (scope, shared) == ("board, shared by 2 MIG instances", 2)
    assert [uuid[:8] for uuid in uuids] == ["0a1b2c3d", "1a000000", "3a000000"]
    assert signals["gpu_utilization_pct"][:2] == [None, "unsupported"] and signals["power_instant_w"][0] == 650


def test_gpu_process_whose_memory_is_not_told(ask):
    scenario = many("h100", [{"answers": {"process.0.memory": "max"}}])
    assert ask(scenario, "say(plain(gpus[0].facts())['processes'])")[0] == [{"pid": 4242, "memory_bytes": None}]


# ---- AMD: wrapper and library of different releases


@pytest.mark.parametrize("release", ["newer ROCm", "older ROCm"])
def test_amd_mismatch_falls_back_to_single_calls(ask, release):
    """Every later field would be shifted; what has no layout, or a layout that fits, is still right."""
    scenario = simulators.load({"gpus": [{"like": "mi300x_spx"}, {"like": "rx6900xt"}]})
    for gpu, said in zip(scenario["gpus"], ask(scenario, "say([readings(g) for g in gpus])", release), strict=True):
        check(said, promised(gpu, scenario) | {"throttle": None}, release)


def test_nothing_is_written_beyond_a_buffer_of_the_wrapper_s_own_size(ask):
    """The newer library writes 176 bytes more than the wrapper's structures hold; peers hand over just those."""
    code = """
wrapper = sys.modules["amdsmi.amdsmi_wrapper"]
real, room = {}, {}
def spied(name):
    def call(*arguments):
        structure = arguments[-1]._obj
        owners = [o for o in (structure._objects or {}).values() if isinstance(o, memoryview)]
        room.setdefault(name, []).append(max([ctypes.sizeof(structure), *(o.nbytes for o in owners)])
                                         - ctypes.sizeof(structure))
        return real[name](*arguments)
    return call
for name in ("amdsmi_get_gpu_metrics_info", "amdsmi_get_gpu_enumeration_info"):
    real[name] = getattr(wrapper, name); setattr(wrapper, name, spied(name))
again = telemetry.amd.open_backend().devices[0]
again.identity(), again.facts(), again.signals(), again.throttle_counters(), again.attributed()
say({name: min(rooms) for name, rooms in room.items()})
"""
    found = ask("mi300x_spx", code, "newer ROCm")
    assert set(found) == {METRICS, "amdsmi_get_gpu_enumeration_info"}
    assert min(found.values()) >= 176


def test_amd_mismatch_is_found_even_when_the_first_call_fails(ask):
    """A first GPU that refuses the snapshot says nothing about its layout; the second one's is the wrong one."""
    scenario = simulators.load(many("mi300x_spx", [{"errors": {METRICS: 9}}, {}]))
    said = ask(scenario, "say([signals(g) for g in gpus])", "older ROCm")[1]
    wanted = promised(scenario["gpus"][1], scenario)
    for key in ("power_instant_w", "energy_j", "temperature_hotspot_c", "core_clock_hz"):
        assert said[key][0] == pytest.approx(wanted[key]), key
    code = "say([shown(g.throttle_counters())[1] for g in gpus])"
    assert "different releases" in ask(scenario, code, "older ROCm")[1]


def test_rocm_10_does_not_fit_the_wrapper_and_the_rest_goes_on(ask, devices_command):
    fault = ask("two_and_two", "say([list(amd.fault), amd.fix, len(amd.devices), len(nvidia.devices)])", "ROCm 10")
    (status, reason), fix, amd_devices, nvidia_devices = fault
    assert status == "unsupported" and "does not fit the installed libamd_smi.so" in reason
    assert "amdsmi_set_gpu_clk_range" in reason and "ROCm" in fix
    assert (amd_devices, nvidia_devices) == (0, 2)
    done = devices_command("two_and_two", "--json", release="ROCm 10")
    assert [d["id"] for d in json.loads(done.stdout)] == ["nvidia:0", "nvidia:1", "cpu"]
    assert "does not fit" in devices_command("two_and_two", release="ROCm 10").stdout


@pytest.mark.skipif(Path("/opt/rocm").exists(), reason="needs a machine without ROCm")
def test_without_libraries_there_are_reasons_and_no_noise(ask, devices_command, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    (nowhere / "libnvidia-ml.so.1").write_text("no library")  # hides a real one of this machine
    hidden = {"LD_LIBRARY_PATH": str(nowhere), "ROCM_HOME": str(nowhere), "ROCM_PATH": str(nowhere)}
    said = ask("two_and_two", "say([[b.fault and list(b.fault), b.fix, len(b.devices)] for b in backends])", **hidden)
    (nv, nv_fix, _), (smi, smi_fix, _), (none, _, cpus) = said
    assert nv == ["unsupported", "libnvidia-ml.so.1 was not found: there is no NVIDIA driver here"]
    assert smi[0] == "unsupported" and "libamd_smi.so was not found" in smi[1]
    assert "driver" in nv_fix and "ROCm" in smi_fix and none is None and cpus == 1
    done = devices_command("two_and_two", "--json", **hidden)
    assert [d["id"] for d in json.loads(done.stdout)] == ["cpu"]


@pytest.mark.parametrize(("codes", "nvidia_says", "amd_says"), [
    ({"nvidia": 9, "amd": 34}, "driver is not loaded", "amdgpu driver is not loaded"),
    ({"nvidia": 4, "amd": 10}, "no permission", "no permission"),
    ({"nvidia": 18, "amd": 30}, "until the machine is restarted", "busy"),
])  # fmt: skip
def test_library_that_does_not_open(ask, codes, nvidia_says, amd_says):
    scenario = simulators.load("two_and_two") | {"init_error": codes}
    nv, smi = ask(scenario, "say([[list(b.fault), b.fix, len(b.devices)] for b in (nvidia, amd)])")
    assert nvidia_says in nv[0][1] and amd_says in smi[0][1]
    assert nv[1] and smi[1] and nv[2] == smi[2] == 0


def rocm_with_amdsmi(libraries: Libraries, place: Path, marker: str) -> Path:
    """A ROCm tree that brings its own amdsmi."""
    import importlib.util

    wheel = Path(importlib.util.find_spec("amdsmi").origin).parent
    own = place / "share" / "amd_smi" / "amdsmi"
    shutil.copytree(wheel, own)
    with (own / "__init__.py").open("a") as file:
        file.write(marker)
    (place / "lib").mkdir()
    shutil.copy2(libraries["usual"] / "lib" / "libamd_smi.so", place / "lib")
    return place


def test_rocm_s_own_amdsmi_comes_before_the_one_of_pip(ask, libraries, tmp_path):
    rocm = rocm_with_amdsmi(libraries, tmp_path / "rocm", "\nMARKER = 'ROCm brought this one'\n")
    code = "import amdsmi; say([amdsmi.MARKER, amd.version, len(amd.devices), sys.path.count(os.environ['OWN'])])"
    place = str(rocm / "share" / "amd_smi")
    said = ask("mi300x_spx", code, ROCM_HOME=str(rocm), OWN=place)
    assert said == ["ROCm brought this one", f"library 26.0.2, amdsmi of {rocm}", 1, 0]


def test_broken_amdsmi_of_rocm_gives_way_to_the_one_of_pip(ask, libraries, tmp_path):
    rocm = rocm_with_amdsmi(libraries, tmp_path / "rocm", "\nraise ImportError('half installed')\n")
    code = "import amdsmi; say([os.environ['OWN'] in amdsmi.__file__, amd.version, len(amd.devices)])"
    said = ask("mi300x_spx", code, ROCM_HOME=str(rocm), OWN=str(rocm))
    assert said == [False, "library 26.0.2, amdsmi of this Python", 1]


# ---- what other tools get wrong with these libraries


def test_amd_temperature_is_not_divided_twice(ask):
    """The library answers in degrees; divided by 1000 once more each GPU is at 0 degrees. By both ways to ask."""
    for release in ("usual", "newer ROCm"):
        said = ask("mi250x", "say(signals(gpus[0]))", release)
        assert [said[f"temperature_{where}_c"][0] for where in ("core", "hotspot", "memory")] == [44, 58, 50]


def test_amd_energy_counts_2_to_minus_16_j_and_not_15_3_uj(ask):
    """Whoever multiplies by the library's counter_resolution is 0.27 % too high. By the snapshot and by the call."""
    scenario = simulators.load(many("mi300x_spx", [{"power": {"kind": "constant", "w": 500}}]))
    code = """
def joules():
    values = gpus[0].signals()["energy_j"], gpus[0].energy_j()
    return values
at(11); first = joules(); at(31); last = joules()
say([b - a for a, b in zip(first, last)])
"""
    for release in ("usual", "newer ROCm"):
        truth_j = simulators.truth_energy_j(scenario["gpus"][0], 11 * 10**9, 31 * 10**9)
        assert ask(scenario, code, release) == pytest.approx([truth_j] * 2, rel=1e-6)
    assert pytest.approx(15.3e-6, rel=1e-3) != amd.ENERGY_UNIT_J


def test_amd_power_limit_is_in_microwatts(ask):
    """power_limit taken for watts makes 750 MW of 750 W."""
    said = ask("mi300x_spx", "say(plain(gpus[0].facts()))")
    assert [said[f"power_limit{which}_w"][0] for which in ("", "_default", "_max")] == [750, 750, 750]


@pytest.mark.parametrize("like", ["rtx3090", "rx6900xt"])
def test_ecc_errors_are_absent_and_not_0_where_there_is_no_ecc(ask, like):
    said = ask(many(like, [{}]), "say(plain(gpus[0].facts()))")
    for key in ("ecc_enabled", "ecc_corrected", "ecc_uncorrected"):
        assert said[key][:2] == [None, "unsupported"] and said[key][2]


def test_mi300_has_a_hotspot_where_it_has_no_edge(ask):
    """Tools that ask for the edge sensor alone find no temperature on an MI300."""
    for release in ("usual", "newer ROCm"):
        said = ask("mi300x_spx", "say(signals(gpus[0]))", release)
        assert said["temperature_core_c"][:2] == [None, "unsupported"] and said["temperature_hotspot_c"][0] == 83


def test_words_in_the_place_of_numbers_do_not_raise(ask):
    """int("N/A") ends a run elsewhere: the average power of an MI300, the current one of an MI250."""
    code = "say([[signals(g)[f'power_{kind}_w'][1] for kind in ('instant', 'average')] for g in gpus])"
    scenario = {"gpus": [{"like": "mi300x_spx"}, {"like": "mi250x"}]}
    for release in ("usual", "newer ROCm"):
        assert ask(scenario, code, release) == [["ok", "unsupported"], ["unsupported", "ok"]]


@pytest.mark.parametrize("wide", [False, True])
def test_all_ones_are_not_4294967295_watts(ask, wide):
    """The wrapper knows 0xFFFF alone for "none": the library's 0xFFFFFFFF comes out as 4.3 GW."""
    scenario = many("mi300x_spx", [{"power": None, "counter": None, "uint32_max_power": wide}])
    for release in ("usual", "newer ROCm"):
        said = ask(scenario, "say(signals(gpus[0]))", release)
        assert said["power_instant_w"][:2] == said["power_average_w"][:2] == [None, "unsupported"]


def test_second_die_of_an_mi250_says_why_it_has_no_power(ask):
    """Elsewhere it raises, or is guessed from an odd index and a power of zero."""
    code = """
first, second = gpus
say([signals(second), [first.power.scope, second.power.scope, second.power.shared_by],
     signals(second.attributed()), signals(first)])
"""
    second, scopes, together, first = ask("mi250x", code)
    for key in ("power_instant_w", "power_average_w", "energy_j"):
        assert second[key][:2] == [None, "unsupported"]
    assert scopes == ["socket, shared by 2 devices"] * 2 + [2]
    for key in ("power_average_w", "energy_j"):
        assert together[key][0] == first[key][0] > 0
    assert together["temperature_core_c"][0] == 44  # its own


@pytest.mark.parametrize("like", ["h100", "mi300x_spx"])
def test_utilisation_that_cannot_be_read_is_not_minus_1(ask, like):
    errors = {"h100": "nvmlDeviceGetUtilizationRates", "mi300x_spx": "amdsmi_get_gpu_activity"}
    scenario = many(like, [{"utilisation_percent": None}, {"errors": {errors[like]: 2 if like != "h100" else 3}}])
    release = "usual" if like == "h100" else "newer ROCm"
    for said in ask(scenario, "say([signals(g) for g in gpus])", release):
        assert said["gpu_utilization_pct"][:2] == said["memory_utilization_pct"][:2] == [None, "unsupported"]


def test_power_of_a_package_in_eight_partitions_is_counted_once(ask, devices_command):
    """Summed over the partitions as other tools do, one MI300X draws eight times its power."""
    code = "say([[signals(g)['power_instant_w'][0], signals(g.attributed())['power_instant_w'][0]] for g in gpus])"
    one_by_one = ask("mi300x_cpx", code)
    assert one_by_one == [[740, 740]] + [[None, 740]] * 7
    listed = json.loads(devices_command("mi300x_cpx", "--json").stdout)
    assert sum(d["metrics"]["power_instant_w"]["value"] is not None for d in listed if d["vendor"] == "amd") == 1
    assert {d["scope"] for d in listed if d["vendor"] == "amd"} == {"socket, shared by 8 devices"}


def test_processes_come_without_the_call_that_is_gone(ask):
    """amdsmi_get_gpu_process_info, which other tools call for each entry, is no more: the list says it all."""
    said = ask("mi300x_spx", "say(plain(gpus[0].facts())['processes'])")
    assert said[0] == [{"pid": 5151, "memory_bytes": 25_476_202_496}]


def test_power_has_one_unit_on_both_vendors(ask):
    """A framework's own power_draw is in mW on one vendor and in W on the other, and 0 where there is none."""
    powers = [{"like": like, "power": {"kind": "constant", "w": 321}} for like in ("h100", "mi300x_spx")]
    said = ask({"gpus": [*powers, {"like": "h100", "pci": "0000:77:00.0", "power": None, "sensor": None}]},
               "say([signals(g)['power_instant_w'][0] for g in (*nvidia.devices, *amd.devices)])")  # fmt: skip
    assert said == [321, None, 321]


def test_instants_come_from_the_monotonic_clock(monkeypatch):
    """Wall clocks are set back and forth; a sampler that uses one may find negative durations."""
    monkeypatch.setattr("time.time", lambda: pytest.fail("wall clock"))
    monkeypatch.setattr("time.time_ns", lambda: pytest.fail("wall clock"))
    feed = sampler.Feed(host.HostDevice(Path("/nonexistent")), 8)
    feed.settle()
    feed.take(sampler.Sampler([]).clock)
    assert feed.count == 1
    assert not any("time.time()" in Path(module.__file__).read_text() for module in (sampler, energy, nvidia, amd))


def test_two_identical_mi200_boards_without_a_serial_are_two_packages(ask):
    """ "N/A" is no name that two boards could have in common."""
    scenario = many("mi250x", [{"product_serial": "N/A"}, {"product_serial": "N/A"}, {"product_serial": ""}])
    assert ask(scenario, "say([[g.power.shared_by, signals(g)['energy_j'][1]] for g in gpus])") == [[1, "ok"]] * 3


# ---- how often the libraries are asked


COUNTED = """
import re
names = sorted(set(re.findall(r"(nvmlDevice\\w+|amdsmi_get_\\w+)", open(os.environ["SOURCES"]).read())))
def counts(): return {name: n for library in libraries for name in names if (n := simulators.calls(library, name))}
feed = sampler.Feed(gpus[0], 64); feed.settle()
before = counts()
for i in range(10): feed.take(lambda: 1)
say({name: n - before.get(name, 0) for name, n in counts().items() if n > before.get(name, 0)})
"""


def test_ten_samples_of_an_nvidia_gpu_make_few_calls(ask, tmp_path):
    (tmp_path / "names").write_text((simulators.HERE / "nvml_sim.c").read_text())
    made = ask("h100", COUNTED, SOURCES=str(tmp_path / "names"))
    assert made.pop(NVML_FIELDS) == 10
    assert set(made) == {
        "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons",
    }  # fmt: skip
    assert sum(made.values()) <= 10  # these share the samples out among them
    assert not any(word in name for name in made for word in ("Process", "Fan", "Pcie", "Ecc", "Memory"))


def test_ten_samples_of_an_amd_gpu_are_ten_snapshots(ask, tmp_path):
    import importlib.util

    wheel = Path(importlib.util.find_spec("amdsmi").origin).parent
    (tmp_path / "names").write_text((wheel / "amdsmi_wrapper.py").read_text())
    assert ask("mi300x_spx", COUNTED, SOURCES=str(tmp_path / "names")) == {METRICS: 10}


def test_the_call_that_sleeps_is_never_made(ask):
    """amdsmi_get_violation_status waits 100 ms inside; the shares come from counters of the snapshot."""
    code = """
g = gpus[0]
at(11); first = g.throttle_counters()
at(21); last = g.throttle_counters()
readings(g), g.energy_j()
from gpuprof.telemetry import summary
say([summary.counted_share(first, last), [simulators.calls(l, "amdsmi_get_violation_status") for l in libraries]])
"""
    shares, calls = ask("mi300x_spx", code)
    assert shares == pytest.approx({"power_cap": 0.08, "none": 0.92}, abs=1e-3)
    assert not any(calls)


# ---- arbitrary answers


RANGES = {
    "power_instant_w": (0, 65534), "power_average_w": (0, 65534), "energy_j": (0, 2.0**48),
    "gpu_utilization_pct": (0, 100), "memory_utilization_pct": (0, 100),
    "temperature_core_c": (0, 200), "temperature_hotspot_c": (0, 200), "temperature_memory_c": (0, 200),
    "core_clock_hz": (1e6, 65534e6), "memory_clock_hz": (1e6, 65534e6),
    "throttle": (0, 2 ** len(quantities.THROTTLE_REASONS) - 1),
}  # fmt: skip


class Metrics(ctypes.Structure):
    """The fields of gpu_metrics that are read, and others between them, in the order of no release."""

    _pack_ = 1
    _fields_ = [
        ("header", ctypes.c_uint32), ("temperature_edge", ctypes.c_uint16), ("temperature_hotspot", ctypes.c_uint16),
        ("temperature_mem", ctypes.c_uint16), ("average_gfx_activity", ctypes.c_uint16), ("pad", ctypes.c_uint16),
        ("average_umc_activity", ctypes.c_uint16), ("average_socket_power", ctypes.c_uint16),
        ("energy_accumulator", ctypes.c_uint64), ("current_gfxclk", ctypes.c_uint16), ("pad2", ctypes.c_uint8),
        ("current_uclk", ctypes.c_uint16), ("indep_throttle_status", ctypes.c_uint64),
        ("current_socket_power", ctypes.c_uint16), ("current_gfxclks", ctypes.c_uint16 * 8),
    ]  # fmt: skip


SIZE = ctypes.sizeof(Metrics)
BYTE = st.sampled_from([0, 1, 0x55, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255)
RAW = st.lists(BYTE, min_size=SIZE, max_size=SIZE).map(bytes)


def smi_that_says(raw: list[bytes]) -> amd_library.Smi:
    """AMD SMI whose snapshot is the bytes at hand; its C function is all that is not real."""

    def snapshot(handle: object, pointer: Any) -> int:
        ctypes.memmove(pointer, raw[0], SIZE)
        return 0

    wrapper = SimpleNamespace(_libraries={}, amdsmi_gpu_metrics_t=Metrics, amdsmi_get_gpu_metrics_info=snapshot)
    return amd_library.Smi(wrapper, "a wrapper")


@given(first=RAW, later=RAW)
@IN_CASES
def test_no_bytes_of_firmware_make_a_signal_leave_its_range(first, later):
    raw = [first]
    probe = smi_that_says(raw).snapshot(None, list(AMD_FIELDS))
    for now in (first, later):
        raw[0] = now
        found = dict(zip(probe.keys, probe.call(), strict=True))
        said = Metrics.from_buffer_copy(now)
        assert set(found) == set(AMD_FIELDS)
        for key, value in found.items():
            if isinstance(value, Absent):
                assert value.status in ("unsupported", "transient") and value.reason
                continue
            least, most = RANGES[key]
            assert least <= value <= most and not math.isnan(value), key
            if key.startswith(("power", "temperature", "gpu", "memory_u")):
                assert value == getattr(said, AMD_FIELDS[key]), key


@given(value=st.integers(0, 2**64 - 1) | st.sampled_from([0, 0xFFFF, 2**32 - 1, 2**64 - 1]))
@IN_CASES
def test_no_number_of_a_library_makes_a_reading_leave_its_range(value):
    for read, least, most in (
        (amd_library.watts, 1, 65534), (amd_library.hertz, 1e6, 65534e6), (amd_library.celsius, 1, 199),
        (amd_library.percent, 0, 100),
        (lambda v, _: nvidia._celsius(v), 1, 199), (nvidia._percent, 0, 100),
        (lambda v, what: nvidia._scaled(v, 1e-3, "power"), 1e-3, (2**32 - 2) / 1e3),
        (lambda v, what: nvidia._scaled(v, 1e6, what), 0, (2**32 - 2) * 1e6),
    ):  # fmt: skip
        found = read(value, "thing")
        assert isinstance(found, Absent) or least <= found <= most
    assert 0 <= nvidia._unified(value) < 2 ** len(quantities.THROTTLE_REASONS)
    assert 0 <= amd_library.throttle(value) < 2 ** len(quantities.THROTTLE_REASONS)
    joules = amd_library.joules(value)
    assert isinstance(joules, Absent) == (value in (0, 2**64 - 1))
    assert amd_library.generation(value) in range(1, 7) or isinstance(amd_library.generation(value), Absent)


@pytest.mark.parametrize(("mask", "reasons"), [
    (0x0, []), (0x1, ["idle"]), (0x2, ["clocks_setting"]), (0x4, ["power_cap"]), (0x8, ["hw_slowdown"]),
    (0x10, ["sync_boost"]), (0x20, ["thermal"]), (0x40, ["thermal"]), (0x60, ["thermal"]), (0x80, ["power_brake"]),
    (0x100, ["clocks_setting"]), (0x200, ["other"]), (0x8004, ["power_cap", "other"]),
])  # fmt: skip
def test_nvidia_throttle_bits(mask, reasons):
    assert quantities.reasons(int(nvidia._unified(mask))) == reasons


@pytest.mark.parametrize(("bit", "reason"), [
    (0, "power_cap"), (7, "power_cap"), (16, "current_limit"), (23, "current_limit"), (32, "thermal"),
    (45, "thermal"), (46, "hw_slowdown"), (47, "hw_slowdown"), (63, "other"),
])  # fmt: skip
def test_amd_throttle_bits(bit, reason):
    assert quantities.reasons(int(amd_library.throttle(1 << bit))) == [reason]


# ---- the CPU, over a root of files


def put(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rapl(root: Path, index: int, name: str, energy_uj: int, range_uj: int | str = 262_143_328_850) -> Path:
    zone = f"sys/class/powercap/intel-rapl:{index}"
    return put(root, **{
        f"{zone}/name": f"{name}\n", f"{zone}/energy_uj": f"{energy_uj}\n",
        f"{zone}/max_energy_range_uj": f"{range_uj}\n", f"{zone}/constraint_0_power_limit_uw": "280000000\n",
    })  # fmt: skip


def cpu(root: Path) -> device.Device:
    (found,) = host.open_backend(root).devices
    return found


def test_cpu_packages_are_summed_and_their_parts_are_not(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    rapl(tmp_path, 1, "package-1", 2_250_000)
    rapl(tmp_path, 2, "psys", 99_000_000)  # the whole board, packages included
    put(tmp_path, **{"sys/class/powercap/intel-rapl:0:0/name": "core\n",
                     "sys/class/powercap/intel-rapl:0:0/energy_uj": "1000000\n",
                     "sys/class/powercap/intel-rapl-mmio:0/name": "package-0\n",  # the same counter by another way
                     "sys/class/powercap/intel-rapl-mmio:0/energy_uj": "1500000\n"})  # fmt: skip
    found = cpu(tmp_path)
    assert found.energy_j() == pytest.approx(3.75)
    assert found.signals()["energy_j"] == pytest.approx(3.75)
    assert found.facts()["power_limit_w"].value == pytest.approx(560)
    assert found.signals()["power_instant_w"] == Absent("unsupported", "RAPL counts energy and shows no power")


def test_each_cpu_counter_wraps_at_a_range_of_its_own(tmp_path):
    rapl(tmp_path, 0, "package-0", 9_000_000, range_uj=10_000_000)
    rapl(tmp_path, 1, "package-1", 19_000_000, range_uj=20_000_000)
    found = cpu(tmp_path)
    joules = [found.energy_j()]
    for first, second in ((500_000, 19_500_000), (1_000_000, 250_000), (9_000_000, 300_000), (100_000, 400_000)):
        rapl(tmp_path, 0, "package-0", first, range_uj=10_000_000)
        rapl(tmp_path, 1, "package-1", second, range_uj=20_000_000)
        joules.append(found.energy_j())
    assert [b - a for a, b in itertools.pairwise(joules)] == pytest.approx(
        [1.5 + 0.5, 0.5 + 0.75, 8.0 + 0.05, 1.1 + 0.1]
    )


class Locked(type(Path())):
    """A path whose energy counters are for root alone, whoever runs the tests."""

    def read_text(self, *arguments, **options):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return super().read_text(*arguments, **options)


def test_cpu_counter_for_root_alone(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    found = cpu(Locked(tmp_path)).signals()["energy_j"]
    assert found.status == "no_permission" and "intel-rapl:0/energy_uj" in found.reason and "chmod" in found.reason


def test_one_cpu_package_that_cannot_be_read_makes_no_half_sum(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    rapl(tmp_path, 1, "package-1", 2_500_000)
    broken = tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj"
    broken.unlink()
    broken.mkdir()  # what reads as an error for root as well
    assert cpu(tmp_path).energy_j().status == "unsupported"


@pytest.mark.parametrize(("driver", "labels", "wanted"), [
    ("k10temp", {"temp1": ("Tctl", "61250"), "temp3": ("Tccd1", "70000")}, 61.25),
    ("coretemp", {"temp1": ("Package id 0", "55000"), "temp2": ("Core 0", "51000")}, 55),
    ("coretemp", {"temp2": ("Core 0", "51000"), "temp9": ("Package id 0", "57000")}, 57),
    ("zenpower", {"temp1": ("Tdie", "48500")}, 48.5),
    ("cpu_thermal", {"temp1": (None, "42000")}, 42),
])  # fmt: skip
def test_cpu_thermometers(tmp_path, driver, labels, wanted):
    chip = "sys/class/hwmon/hwmon1"
    put(tmp_path, **{"sys/class/hwmon/hwmon0/name": "nvme\n", "sys/class/hwmon/hwmon0/temp1_input": "33000\n",
                     f"{chip}/name": f"{driver}\n"})  # fmt: skip
    for name, (label, value) in labels.items():
        put(tmp_path, **{f"{chip}/{name}_input": value} | ({f"{chip}/{name}_label": label} if label else {}))
    assert cpu(tmp_path).signals()["temperature_core_c"] == pytest.approx(wanted)


def test_cpu_utilisation_is_of_the_time_between_two_looks(tmp_path):
    put(tmp_path, **{"proc/stat": "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n"})
    found = cpu(tmp_path)
    assert found.signals()["cpu_utilization_pct"].status == "transient"
    put(tmp_path, **{"proc/stat": "cpu  190 0 60 850 100 0 0 0 0 0\ncpu0 1 2 3\n"})
    assert found.signals()["cpu_utilization_pct"] == pytest.approx(50)  # 100 of 200; waiting for a disk is idle
    assert found.signals()["cpu_utilization_pct"].status == "transient"  # no time has passed


def test_cpu_memory(tmp_path):
    put(tmp_path, **{"proc/meminfo": "MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable:    400 kB\n"})
    facts = cpu(tmp_path).facts()
    assert (facts["memory_total_bytes"].value, facts["memory_used_bytes"].value) == (1_024_000, 614_400)


def test_cpu_of_which_nothing_is_known(tmp_path):
    found = cpu(tmp_path)
    facts, signals = found.facts(), found.signals()
    assert set(facts) == set(quantities.keys(quantities.FACTS, "cpu"))
    assert set(signals) == set(quantities.keys(quantities.SIGNALS, "cpu"))
    assert all(reading.value is None and reading.reason for reading in facts.values())
    assert all(isinstance(value, Absent) and value.reason for value in signals.values())
    assert "virtual machines" in signals["energy_j"].reason


@pytest.mark.parametrize("text", [
    "", "\n", "words\n", "-\n", "9" * 400, "\xff\xfe", "cpu a b c d e f g h\n", "MemTotal:\n",
    "MemTotal: many kB\nMemAvailable:\n",
])  # fmt: skip
def test_malformed_files_of_the_kernel_are_reasons(tmp_path, text):
    zone, chip = "sys/class/powercap/intel-rapl:0", "sys/class/hwmon/hwmon0"
    rapl(tmp_path, 0, "package-0", 1)
    put(tmp_path, **{f"{chip}/name": "k10temp\n", "proc/stat": "", "proc/meminfo": ""})
    for name in ("proc/stat", "proc/meminfo", f"{zone}/energy_uj", f"{zone}/max_energy_range_uj",
                 f"{zone}/constraint_0_power_limit_uw", f"{chip}/temp1_input"):  # fmt: skip
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    found = cpu(tmp_path)
    for _ in range(2):
        assert all(isinstance(value, Absent) and value.reason for value in found.signals().values())
        assert all(reading.value is None and reading.reason for reading in found.facts().values())


# ---- quiet


def test_quiet_swallows_what_c_prints_and_gives_the_streams_back(libraries, tmp_path):
    """In a process of its own, whose sys.stdout is file descriptor 1; after an error as well."""
    code = """
import os, sys
from gpuprof.telemetry.quiet import quiet
print("before")
with quiet() as printed:
    os.write(1, b"from C\\n"); os.write(2, b"from C on stderr\\n"); print("from Python")
try:
    with quiet(): raise ValueError
except ValueError: os.write(1, b"after an error\\n")
print(repr(printed.text))
"""
    done = process(["-c", code], environment(libraries["usual"], simulators.load({"gpus": []}), tmp_path))
    assert done.stderr == ""
    before, error, text = done.stdout.splitlines()
    assert (before, error) == ("before", "after an error")
    assert text == repr("from C\nfrom C on stderr\nfrom Python")


def test_a_process_without_stdout_can_open_the_libraries(libraries, tmp_path):
    """`gpuprof devices >&-`: closed file descriptors are no reason to fail."""
    code = PRELUDE.replace("import simulators", "import simulators\nos.close(1); os.close(2)", 1)
    code += "open(os.environ['ANSWER'], 'w').write(str(len(gpus)))"
    answer = tmp_path / "answer"
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = process(["-c", code], environment(libraries["usual"], scenario, tmp_path, ANSWER=str(answer)))
    assert (done.returncode, answer.read_text()) == (0, "4")


def test_the_newest_rocm_comes_first(monkeypatch, tmp_path):
    names = [f"core-{release}" for release in ("7.14", "9.1", "10.0")]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [tmp_path / name for name in names])
    for name in names:
        (tmp_path / name / "share/amd_smi/amdsmi").mkdir(parents=True)
        (tmp_path / name / "share/amd_smi/amdsmi/__init__.py").touch()
    found = [place.parts[-3] for place, _ in amd_library._candidates() if place and place.is_relative_to(tmp_path)]
    assert found == ["core-10.0", "core-9.1", "core-7.14"]
