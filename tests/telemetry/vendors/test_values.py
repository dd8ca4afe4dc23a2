"""What a library says and what becomes of it: sentinels, units, and arbitrary answers."""

from __future__ import annotations

import ctypes
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof import throttling
from gpuprof.telemetry import energy, quantities, sampler
from gpuprof.telemetry.device import Absent
from gpuprof.telemetry.vendors import amd, amd_library, nvidia
from gpuprof.telemetry.vendors import linux as host
from support import simulators
from support.backends import METRICS, MHZ, check, many, promised

IN_CASES = settings(max_examples=100, deadline=None, derandomize=True)

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
    assert 0 <= nvidia._unified(value) < 2 ** len(throttling.REASONS)
    assert 0 <= amd_library.throttle(value) < 2 ** len(throttling.REASONS)
    joules = amd_library.joules(value)
    assert isinstance(joules, Absent) == (value in (0, 2**64 - 1))
    assert amd_library.generation(value) in range(1, 7) or isinstance(amd_library.generation(value), Absent)


@pytest.mark.parametrize(("mask", "reasons"), [
    (0x0, []), (0x1, ["idle"]), (0x2, ["clocks_setting"]), (0x4, ["power_cap"]), (0x8, ["hw_slowdown"]),
    (0x10, ["sync_boost"]), (0x20, ["thermal"]), (0x40, ["thermal"]), (0x60, ["thermal"]), (0x80, ["power_brake"]),
    (0x100, ["clocks_setting"]), (0x200, ["other"]), (0x8004, ["power_cap", "other"]),
])  # fmt: skip
def test_nvidia_throttle_bits(mask, reasons):
    assert throttling.reasons(int(nvidia._unified(mask))) == reasons


@pytest.mark.parametrize(("bit", "reason"), [
    (0, "power_cap"), (7, "power_cap"), (16, "current_limit"), (23, "current_limit"), (32, "thermal"),
    (45, "thermal"), (46, "hw_slowdown"), (47, "hw_slowdown"), (63, "other"),
])  # fmt: skip
def test_amd_throttle_bits(bit, reason):
    assert throttling.reasons(int(amd_library.throttle(1 << bit))) == [reason]
