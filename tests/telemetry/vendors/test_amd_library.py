"""AMD SMI's wrapper: which one is taken, whether it fits the library, and arbitrary bytes from it."""

from __future__ import annotations

import ctypes
import json
import math
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import throttling
from gpuprof.telemetry.device import NoReading
from gpuprof.telemetry.vendors import amd_library, amd_numbers, amd_wrapper
from support import simulators
from support.backends import (
    AMD_FIELDS,
    IN_CASES,
    METRICS,
    Libraries,
    check,
    many,
    promised,
)

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
    fault = ask("two_and_two", "say([shown(amd.fault), amd.fix, len(amd.devices), len(nvidia.devices)])", "ROCm 10")
    (status, reason), fix, amd_devices, nvidia_devices = fault
    assert status == "unsupported" and "does not fit the installed libamd_smi.so" in reason
    assert "amdsmi_set_gpu_clk_range" in reason and "ROCm" in fix
    assert (amd_devices, nvidia_devices) == (0, 2)
    done = devices_command("two_and_two", "--json", release="ROCm 10")
    assert [d["id"] for d in json.loads(done.stdout)] == ["nvidia:0", "nvidia:1", "cpu"]
    assert "does not fit" in devices_command("two_and_two", release="ROCm 10").stdout


def test_a_library_that_lacks_another_is_told_in_the_loaders_words(ask, releases, tmp_path):
    """Each wrapper drops or prints them: "not found" sends people to look for a file that is there."""
    here = tmp_path / "lib"
    here.mkdir()
    for name, source in (("libdrm_gone.so.2", "int gone;"), ("libamd_smi.so", "extern int gone; int *here = &gone;")):
        (here / f"{name}.c").write_text(source)
        needs = [] if "gone" in name else [here / "libdrm_gone.so.2"]
        subprocess.run(["cc", "-shared", "-fPIC", "-o", here / name, here / f"{name}.c", *needs], check=True)
    (here / "libdrm_gone.so.2").unlink()
    place = {"LD_LIBRARY_PATH": str(here), "ROCM_HOME": str(tmp_path), "ROCM_PATH": str(tmp_path)}
    code = "say([amd.fault.reason, amd.fix])"
    for release in ("usual", "amdsmi 6.1.2"):
        if release != "usual":
            shutil.copytree(releases[release] / "share", tmp_path / "share")
        reason, fix = ask("mi300x_spx", code, **place)
        assert "libamd_smi.so could not be loaded: " in reason and "not found" not in reason
        assert "libdrm_gone.so.2: cannot open shared object file" in reason
        assert "install the file that the loader names" in fix


def rocm_with_amdsmi(releases: Libraries, place: Path, marker: str) -> Path:
    """A ROCm tree that brings its own amdsmi."""
    import importlib.util

    wheel = Path(importlib.util.find_spec("amdsmi").origin).parent
    own = place / "share" / "amd_smi" / "amdsmi"
    shutil.copytree(wheel, own)
    with (own / "__init__.py").open("a") as file:
        file.write(marker)
    (place / "lib").mkdir()
    shutil.copy2(releases["usual"] / "lib" / "libamd_smi.so", place / "lib")
    return place


def test_rocm_s_own_amdsmi_comes_before_the_one_of_pip(ask, releases, tmp_path):
    rocm = rocm_with_amdsmi(releases, tmp_path / "rocm", "\nMARKER = 'ROCm brought this one'\n")
    code = "import amdsmi; say([amdsmi.MARKER, amd.version, len(amd.devices), sys.path.count(os.environ['OWN'])])"
    place = str(rocm / "share" / "amd_smi")
    said = ask("mi300x_spx", code, ROCM_HOME=str(rocm), OWN=place)
    assert said == ["ROCm brought this one", f"library 26.0.2, amdsmi from {rocm}", 1, 0]


def test_broken_amdsmi_of_rocm_gives_way_to_the_one_of_pip(ask, releases, tmp_path):
    rocm = rocm_with_amdsmi(releases, tmp_path / "rocm", "\nraise ImportError('half installed')\n")
    code = "import amdsmi; say([os.environ['OWN'] in amdsmi.__file__, amd.version, len(amd.devices)])"
    said = ask("mi300x_spx", code, ROCM_HOME=str(rocm), OWN=str(rocm))
    assert said == [False, "library 26.0.2, amdsmi in this Python", 1]


def test_the_newest_rocm_comes_first(monkeypatch, tmp_path):
    names = [f"core-{release}" for release in ("7.14", "9.1", "10.0")]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [tmp_path / name for name in names])
    for name in names:
        (tmp_path / name / "share/amd_smi/amdsmi").mkdir(parents=True)
        (tmp_path / name / "share/amd_smi/amdsmi/__init__.py").touch()
    found = [place.parts[-3] for place, _ in amd_wrapper._candidates() if place and place.is_relative_to(tmp_path)]
    assert found == ["core-10.0", "core-9.1", "core-7.14"]


# ---- arbitrary answers


RANGES = {
    "power_instant_w": (0, 65534), "power_average_w": (0, 65534), "energy_j": (0, 2.0**48),
    "gpu_utilization_pct": (0, 100), "memory_utilization_pct": (0, 100),
    "temperature_core_c": (0, 200), "temperature_hotspot_c": (0, 200), "temperature_memory_c": (0, 200),
    "core_clock_hz": (1e6, 65534e6), "memory_clock_hz": (1e6, 65534e6),
    "throttle": (0, 2 ** len(throttling.REASONS) - 1),
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
            if isinstance(value, NoReading):
                assert value.status in ("unsupported", "transient") and value.reason
                continue
            least, most = RANGES[key]
            assert least <= value <= most and not math.isnan(value), key
            if key.startswith(("power", "temperature", "gpu", "memory_u")):
                assert value == getattr(said, AMD_FIELDS[key]), key


@pytest.mark.parametrize(("bit", "reason"), [
    (0, "power_cap"), (7, "power_cap"), (16, "current_limit"), (23, "current_limit"), (32, "thermal"),
    (45, "thermal"), (46, "hw_slowdown"), (47, "hw_slowdown"), (63, "other"),
])  # fmt: skip
def test_amd_throttle_bits(bit, reason):
    assert throttling.reasons(int(amd_numbers.throttle(1 << bit))) == [reason]
