"""The simulated vendor libraries, read by the real pynvml and the real amdsmi: what the telemetry tests stand on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import simulators
from support.running import ROOT

S = 1_000_000_000  # ns
TOTAL_ENERGY = "nvmlDeviceGetTotalEnergyConsumption"

NVIDIA = """
import json, sys, ctypes, pynvml as nv
from support import simulators
nv.nvmlInit()
gpus = [nv.nvmlDeviceGetHandleByIndex(i) for i in range(nv.nvmlDeviceGetCount())]
def at(s): simulators.set_time_ns(nv.nvmlLib, round(s * 1e9))
def code(function, *arguments):
    try: function(*arguments)
    except nv.NVMLError as error: return error.value
def fields(gpu, *numbers): return [(f.nvmlReturn, f.value.ullVal) for f in nv.nvmlDeviceGetFieldValues(gpu, numbers)]
def say(*values): print(json.dumps(values))
"""
AMD = """
import json, sys, ctypes, amdsmi
from support import simulators
from amdsmi import amdsmi_wrapper as raw
amdsmi.amdsmi_init()
library = raw._libraries["libamd_smi.so"]
gpus = amdsmi.amdsmi_get_processor_handles()
def at(s): simulators.set_time_ns(library, round(s * 1e9))
def code(function, *arguments):
    try: function(*arguments)
    except amdsmi.AmdSmiLibraryException as error: return error.get_error_code()
