"""Libraries, drivers and generations of hardware that do not fit each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support import simulators
from support.backends import METRICS, Libraries, check, many, promised

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
    assert said == ["ROCm brought this one", f"library 26.0.2, amdsmi of {rocm}", 1, 0]


def test_broken_amdsmi_of_rocm_gives_way_to_the_one_of_pip(ask, releases, tmp_path):
    rocm = rocm_with_amdsmi(releases, tmp_path / "rocm", "\nraise ImportError('half installed')\n")
    code = "import amdsmi; say([os.environ['OWN'] in amdsmi.__file__, amd.version, len(amd.devices)])"
    said = ask("mi300x_spx", code, ROCM_HOME=str(rocm), OWN=str(rocm))
    assert said == [False, "library 26.0.2, amdsmi of this Python", 1]
