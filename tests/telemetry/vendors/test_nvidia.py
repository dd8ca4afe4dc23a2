"""NVIDIA's backend: generations and drivers, error codes, sentinels, and how often NVML is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpuprof import throttling
from gpuprof.telemetry.vendors import nvml
from support import simulators
from support.backends import (
    COUNTED,
    NVML_FIELDS,
    check,
    many,
    promised,
)

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


SUPERCHIP = {"kind": "shown", "instant_w": 1400, "average_w": 1400, "module_w": 2900}  # GB300: k8s-test-infra#676


@pytest.mark.parametrize(("power", "counter", "energy"), [
    ({"counted_w": 2900}, {}, "module, CPU included"),
    ({"counted_w": 1400}, {}, "board"),
    ({"counted_w": 2000}, {}, "board or module (the counter draws 2000 W)"),
    ({"counted_w": 2900}, None, "board"),
    ({"counted_w": 2900, "module_w": 1500}, {}, "board"),  # too near to tell, and no module to speak of
    ({"counted_w": 2900, "module_w": None}, {}, "board"),
])  # fmt: skip
def test_energy_of_a_superchip_covers_what_its_counter_draws(watched, power, counter, energy):
    gpu = {"like": "h100", "processes": [], "throttle_bits": 0, "throttle_share": None, "power": SUPERCHIP | power}
    said = watched(gpu | {"counter": counter}, energy_error=None)
    assert said["source"]["scope"] == "board"
    assert said["source"]["energy_scope"].startswith(energy)
    checks = [check for check in said["result"]["checks"] if "energy counter" not in check]
    assert checks == ([] if energy == "board" else [f"energy covers the {energy}, power the board"])


def test_energy_of_a_superchip_whose_counter_stands_still_may_cover_either(ask):
    """As it does for good where the simulated clock stands."""
    gpu = {"power": SUPERCHIP | {"counted_w": 2900}}
    said = ask(many("h100", [gpu]), "say([gpus[0].power.scope, gpus[0].power.energy_covers])")
    assert said == ["board", "board or module (the energy counter did not move)"]


def test_mig_has_no_utilisation_and_shares_its_power(ask):
    said = ask("h100_mig", "g = gpus[0]; say([g.power.scope, g.power.shared_by, sorted(g.uuids), signals(g)])")
    scope, shared, uuids, signals = said
    assert (scope, shared) == ("board, shared by 2 MIG instances", 2)
    assert [uuid[:8] for uuid in uuids] == ["0a1b2c3d", "1a000000", "3a000000"]
    assert signals["gpu_utilization_pct"][:2] == [None, "unsupported"] and signals["power_instant_w"][0] == 650


IN_A_CONTAINER = {
    "like": "h100_mig", "errors": {"nvmlDeviceGetMemoryInfo": 4, "nvmlDeviceGetMemoryInfo_v2": 4},
    "mig": [{"uuid": "MIG-3a000000-1111-2222-3333-444455556666", "name": "MIG 3g.40gb", "memory_bytes": 1 << 35}],
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, {"errors": {}}, {"mig": [*IN_A_CONTAINER["mig"], *IN_A_CONTAINER["mig"]]}])
def test_mig_in_a_container_is_shared_with_instances_that_it_does_not_see(ask, change):
    """A container sees the instances that it was given; none of the others, and not the GPU's memory."""
    code = "g = gpus[0]; say([g.power.scope, g.power.shared_by, plain(g.facts())['memory_used_bytes'][1]])"
    scope, shared, memory = ask({"gpus": [IN_A_CONTAINER | change]}, code)
    assert scope == "board, shared with an unknown number of MIG instances that cannot be seen from here"
    assert shared is None
    assert memory == ("ok" if change == {"errors": {}} else "no_permission")


def test_gpu_process_whose_memory_is_not_told(ask):
    scenario = many("h100", [{"answers": {"process.0.memory": "max"}}])
    assert ask(scenario, "say(plain(gpus[0].facts())['processes'])")[0] == [{"pid": 4242, "memory_bytes": None}]


# ---- what is not there, field by field


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
def known(gpu):
    feed = sampler.Feed(gpu, 64)
    feed.choose_probes()
    for i in range(10): at(10.4 + i / 10); feed.take(lambda: 1)
    return [sum(value == value for value in feed.between(1, 1)[key]) for key in
            ("power_instant_w", "power_average_w", "energy_j", "temperature_memory_c")]
