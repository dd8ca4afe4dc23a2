"""AMD's backend: sentinels, units, partitions, error codes, and how often AMD SMI is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuprof.telemetry import quantities
from gpuprof.telemetry.vendors import amd
from support import simulators
from support.backends import (
    AMD_FIELDS,
    COUNTED,
    METRICS,
    MHZ,
    check,
    many,
    promised,
)

# ---- what is not there, field by field


FULL_AMD = {
    "power": {"kind": "constant", "w": 500},
    "sensor": {"average_window_s": 0.1},
    "temperature_c": {"edge": 44},
    "throttle_bits": 0,
}
NO_DIES = {f"{METRICS}.current_gfxclks": "max"}  # else each die's clock is told apart
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


def test_amd_sentinel_that_comes_later_is_no_sample(ask):
    """65535 W at 20 s: a line from 500 W at 10 s."""
    answers = {f"{METRICS}.current_socket_power": "@line -64535 6503.5"}
    code = """
feed = sampler.Feed(gpus[0], 64); at(10); feed.choose_probes(); feed.take(lambda: 1); at(20); feed.take(lambda: 1)
say([str(feed.between(1, 1)["power_instant_w"]), feed.absent["power_instant_w"].status])
"""
    assert ask(many("mi300x_spx", [{"answers": answers}]), code) == ["[500.0, nan]", "unsupported"]


def test_amd_clock_that_sleeps_when_first_looked_at_is_sampled_once_it_is_awake(ask):
    """An idle Radeon shows 0 MHz: nothing to measure now, and no reason to do without the clock for the whole run."""
    clocks = {f"{METRICS}.current_gfxclk": "@line -1000 100", f"{METRICS}.current_uclk": "@line -900 90"}
    code = """
feed = sampler.Feed(gpus[0], 64); at(10); feed.choose_probes(); feed.take(lambda: 1); at(20); feed.take(lambda: 1)
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


def test_two_identical_mi200_boards_without_a_serial_are_two_packages(ask):
    """ "N/A" is no name that two boards could have in common."""
    scenario = many("mi250x", [{"product_serial": "N/A"}, {"product_serial": "N/A"}, {"product_serial": ""}])
    assert ask(scenario, "say([[g.power.shared_by, signals(g)['energy_j'][1]] for g in gpus])") == [[1, "ok"]] * 3


# ---- error codes


AMD_CODES = {
    2: "unsupported", 3: "unsupported", 40: "unsupported", 42: "unsupported", 43: "unsupported", 52: "unsupported",
    10: "no_permission", 31: "lost",
    8: "transient", 9: "transient", 11: "transient", 30: "transient", 32: "transient",
}  # fmt: skip


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


def test_amd_that_is_busy_when_first_looked_at_still_has_its_snapshot(ask):
    """One failed call says nothing about whether library and wrapper fit: neither yes nor no, for good."""
    scenario = many("mi300x_spx", [{"transient_every": every} for every in (2, 3, 4, 5)])
    found = ask(scenario, "say([signals(g) for g in gpus])")
    assert all(said["power_instant_w"][1] in ("ok", "transient") for said in found)
    # Where it was busy throughout, what is absent is absent for now only.
    assert all(said["energy_j"][1] in ("ok", "transient") for said in found)


# ---- how often the libraries are asked


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
