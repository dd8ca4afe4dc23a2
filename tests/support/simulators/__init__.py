"""Simulated `libnvidia-ml.so.1` and `libamd_smi.so`, loaded by the real `pynvml` and `amdsmi`.

A scenario (scenarios/*.yaml) describes GPUs in neutral words; answers.py says what each function of the vendor's
library returns for them; the C code looks the answers up and follows the scripted power through time. Typical use:

    libraries = simulators.build(tmp_path / "lib")
    scenario = simulators.load("h100")
    environment = os.environ | simulators.variables(libraries, scenario, tmp_path)
    subprocess.run([sys.executable, "-c", "import pynvml; pynvml.nvmlInit(); ..."], env=environment)
    simulators.truth_energy_j(scenario["gpus"][0], start_ns, end_ns)

A library reads its scenario once, and pynvml and amdsmi keep the library: one scenario in one process.
"""

from __future__ import annotations

import copy
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from . import answers

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"  # those in real/ are states of real cards, with their sources
VENDORS = ("nvidia", "amd")
DRIVER_NOT_LOADED = {"nvidia": 9, "amd": 34}
LOST = {"nvidia": 15, "amd": 31}
POWER_AND_ENERGY = {
    "nvidia": ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetFieldValues"),
    "amd": ("amdsmi_get_power_info", "amdsmi_get_energy_count", "amdsmi_get_gpu_metrics_info"),
}


# ---- building


def build(
    directory: Path, *, vendors: Sequence[str] = VENDORS, omit: Sequence[str] = (), oversize_bytes: int = 0,
    wheel: Path | None = None,
) -> Path:  # fmt: skip
    """Compile the libraries into `directory` and return it: libnvidia-ml.so.1, libamd_smi.so and lib/libamd_smi.so.

    `omit` names symbols that neither library exports, as older drivers and newer ROCm do.
    `oversize_bytes` makes AMD's gpu_metrics and enumeration_info so much larger than the wheel's structs, and 0xEE is
    written there, past the caller's struct; when negative, gpu_metrics is that much smaller, its end is not written.
    `wheel` is the folder of an unpacked amdsmi that libamd_smi.so fits, in place of the installed one. It is then
    beside the library, in share/amd_smi, as in an installed ROCm.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("the simulated libraries need a C compiler: install gcc or clang, as `cc`, `gcc` or `clang`")
    directory = Path(directory).resolve()
    (directory / "lib").mkdir(parents=True, exist_ok=True)
    hidden = directory / "omit.map"
    hidden.write_text("{ global: *; local: " + "".join(f"{name}; " for name in ["_none_", *omit]) + "};\n")
    flags = ["-O1", "-g", "-Wall", "-Wextra", "-Wno-unused", "-shared", "-fPIC", f"-I{HERE}"]

    def compile_library(target: Path, *arguments: object) -> None:
        command = [compiler, *flags, f"-Wl,-soname,{target.name}", f"-Wl,--version-script={hidden}", "-o", target]
        done = subprocess.run(
            [*map(str, [*command, *arguments, "-lm", "-lpthread"])], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{compiler} could not build {target.name}:\n{done.stderr}")

    if "nvidia" in vendors:
        compile_library(directory / "libnvidia-ml.so.1", HERE / "nvml_sim.c")
    if "amd" in vendors:
        layout = directory / "amd_layout.c"
        done = subprocess.run(
            [sys.executable, HERE / "amd_layout.py", *([wheel] if wheel else [])],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"could not read the layouts of the installed amdsmi:\n{done.stderr}")
        layout.write_text(done.stdout)
        target = directory / "lib" / "libamd_smi.so"
        compile_library(target, f"-DOVERSIZE_BYTES={oversize_bytes}", HERE / "amd_sim.c", layout)
        shutil.copy2(target, directory / target.name)
        if wheel is not None:
            shutil.copytree(wheel / "amdsmi", directory / "share" / "amd_smi" / "amdsmi")
    return directory


# ---- scenarios


def _merged(below: dict, above: dict) -> dict:
    """`above` laid over `below`, section by section; a section that is no mapping (null, say) replaces the whole."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict) and key != "power"
        result[key] = _merged(result[key], value) if both else copy.deepcopy(value)
    return result