say([known(gpu) for gpu in gpus])
"""
    for index, known in enumerate(ask(many("h100", changes), code)):
        assert known == [0 if i == index else times for i, times in enumerate((10, 10, 1, 10))]


@pytest.mark.parametrize(("mask", "reasons"), [
    (0x0, []), (0x1, ["idle"]), (0x2, ["clocks_setting"]), (0x4, ["power_cap"]), (0x8, ["hw_slowdown"]),
    (0x10, ["sync_boost"]), (0x20, ["thermal"]), (0x40, ["thermal"]), (0x60, ["thermal"]), (0x80, ["power_brake"]),
    (0x100, ["clocks_setting"]), (0x200, ["other"]), (0x8004, ["power_cap", "other"]),
])  # fmt: skip
def test_nvidia_throttle_bits(mask, reasons):
    assert throttling.reasons(int(nvml.unified(mask))) == reasons


# ---- error codes


NVML_CODES = {
    3: "unsupported", 13: "unsupported", 25: "unsupported", 4: "no_permission", 15: "lost",
    16: "lost", 1: "transient", 10: "transient", 18: "transient", 999: "transient",
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


def test_a_gpu_without_a_fan_says_so_in_nvmls_way(ask):
    """As an H200 does: for any other call the same code is a fault that may pass."""
    errors = {"errors": {"nvmlDeviceGetFanSpeed_v2": 2, "nvmlDeviceGetCurrPcieLinkWidth": 2}}
    facts = ask(many("h100", [errors]), "say(plain(gpus[0].facts()))")
    assert facts["fan_pct"][:2] == [None, "unsupported"]
    assert facts["pcie_width"][:2] == [None, "transient"]


def test_nvml_fields_fail_one_by_one_while_the_call_succeeds(ask):
    codes = {code: status for code, status in NVML_CODES.items() if status != "lost"}
    scenario = many("h100", [{"errors": {"field.186": code, "field.82": code}} for code in codes])
    for (code, status), said in zip(codes.items(), ask(scenario, "say([signals(g) for g in gpus])"), strict=True):
        assert said["power_instant_w"][:2] == said["temperature_memory_c"][:2] == [None, status], code
        assert said["power_average_w"][0] == 300 and said["energy_j"][1] == "ok"


@pytest.mark.parametrize("code", [2, 3, 4, 6, 13, 25, 999])
@pytest.mark.parametrize("averaged", [True, False])
def test_power_is_that_of_the_older_call_where_neither_field_has_it(ask, code, averaged):
    """Whatever the fields' own error is, from the first look on; and the run integrates the signal that is there."""
    errors = {"errors": {"field.185": code, "field.186": code}, "power": {"kind": "constant", "w": 300}}
    errors |= {"architecture": 9 if averaged else 6, "sensor": {"usage_is_average": averaged}}
    said = ask(many("h100", [errors]), """
feed = sampler.Feed(gpus[0], 64)
first = feed.choose_probes()
offered = [key for key in ("power_instant_w", "power_average_w") if key not in feed.absent]
for i in range(10): at(10.4 + i / 10); feed.take(lambda: 1)
columns = feed.between(1, 1)
say([offered, shown(feed.absent.get("power_instant_w")),
     [[w for w in columns[key] if w == w] for key in ("power_instant_w", "power_average_w")],
     first.get("temperature_memory_c")])
""")  # fmt: skip
    there = "power_average_w" if averaged else "power_instant_w"
    assert said[0] == [there]
    assert averaged == (said[1] == ["unsupported", "this driver has only one kind of power reading"])
    assert said[2] == [[], [300] * 10][:: 1 if averaged else -1]
    assert said[3] == 74


def test_power_is_that_of_the_older_call_from_the_moment_on_at_which_the_fields_fail(ask):
    errors = {"errors": {"field.185": 999, "field.186": 999}, "errors_from_s": {"field.185": 10.85, "field.186": 10.85},
              "power": {"kind": "constant", "w": 300}}  # fmt: skip
    said = ask(many("h100", [errors]), """
feed = sampler.Feed(gpus[0], 64)
feed.choose_probes()
for i in range(10): at(10.4 + i / 10); feed.take(lambda: 1)
columns = feed.between(1, 1)
say([[sum(w == w for w in columns[key]) for key in ("power_instant_w", "power_average_w")],
     shown(feed.absent["power_instant_w"])[0]])
""")  # fmt: skip
    assert said == [[5, 10], "transient"]


# ---- no GPU at all: the reason, and what helps


NO_NVML = "say([shown(nvidia.fault), nvidia.fix, list(nvidia.unusable)])"


def _compiled(folder: Path, source: str, *arguments: object) -> None:
    (folder / "source.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", folder / "source.c", *arguments], check=True, cwd=folder)