def say(*values): print(json.dumps(values))
"""

needs_nvidia = pytest.mark.skipif(not importlib.util.find_spec("pynvml"), reason="needs nvidia-ml-py")
needs_amd = pytest.mark.skipif(not importlib.util.find_spec("amdsmi"), reason="needs amdsmi")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory) -> Path:
    modules = {"nvidia": "pynvml", "amd": "amdsmi"}
    vendors = [vendor for vendor, module in modules.items() if importlib.util.find_spec(module)]
    return simulators.build(tmp_path_factory.mktemp("simulated"), vendors=vendors)


def run(libraries: Path, scenario: dict, code: str, tmp: Path) -> subprocess.CompletedProcess:
    """The code in a fresh process, with the libraries as the vendors' own."""
    path = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path} | simulators.variables(libraries, scenario, tmp)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def said(libraries, tmp_path):
    """said(scenario, vendor's prelude, code): what the code says, as one list."""

    def told(scenario: str | dict, prelude: str, code: str, where: Path = libraries) -> list:
        scenario = scenario if "system" in scenario else simulators.load(scenario)
        done = run(where, scenario, prelude + code, tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return told


def with_gpu(name: str, **changes) -> dict:
    return simulators.load({"gpus": [{"like": name, **changes}]})


# ---- NVIDIA


@needs_nvidia
def test_nvidia_identities(said):
    code = """
first = gpus[0]
say(nv.nvmlSystemGetDriverVersion(), nv.nvmlDeviceGetName(first), nv.nvmlDeviceGetPciInfo(first).busId,
    nv.nvmlDeviceGetCudaComputeCapability(first), ctypes.c_int.in_dll(nv.nvmlLib, "gpuprof_simulated_library").value,
    nv.nvmlDeviceGetIndex(nv.nvmlDeviceGetHandleByUUID("GPU-0b1b2c3d-1111-2222-3333-444455556666")),
    nv.nvmlDeviceGetIndex(nv.nvmlDeviceGetHandleByPciBusId("00000000:43:00.0")),
    code(nv.nvmlDeviceGetHandleByUUID, "GPU-none"), [p.pid for p in nv.nvmlDeviceGetComputeRunningProcesses(first)])
"""
    assert said("two_and_two", NVIDIA, code) == [
        "550.54.15", "NVIDIA H100 80GB HBM3", "00000000:1B:00.0", [9, 0], 1, 1, 1, 6, [4242],
    ]  # fmt: skip


@needs_nvidia
def test_nvidia_memory_and_temperature_have_versions(said):
    code = """
gpu = gpus[0]
old, new = nv.nvmlDeviceGetMemoryInfo(gpu), nv.nvmlDeviceGetMemoryInfo(gpu, nv.nvmlMemory_v2)
wrong = nv.c_nvmlMemory_v2_t(); wrong.version = 7
say(old.used - new.used == new.reserved > 0, new.total == new.used + new.reserved + new.free,
    nv.nvmlLib.nvmlDeviceGetMemoryInfo_v2(gpu, ctypes.byref(wrong)), nv.nvmlDeviceGetTemperatureV(gpu, 0))
"""
    assert said("h100", NVIDIA, code) == [True, True, 25, 61]


@needs_nvidia
def test_nvidia_power_sees_through_its_window(said):
    """Every 2 s: 650 W for 1 s, then 150 W. The short window holds 25 ms of each 100 ms, the long one 1 s."""
    code = """
gpu, readings = gpus[0], []
for s in (10.9999, 11.0, 11.0999, 11.1, 11.55):
    at(s); readings.append([nv.nvmlDeviceGetPowerUsage(gpu)] + [value for _, value in fields(gpu, 185, 186)])
say(*readings)
"""
    assert said("h100", NVIDIA, code) == [
        [600_000, 600_000, 650_000],
        [650_000, 650_000, 650_000],  # at 11.0 the window still ends in the high part
        [650_000, 650_000, 650_000],
        [600_000, 600_000, 150_000],
        [400_000, 400_000, 150_000],
    ]


@needs_nvidia
@pytest.mark.parametrize("power", [
    {"kind": "constant", "w": 333.25},
    {"kind": "square", "low_w": 150, "high_w": 650, "period_s": 0.7, "duty": 0.3, "origin_s": 0.11},
    {"kind": "steps", "steps": [[0, 100], [2.25, 500], [3.5, 120]]},
    {"kind": "steps", "steps": [[0, 100], [0.1, 500], [0.2, 300]], "period_s": 0.4},
])  # fmt: skip
def test_nvidia_energy_is_the_truth_up_to_the_last_tick(said, power):
    scenario = with_gpu("h100", power=power)
    code = f"""
at(1.0); first = nv.{TOTAL_ENERGY}(gpus[0])
at(5.999); last = nv.{TOTAL_ENERGY}(gpus[0])
say(last - first, fields(gpus[0], 83)[0][1] == last)
"""
    mj, same_as_field = said(scenario, NVIDIA, code)
    assert mj / 1e3 == pytest.approx(simulators.truth_energy_j(scenario["gpus"][0], 1 * S, 5_900_000_000), abs=0.002)
    assert same_as_field


@needs_nvidia
@needs_amd
@pytest.mark.parametrize(
    ("model", "prelude", "read"),
    [
        ("h100", NVIDIA, f"nv.{TOTAL_ENERGY}(gpus[0]) / 1e3"),
        ("mi300x_spx", AMD, "amdsmi.amdsmi_get_energy_count(gpus[0])['energy_accumulator'] / 65536"),
    ],
)
def test_power_follows_the_lines_of_a_file(said, tmp_path, model, prelude, read):
    scenario = with_gpu(model, power={"kind": "followed", "w": 100, "file": "load.txt"})
    (tmp_path / "load.txt").touch()
    code = f"""
def add(*lines):
    with open({str(tmp_path / "load.txt")!r}, "a") as file:
        file.writelines(f"{{round(s * 1e9)}} {{w}}\\n" for s, w in lines)
at(1.0); first = {read}
add((2.25, 500)); at(3.0); second = {read}
add((3.5, 120), (4.0, 300.5)); at(6.0); third = {read}
say(first, second, third)
"""
    first, second, third = said(scenario, prelude, code)
    same = with_gpu(model, power={"kind": "steps", "steps": [[0, 100], [2.25, 500], [3.5, 120], [4.0, 300.5]]})
    truth = simulators.truth_energy_j
    assert second - first == pytest.approx(truth(same["gpus"][0], 1 * S, 3 * S), abs=0.002)
    assert third - first == pytest.approx(truth(same["gpus"][0], 1 * S, 6 * S), abs=0.002)


def test_truth_by_hand():
    gpu = with_gpu("h100", power={"kind": "square", "low_w": 100, "high_w": 500, "period_s": 2, "duty": 0.25})["gpus"][
        0
    ]
    assert simulators.truth_energy_j(gpu, 0, 2 * S) == pytest.approx(0.5 * 500 + 1.5 * 100)
    assert simulators.truth_energy_j(gpu, 40 * S + S // 4, 41 * S) == pytest.approx(0.25 * 500 + 0.5 * 100)
    gpu = simulators.load({"gpus": [{"like": "h100", "power": {"kind": "steps", "steps": [[0, 100], [1, 300]]}}]},
                          origin_ns=7 * S)["gpus"][0]  # fmt: skip
    assert simulators.truth_energy_j(gpu, 7 * S, 10 * S) == pytest.approx(100 + 600)


@needs_nvidia
def test_nvidia_each_field_has_its_own_code(said):
    scenario = with_gpu("h100", errors={"field.186": 3, "field.82": 4})
    assert said(scenario, NVIDIA, "at(10); say(fields(gpus[0], 74, 186, 82, 185, 4000))") == [
        [[0, 1_200_000_000], [3, 0], [4, 0], [0, 150_000], [3, 0]]
    ]


@needs_nvidia
def test_nvidia_superchip_has_power_in_the_module_scope_only(said):
    scenario = with_gpu("h100", sensor={"scope": 1})
    assert said(scenario, NVIDIA, "at(10); say(fields(gpus[0], (186, 0), (186, 1)))") == [[[3, 0], [0, 150_000]]]


@needs_nvidia
def test_nvidia_real_clock_and_latency(said):
    """Without a virtual clock the libraries live in CLOCK_MONOTONIC, as the truth does."""
    changes = {"like": "h100", "power": {"kind": "constant", "w": 500}, "counter": {"offset_j": 0}, "latency_us": 2000}
    scenario = simulators.load({"gpus": [changes]}, origin_ns=time.monotonic_ns() - 5 * S)
    code = f"""
import time
before = time.monotonic_ns(); mj = nv.{TOTAL_ENERGY}(gpus[0]); after = time.monotonic_ns()
say(before, mj, after)
"""
    before_ns, mj, after_ns = said(scenario, NVIDIA, code)
    gpu = scenario["gpus"][0]
    least_j = simulators.truth_energy_j(gpu, gpu["origin_ns"], before_ns - S // 10)
    assert least_j - 0.001 <= mj / 1e3 <= simulators.truth_energy_j(gpu, gpu["origin_ns"], after_ns)
    assert after_ns - before_ns >= 2_000_000


@needs_nvidia
def test_nvidia_counter_faults(said):
    code = f"""
def joules(s): at(s); return nv.{TOTAL_ENERGY}(gpus[0]) / 1e3
say(joules(1), joules(2.9999), joules(3), joules(4))
"""
    power = {"kind": "constant", "w": 100}
    reset = with_gpu("h100", power=power, counter={"tick_s": 0.1, "offset_j": 50, "reset_at_s": 3})
    assert said(reset, NVIDIA, code) == [150, 340, 0, 100]
    stuck = with_gpu("h100", power=power, counter={"offset_j": 50, "stuck": True})
    assert said(stuck, NVIDIA, code) == [50] * 4
    none = with_gpu("h100", counter=None)
    assert said(none, NVIDIA, f"say(code(nv.{TOTAL_ENERGY}, gpus[0]), fields(gpus[0], 83))") == [3, [[3, 0]]]


@needs_nvidia
def test_nvidia_faults_of_functions_and_gpus(said):
    def energies(times: int) -> str:
        return f"say(*[code(nv.{TOTAL_ENERGY}, gpus[0]) for _ in range({times})], code(nv.nvmlDeviceGetName, gpus[0]))"

    assert said(with_gpu("h100", lost_after_calls=2), NVIDIA, energies(4)) == [None, None, 15, 15, 15]
    assert said(with_gpu("h100", transient_every=3), NVIDIA, energies(4)) == [None, None, 999, None, None]
    assert said(with_gpu("h100", errors={TOTAL_ENERGY: 4}), NVIDIA, energies(1)) == [4, None]
    late = with_gpu("h100", errors={TOTAL_ENERGY: 4}, errors_from_s={TOTAL_ENERGY: 5}, lost_at_s=6)
    code = f"out = []\nfor s in (4.9, 5, 6): at(s); out.append(code(nv.{TOTAL_ENERGY}, gpus[0]))\nsay(*out)"
    assert said(late, NVIDIA, code) == [None, 4, 15]


@needs_nvidia
def test_nvidia_old_driver(libraries, said, tmp_path):
    omit = ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons"]
    old = simulators.build(tmp_path / "old", vendors=["nvidia"], omit=omit)
    code = """
gpu = gpus[0]
say(code(nv.nvmlDeviceGetTemperatureV, gpu, 0), code(nv.nvmlDeviceGetMemoryInfo, gpu, nv.nvmlMemory_v2),
    code(nv.nvmlDeviceGetCurrentClocksEventReasons, gpu), nv.nvmlDeviceGetTemperature(gpu, 0),
    nv.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
"""
    assert said("h100", NVIDIA, code, where=old) == [13, 13, 13, 61, 4]


@needs_nvidia
def test_nvidia_mig(said):
    code = """
gpu = gpus[0]
mig = nv.nvmlDeviceGetHandleByUUID("MIG-1a000000-1111-2222-3333-444455556666")
parent = nv.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)
say(len(gpus), nv.nvmlDeviceGetMigMode(gpu), nv.nvmlDeviceIsMigDeviceHandle(mig).value, nv.nvmlDeviceGetUUID(parent),
    nv.nvmlDeviceGetUUID(nv.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)), code(nv.nvmlDeviceGetPowerUsage, mig),
    code(nv.nvmlDeviceGetUtilizationRates, gpu), code(nv.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 2))
"""
    assert said("h100_mig", NVIDIA, code) == [
        1, [1, 1], 1, "GPU-0a1b2c3d-1111-2222-3333-444455556666", "MIG-1a000000-1111-2222-3333-444455556666", 3, 3, 6,
    ]  # fmt: skip


@needs_nvidia
def test_nvidia_counts_calls_and_drifts_in_temperature(said):
    scenario = with_gpu("h100", temperature_c={"core": [40, 0.5]})
    code = """
at(20); warm = [nv.nvmlDeviceGetTemperature(gpus[0], 0) for _ in range(3)]
say(warm, simulators.calls(nv.nvmlLib, "nvmlDeviceGetTemperature"), simulators.calls(nv.nvmlLib, "nvmlDeviceGetName"))
"""
    assert said(scenario, NVIDIA, code) == [[50, 50, 50], 3, 0]


# ---- AMD


@needs_amd
def test_amd_identities(said):
    code = """
def who(g):
    return [amdsmi.amdsmi_get_gpu_device_bdf(g), amdsmi.amdsmi_get_gpu_enumeration_info(g)["hip_id"],
            amdsmi.amdsmi_get_gpu_asic_info(g)["target_graphics_version"], amdsmi.amdsmi_get_gpu_device_uuid(g)]
say(*map(who, gpus),
    ctypes.c_int.in_dll(library, "gpuprof_simulated_library").value, amdsmi.amdsmi_get_lib_version()["major"])
"""
    assert said("two_and_two", AMD, code) == [
        ["0000:0c:00.0", 1, "gfx942", "67ff74a1-0000-1000-80c6-3ac3c3c637f9"],
        ["0000:22:00.0", 0, "gfx942", "68ff74a1-0000-1000-80c6-3ac3c3c637f9"],
        1,
        26,
    ]


@needs_amd
def test_amd_power_energy_and_units(said):
    """The library says 15.3 uJ a count; a count is 2^-16 J: whoever believes it is 0.27 % off."""
    scenario = with_gpu("mi300x_spx", power={"kind": "constant", "w": 500})
    code = """
gpu = gpus[0]
at(1); first = amdsmi.amdsmi_get_energy_count(gpu)
at(3); last, metrics = amdsmi.amdsmi_get_energy_count(gpu), amdsmi.amdsmi_get_gpu_metrics_info(gpu)
def celsius(sensor): return amdsmi.amdsmi_get_temp_metric(gpu, sensor, amdsmi.AmdSmiTemperatureMetric.CURRENT)
say(last["energy_accumulator"] - first["energy_accumulator"], last["counter_resolution"],
    last["timestamp"] - first["timestamp"],
    [metrics[k] for k in ("energy_accumulator", "current_socket_power", "average_socket_power", "temperature_edge",
                          "temperature_hotspot", "system_clock_counter", "ppt_residency_acc", "accumulation_counter")],
    celsius(amdsmi.AmdSmiTemperatureType.HOTSPOT), code(celsius, amdsmi.AmdSmiTemperatureType.EDGE),
    amdsmi.amdsmi_get_power_cap_info(gpu)["power_cap"],
    amdsmi.amdsmi_get_gpu_memory_total(gpu, amdsmi.AmdSmiMemoryType.VRAM),
    amdsmi.amdsmi_get_gpu_vram_usage(gpu)["vram_total"], amdsmi.amdsmi_get_gpu_process_list(gpu)[0]["mem"])
"""
    counts, resolution, passed_ns, metrics, hotspot_c, edge_code, cap_uw, *memory = said(scenario, AMD, code)
    truth_j = simulators.truth_energy_j(scenario["gpus"][0], 1 * S, 3 * S)
    assert counts * 2**-16 == pytest.approx(truth_j) == pytest.approx(1000)
    assert counts * resolution * 1e-6 / truth_j == pytest.approx(1.0027, abs=1e-4)
    assert passed_ns == 2 * S
    assert metrics == [2500 * 65536, 500, "N/A", "N/A", 83, 3 * S, 240, 3000]
    assert (hotspot_c, edge_code, cap_uw) == (83, 2, 750_000_000)
    assert memory == [206_141_652_992, 196_592, 25_476_202_496]


@needs_amd
def test_amd_counter_of_32_bits_wraps(said):
    scenario = with_gpu("mi300x_spx", power={"kind": "constant", "w": 300}, counter={"offset_j": 0, "bits": 32})
    code = """
counts = []
for s in (218, 219): at(s); counts.append(amdsmi.amdsmi_get_energy_count(gpus[0])["energy_accumulator"])
say(*counts)
"""
    before, after = said(scenario, AMD, code)
    assert after < before < 2**32
    assert (after - before) % 2**32 == 300 * 65536


@needs_amd
def test_amd_ways_to_say_nothing(said):
    code = """
info = amdsmi.amdsmi_get_power_info(gpus[0])
say(info["current_socket_power"], info["average_socket_power"], amdsmi.amdsmi_get_gpu_asic_info(gpus[0])["market_name"],
    amdsmi.amdsmi_get_gpu_metrics_info(gpus[0])["current_socket_power"], code(amdsmi.amdsmi_get_energy_count, gpus[0]))
"""
    assert said("mi300x_spx", AMD, code)[1] == "N/A"  # 0xFFFF
    assert said("all_absent", AMD, code) == [0xFFFFFFFF, 0xFFFFFFFF, "N/A", "N/A", 2]  # 0xFFFFFFFF leaks through
    scripted = with_gpu("mi300x_spx", answers={"amdsmi_get_gpu_activity.gfx_activity": "max"})
    assert said(scripted, AMD, 'say(amdsmi.amdsmi_get_gpu_activity(gpus[0])["gfx_activity"])') == [0xFFFFFFFF]


@needs_amd
@pytest.mark.parametrize(("name", "reporting"), [("mi300x_cpx", [0]), ("mi250x", [0]), ("two_and_two", [0, 1])])
def test_amd_only_the_first_of_a_socket_reports_power(said, name, reporting):
    code = """
def has(g):
    return amdsmi.amdsmi_get_power_info(g)["socket_power"] != "N/A" and not code(amdsmi.amdsmi_get_energy_count, g)
say([amdsmi.amdsmi_get_gpu_device_bdf(g) for g in gpus], [i for i, g in enumerate(gpus) if has(g)],
    len(amdsmi.amdsmi_get_socket_handles()), [amdsmi.amdsmi_get_gpu_kfd_info(g)["current_partition_id"] for g in gpus])
"""
    addresses, with_power, sockets, partitions = said(name, AMD, code)
    assert with_power == reporting
    assert sockets == len({address.split(".")[0] for address in addresses})
    assert partitions == (list(range(8)) if name == "mi300x_cpx" else [0, 0])


@needs_amd
def test_amd_newer_library_lacks_symbols(libraries, tmp_path):
    gone = simulators.build(tmp_path / "gone", vendors=["amd"], omit=["amdsmi_set_gpu_clk_range"])
    done = run(gone, simulators.load("mi300x_spx"), "import amdsmi", tmp_path)
    assert "AttributeError" in done.stderr and "undefined symbol: amdsmi_set_gpu_clk_range" in done.stderr


@needs_amd
@pytest.mark.parametrize("bytes_more", [176, -1000])
def test_amd_other_library_has_another_size(said, tmp_path, bytes_more):
    """A newer library writes past the wheel's struct; an older one leaves its end as it was."""
    other = simulators.build(tmp_path / "other", vendors=["amd"], oversize_bytes=bytes_more)
    code = """
size = ctypes.sizeof(raw.amdsmi_gpu_metrics_t)
buffer = (ctypes.c_ubyte * (size + 512))(*[0x55] * (size + 512))
assert raw.amdsmi_get_gpu_metrics_info(gpus[0], raw.amdsmi_gpu_metrics_t.from_buffer(buffer)) == 0
untouched = next(i for i in range(size + 512, 0, -1) if buffer[i - 1] != 0x55)
say(untouched - size, buffer[untouched - 1])
"""
    assert said("mi300x_spx", AMD, code, where=other) == [bytes_more, 0xEE if bytes_more > 0 else 0xFF]


@needs_amd
def test_amd_faults(said):
    energies = "say(*[code(amdsmi.amdsmi_get_energy_count, gpus[0]) for _ in range(4)])"
    assert said(with_gpu("mi300x_spx", lost_after_calls=2), AMD, energies) == [None, None, 31, 31]
    assert said(with_gpu("mi300x_spx", lost_after_calls=2, lost_code=30), AMD, energies) == [None, None, 30, 30]
    assert said(with_gpu("mi300x_spx", transient_every=2), AMD, energies) == [None, 9, None, 9]
    assert said("mi300x_spx", AMD, "amdsmi.amdsmi_shut_down()\n" + energies) == [32] * 4


# ---- both


@needs_nvidia
@needs_amd
def test_init_errors_and_noise(libraries, tmp_path):
    init = "import pynvml, amdsmi\ntry: pynvml.nvmlInit()\nexcept pynvml.NVMLError as e: print('nvidia', e.value)\n"
    init += "try: amdsmi.amdsmi_init()\nexcept amdsmi.AmdSmiException as e: print('amd', e.get_error_code())"
    assert run(libraries, simulators.load({"gpus": []}), init, tmp_path).stdout.split() == ["nvidia", "9", "amd", "34"]
    scripted = simulators.load({"gpus": [{"like": "h100"}], "init_error": 4})
    assert run(libraries, scripted, init, tmp_path).stdout.split() == ["nvidia", "4", "amd", "4"]
    one = simulators.load({"gpus": [{"like": "h100"}, {"like": "mi300x_spx"}], "init_error": {"amd": 34}})
    assert run(libraries, one, init, tmp_path).stdout.split() == ["amd", "34"]
    noisy = run(libraries, simulators.load({"gpus": [{"like": "mi300x_spx"}], "noise": True}), init, tmp_path)
    assert "Failed to open drm root directory" in noisy.stderr and "a line on stdout" in noisy.stdout


@pytest.mark.parametrize("path", sorted(simulators.SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_can_be_written(path, tmp_path):
    if path.stem != "defaults":
        simulators.variables(tmp_path, simulators.load(path.stem), tmp_path)
        assert (tmp_path / "nvidia.txt").exists() and (tmp_path / "amd.txt").exists()


def test_load_of_a_loaded_scenario_changes_nothing():
    scenario = simulators.load("two_and_two", origin_ns=5)
    assert simulators.load(scenario) == scenario


def test_a_misspelt_word_is_an_error():
    with pytest.raises(ValueError, match="utilization_percent"):
        simulators.load({"gpus": [{"like": "h100", "utilization_percent": {"gpu": 5}}]})


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="C compiler"):
        simulators.build(tmp_path)