def _read(name: str) -> dict:
    return yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())


def load(name_or_dict: str | dict, *, origin_ns: int | None = None) -> dict:
    """A scenario with every default filled in: {"gpus": [...], "system": {...}, "init_error": ..., "noise": ...}.

    The words of a scenario, with their units, are in scenarios/defaults.yaml. A GPU may say `like: NAME`, for the first
    GPU of that scenario, and then only what differs. All its times (steps, slopes, faults, a counter's reset) count
    from `origin_ns` on CLOCK_MONOTONIC or the virtual clock: with the real one, time.monotonic_ns() is "from now on".
    """
    scenario = _read(name_or_dict) if isinstance(name_or_dict, str) else copy.deepcopy(name_or_dict)
    defaults = _read("defaults")
    if unknown := set(scenario) - {"gpus", "system", "init_error", "noise", "promises"}:
        raise ValueError(f"unknown in a scenario: {', '.join(sorted(unknown))}")
    gpus = []
    for gpu in scenario.get("gpus", []):
        model = load(gpu["like"])["gpus"][0] if "like" in gpu else {}
        gpu = {key: value for key, value in gpu.items() if key != "like"}
        if origin_ns is not None:
            gpu["origin_ns"] = origin_ns
        vendor = gpu.get("vendor") or model["vendor"]
        known = _merged(defaults["any"], defaults[vendor])
        if unknown := set(gpu) - set(known):
            raise ValueError(f"unknown in the scenario of an {vendor} GPU: {', '.join(sorted(unknown))}")
        gpus.append(_merged(_merged(known, model), gpu))
    system = _merged(defaults["system"], scenario.get("system", {}))
    return {"init_error": None, "noise": False, "promises": {}} | scenario | {"gpus": gpus, "system": system}


# ---- the truth, by the same formulas as simcore.h


def _schedule(power: dict | None) -> tuple[list[tuple[float, float]], float, float]:
    """Any kind of power as ([(from_s, w), ...], period_s or 0, phase_s)."""
    power = power or {"kind": "constant", "w": 0}
    if power["kind"] == "constant":
        return [(0.0, power["w"])], 0.0, 0.0
    if power["kind"] == "shown":
        counted = power.get("counted_w") or power["average_w"] or power["instant_w"]
        return [(0.0, counted)], 0.0, 0.0
    if power["kind"] == "square":  # high first
        low_from_s = power["period_s"] * power.get("duty", 0.5)
        return [(0.0, power["high_w"]), (low_from_s, power["low_w"])], power["period_s"], power.get("origin_s", 0.0)
    if power["kind"] == "followed":
        return [(0.0, power["w"])], 0.0, 0.0  # until the first line of its file
    if power["kind"] == "steps":
        return [(at_s, w) for at_s, w in power["steps"]], power.get("period_s", 0.0), 0.0
    raise ValueError(f"unknown kind of power: {power['kind']}")


def truth_energy_j(gpu: dict, start_ns: int, end_ns: int) -> float:
    """The scripted energy between two instants of CLOCK_MONOTONIC (or of the virtual clock); not of `followed`."""
    assert gpu["power"]["kind"] != "followed", "its truth is what the lines of its file say"
    steps, period_s, phase_s = _schedule(gpu["power"])

    def cycle_j(s: float) -> float:
        joules, before_w = steps[0][1] * s, steps[0][1]
        for from_s, w in steps[1:]:
            joules, before_w = joules + (w - before_w) * max(0.0, s - from_s), w
        return joules

    def until_j(ns: int) -> float:
        s = (ns - gpu["origin_ns"]) / 1e9 - phase_s
        cycles = s // period_s if period_s else 0
        return cycles * cycle_j(period_s) + cycle_j(s - cycles * period_s)

    return until_j(end_ns) - until_j(start_ns)


# ---- the flat text that the C code reads


def _pci_slot(gpu: dict) -> str:
    return gpu["pci"].rsplit(".", 1)[0]