def test_a_driver_library_that_lacks_a_dependency_is_not_told_as_missing(ask, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    _compiled(folder, "int f(void) { return 0; }", "-Wl,-soname,libgone.so.7", "-o", "libgone.so.7")
    _compiled(folder, "int f(void); int g(void) { return f(); }", "-o", nvml.SONAME, folder / "libgone.so.7")
    (folder / "libgone.so.7").unlink()
    (status, reason), fix, _ = ask({"gpus": []}, NO_NVML, LD_LIBRARY_PATH=str(folder))
    assert (status, reason) == ("unsupported", "libnvidia-ml.so.1 is there, but not libgone.so.7, which it needs")
    assert "install what has libgone.so.7" in fix


def test_a_driver_library_of_no_bytes_is_told_as_such(ask, tmp_path):
    """As a placeholder is over which a container's runtime mounted no driver."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / nvml.SONAME).touch()
    (status, reason), fix, _ = ask({"gpus": []}, NO_NVML, LD_LIBRARY_PATH=str(tmp_path / "empty"))
    assert status == "unsupported" and "file too short" in reason and fix.startswith("replace it")


def test_no_library_of_the_driver_at_all():
    reason, fix = nvml.unloadable("libnothing-of-that-name.so.1")
    assert reason == "libnothing-of-that-name.so.1 was not found: no NVIDIA driver here"
    assert "install NVIDIA's driver" in fix


@pytest.mark.parametrize(("there", "says", "helps"), [
    ([], "the NVIDIA driver is not loaded", "install NVIDIA's driver"),
    (["sys/module/nvidia"], "its device files are not here: a container without a GPU", "--gpus all"),
    (["sys/module/nvidia", "dev/nvidiactl"], "the NVIDIA driver is not loaded", "install NVIDIA's driver"),
])  # fmt: skip
def test_a_container_without_the_device_is_told_from_a_machine_without_the_driver(tmp_path, there, says, helps):
    for path in there:
        (tmp_path / path).mkdir(parents=True)
    reason, fix = nvml.not_loaded(tmp_path)
    assert says in reason and helps in fix


@pytest.mark.parametrize(("code", "status", "says", "helps"), [
    (4, "no_permission", "no permission to talk to the NVIDIA driver", "/dev/nvidiactl"),
    (18, "transient", "kernel module and library differ", "restart the machine"),
    (999, "transient", "NVML error 999", "install NVIDIA's driver"),
])  # fmt: skip
def test_a_driver_that_does_not_answer(ask, code, status, says, helps):
    said = ask({"gpus": [{"like": "h100"}], "init_error": code}, NO_NVML)
    assert said[0][0] == status and says in said[0][1] and helps in said[1]


@pytest.mark.parametrize(("code", "status", "says", "helps"), [
    (15, "lost", "the GPU is lost", "restart the machine; `sudo dmesg`"),
    (16, "lost", "the GPU needs a reset", "restart the machine"),
    (4, "no_permission", "no permission", "/dev/nvidia0"),
])  # fmt: skip
def test_a_machine_none_of_whose_gpus_can_be_opened_says_why(ask, code, status, says, helps):
    errors = {"errors": {"nvmlDeviceGetHandleByIndex_v2": code}}
    fault, fix, unusable = ask(many("h100", [errors, errors]), NO_NVML)
    assert fault[0] == status and fault[1].startswith("NVML can open none of 2 GPUs: ") and says in fault[1]
    assert helps in fix
    assert [gpu[:7] for gpu in unusable] == ["GPU 0: ", "GPU 1: "]
    one = ask(many("h100", [errors, {}]), NO_NVML)
    assert one[0] is None and len(one[2]) == 1


def test_a_container_that_was_given_no_gpu_lists_none(ask):
    said = ask({"gpus": [], "init_error": {"nvidia": 0}}, NO_NVML)
    assert said == [["unsupported", "NVML lists no GPU"], nvml.INSTALL, []]


# ---- how often the libraries are asked


def test_ten_samples_of_an_nvidia_gpu_make_few_calls(ask, tmp_path):
    (tmp_path / "names").write_text((simulators.HERE / "nvml_sim.c").read_text())
    made = ask("h100", COUNTED, SOURCES=str(tmp_path / "names"))
    assert made.pop(NVML_FIELDS) == 11  # power each time; the energy counter, which takes an H200 3 ms, once
    assert set(made) == {
        "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons",
    }  # fmt: skip
    assert sum(made.values()) <= 10  # these share the samples out among them
    assert not any(word in name for name in made for word in ("Process", "Fan", "Pcie", "Ecc", "Memory"))