def _lines(gpu: dict, index: int) -> Iterator[tuple[str, Any]]:
    """(key, value) pairs of one GPU: its truth, sensors, faults, and every answer. A value of None is left out."""
    vendor = gpu["vendor"]

    def ns(s: float | None) -> int | None:
        return None if s is None else round(s * 1e9)

    steps, period_s, phase_s = _schedule(gpu["power"])
    sensor, counter = gpu["sensor"] or {}, gpu["counter"] or {}
    yield "origin_ns", gpu["origin_ns"]
    yield "truth.steps", " ".join(f"{from_s!r}:{w!r}" for from_s, w in steps)
    yield "truth.period_s", period_s
    yield "truth.phase_s", phase_s
    yield "truth.follows", (gpu["power"] or {}).get("file")
    for name in ("update", "window", "average_window"):
        yield f"sensor.{name}_ns", ns(sensor.get(f"{name}_s"))
    yield "counter.tick_ns", ns(counter.get("tick_s"))
    yield "counter.reset_ns", ns(counter.get("reset_at_s"))
    yield "counter.offset_j", counter.get("offset_j")
    yield "counter.bits", counter.get("bits")
    yield "counter.stuck", int(bool(counter.get("stuck") or gpu.get("snapshot_stuck")))
    yield "latency_us", gpu["latency_us"]
    yield "lost.after_calls", gpu["lost_after_calls"]
    yield "lost.at_ns", ns(gpu["lost_at_s"])
    yield "lost.code", gpu["lost_code"] or LOST[vendor]
    for function, code in (gpu["errors"] or {}).items():
        yield f"error.{function}", code
        yield f"error.{function}.from_ns", ns((gpu["errors_from_s"] or {}).get(function))
    for function in POWER_AND_ENERGY[vendor] if gpu["transient_every"] else ():
        yield f"transient.{function}", gpu["transient_every"]
    yield from (answers.TABLES[vendor](gpu, index) | (gpu["answers"] or {})).items()


def _with_partitions(gpus: list[dict]) -> Iterator[dict[str, Any]]:
    """What only the position in the list says: MIG devices follow their GPU, AMD partitions share a socket."""
    places = [sum(1 + len(gpu.get("mig") or ()) for gpu in gpus[:i]) for i in range(len(gpus))]
    for index, gpu in enumerate(gpus):
        first = next(i for i, other in enumerate(gpus) if _pci_slot(other) == _pci_slot(gpu))
        yield dict(_lines(gpu, index)) | {"socket": first}
        for instance in gpu.get("mig") or ():
            yield answers.mig_device(instance, places[index])


def variables(directory: Path, scenario: dict, tmp: Path) -> dict[str, str]:
    """Write the scenario into `tmp`; return the variables under which a process loads the libraries of `directory`."""
    directory, tmp = Path(directory).resolve(), Path(tmp).resolve()
    for vendor in VENDORS:
        gpus = [gpu for gpu in scenario["gpus"] if gpu["vendor"] == vendor]
        error = scenario["init_error"] or (None if gpus else DRIVER_NOT_LOADED[vendor])
        if isinstance(error, dict):
            error = error.get(vendor)
        system = {"init_error": error, "noise": int(scenario["noise"])} | answers.system(vendor, scenario["system"])
        rows = [("system", key, value) for key, value in system.items()]
        for index, lines in enumerate(_with_partitions(gpus)):
            rows += [(str(index), key, value) for key, value in lines.items()]
        text = "".join(f"{who} {key} {answers.written(value)}\n" for who, key, value in rows if value is not None)
        (tmp / f"{vendor}.txt").write_text(text)
    paths = [str(directory), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    # amdsmi looks into ROCM_HOME or ROCM_PATH before it asks the linker.
    return {
        "GPUSIM_SCENARIO": str(tmp),
        "LD_LIBRARY_PATH": os.pathsep.join(paths),
        "ROCM_HOME": str(directory),
        "ROCM_PATH": str(directory),
    }


# ---- inside a process that has loaded a library (pynvml.nvmlLib, or amdsmi_wrapper._libraries["libamd_smi.so"])


def set_time_ns(library: ctypes.CDLL, ns: int) -> None:
    """Switch the library to a virtual clock that stands at `ns`; 0 goes back to CLOCK_MONOTONIC."""
    library.gpusim_set_time_ns(ctypes.c_ulonglong(ns))


def calls(library: ctypes.CDLL, function: str) -> int:
    """How often that function was called in this process."""
    library.gpusim_calls.restype = ctypes.c_ulonglong
    return library.gpusim_calls(function.encode())
