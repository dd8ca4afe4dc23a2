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


# ---- throttle bits that a device does not deserve

THERMAL, POWER_CAP = ([name] for name in ("thermal", "power_cap"))
REASONS = """
from gpuprof import throttling
say([throttling.reasons(int(signals(g)["throttle"][0])) for g in gpus])
"""


def test_a_hotspot_bit_that_is_always_set_counts_near_the_limit_alone(ask):
    """ROCm/rocm-systems#11781: RDNA3 and RDNA4 show it at 37 degrees. Of other generations it means what it says."""
    always = {"vendor": "amd", "target_graphics_version": "gfx1100", "throttle_bits": 1 << 36}
    by_id = {**always, "target_graphics_version": None}
    cases = [
        (always | {"temperature_c": {"hotspot": 50, "hotspot_limit": 110}}, []),
        (always | {"temperature_c": {"hotspot": 99, "hotspot_limit": 110}}, []),
        (always | {"temperature_c": {"hotspot": 101, "hotspot_limit": 110}}, THERMAL),
        (always | {"temperature_c": {"hotspot": 105}}, []),  # nothing bears it out
        (always | {"temperature_c": {"hotspot_limit": 110}}, []),
        (always | {"temperature_c": {"hotspot": 50}, "throttle_bits": 1 << 36 | 1 << 33}, THERMAL),  # and the edge's
        (by_id | {"device_id": 0x744C, "temperature_c": {"hotspot": 50}}, []),
        (by_id | {"device_id": 0x7551, "temperature_c": {"hotspot": 50}}, []),
        (always | {"target_graphics_version": "gfx1030", "temperature_c": {"hotspot": 50}}, THERMAL),
        (by_id | {"device_id": 0x740F, "temperature_c": {"hotspot": 50}}, THERMAL),
    ]
    gpus = [gpu | {"pci": f"0000:{16 + i:02x}:00.0"} for i, (gpu, _) in enumerate(cases)]
    assert ask({"gpus": gpus}, REASONS) == [wanted for _, wanted in cases]


def test_a_power_bit_of_a_card_far_below_its_limit_is_none(ask):
    """MangoHud#748: an RX 6700 XT shows them at low load."""
    cases = [(6, 211, []), (100, 211, []), (150, 211, POWER_CAP), (6, None, POWER_CAP)]
    scenario = many("real/rx6700xt_rocm612", [
        {"throttle_bits": 1, "power": {"kind": "shown", "instant_w": None, "average_w": watts},
         "power_limit_w": limit and {"current": limit}}
        for watts, limit, _ in cases
    ])  # fmt: skip
    assert ask(scenario, REASONS) == [wanted for *_, wanted in cases]


# ---- readings that stand still

FROZEN = """
feed = sampler.Feed(gpus[0], 64); feed.choose_probes()
joules = []
for i in range(5): at(11 + i / 10); feed.take(lambda: 1); joules.append(shown(gpus[0].energy_j()))
columns = feed.between(1, 1)
say([[value == value for value in columns["power_average_w"]], shown(feed.absent.get("power_average_w")), joules])
"""


@pytest.mark.parametrize("like", ["mi250x", "rx6900xt"])
def test_a_snapshot_that_comes_again_is_no_reading(ask, like):
    """rocm_smi_lib#180, amdsmi#22: one process gets its first snapshot for ever, and an energy is made of it."""
    stuck = {"power": {"kind": "constant", "w": 200}, "snapshot_stuck": True}
    moving = {"power": {"kind": "constant", "w": 200}, "temperature_c": None, "utilisation_percent": None}
    samples, absent, joules = ask(many(like, [stuck]), FROZEN)
    assert samples == [False] * 5
    assert absent[0] == "transient" and "its clock stands still" in absent[1]
    if like == "mi250x":
        assert joules[0] > 0 and all(each == absent for each in joules[1:])
    samples, absent, joules = ask(many(like, [moving]), FROZEN)
    assert all(samples) and absent is None


def test_the_librarys_own_cache_is_no_snapshot_that_comes_again(ask):
    """Within a millisecond it gives the same again, and the kernel within a tick of its clock."""
    code = """
probe = gpus[0].probes()[0]
first = probe.call()
found = []
for ms in (1, 10, 20, 21):
    at(10.3 + ms / 1000)
    watts = probe.call()[0]
    found.append(watts.status if isinstance(watts, NoReading) else "ok")
say(found)
"""
    said = ask(many("mi250x", [{"power": {"kind": "constant", "w": 200}, "snapshot_stuck": True}]), code)
    assert said == ["ok", "ok", "ok", "transient"]


def test_a_run_whose_snapshot_stands_still_has_no_energy(watched):
    gpu = {"like": "mi250x", "power": {"kind": "constant", "w": 200}, "snapshot_stuck": True}
    result = watched(gpu, energy_error=None)["result"]
    assert "throughput" not in result["energy"]
    assert "its clock stands still" in result["energy_absent"]["throughput"]


# ---- packages

DIE = {
    "vendor": "amd", "name": "0x7408", "device_id": 0x7408, "sensor": {"update_s": 0.1, "average_window_s": 0.1},
    "counter": None,
}  # fmt: skip
SHARED = "say([g.power.shared_by for g in gpus])"


def dies(*changes: dict) -> dict:
    return {"gpus": [DIE | {"pci": f"0000:{16 + i:02x}:00.0"} | change for i, change in enumerate(changes)]}


def test_boards_of_one_die_are_never_one_package(ask):
    """An MI210 is called MI2xx as an MI250 is; some tell a board's serial of 0, and real ones were seen twice."""
    for serial in ("0", "00000000", "PCB051234-0042"):
        both = {"device_id": 0x740F, "name": "AMD Instinct MI210", "product_serial": serial}
        assert ask(dies(both, both), SHARED) == [1, 1]
        assert ask(dies(both, both | {"power": {"kind": "constant", "w": 0}}), SHARED) == [1, 1]


def test_dies_that_both_report_power_are_two_boards(ask):
    both = {"product_serial": "PCB051234-0042"}
    assert ask(dies(both, both), SHARED) == [1, 1]


def test_a_second_die_says_0_w_or_nothing(ask):
    """Of two boards each, with a serial in common, with 0 for a serial, or with none."""
    code = f"{SHARED[:-2]}] + [signals(g)['power_average_w'] for g in gpus])"
    for serial in ("PCB051234-0042", "0", ""):
        for second in ({"kind": "constant", "w": 0}, None):
            first, other = {"product_serial": serial}, {"product_serial": serial, "power": second}
            *shared, one, two, three, four = ask(dies(first, other, first, other), code)
            assert shared == [2, 2, 2, 2], (serial, second)
            assert one[0] == three[0] == 100
            assert "amd:0 reports power" in two[2] and "amd:2 reports power" in four[2]


# ---- what a library answers where there is nothing


def test_nobody_counts_errors_where_no_block_has_ecc(ask):
    """The library says 0 corrected of a card without RAS, as of one that had none."""
    zero = {f"amdsmi_get_gpu_total_ecc_count.{kind}_count": 0 for kind in ("correctable", "uncorrectable")}
    changes = [{"answers": zero | {"amdsmi_get_gpu_ecc_enabled.value": 0}}, {"answers": zero, "ecc": None}]
    off, none = ask(many("mi300x_spx", changes), "say([plain(g.facts()) for g in gpus])")
    assert (off["ecc_enabled"][0], none["ecc_enabled"][0]) == (False, None)
    for said in (off, none):
        for key in ("ecc_corrected", "ecc_uncorrected"):
            assert said[key][:2] == [None, "unsupported"] and said[key][2]


def test_variables_of_the_library_are_set_while_it_opens_and_not_inherited(ask):
    code = """
names = "RSMI_MUTEX_THREAD_ONLY", "AMDSMI_GPU_METRICS_CACHE_MS"
before = {name: os.environ.get(name) for name in names}
seen = {}
real = telemetry.amd.find_wrapper
def spied():
    seen.update({name: os.environ.get(name) for name in names})
    return real()
telemetry.amd.find_wrapper = spied
telemetry.amd.open_backend()
say([before, seen, {name: os.environ.get(name) for name in names}])
"""
    for set_before in ({}, {"AMDSMI_GPU_METRICS_CACHE_MS": "100"}):
        before, seen, after = ask("mi300x_spx", code, **set_before)
        assert seen == {"RSMI_MUTEX_THREAD_ONLY": "1", "AMDSMI_GPU_METRICS_CACHE_MS": "0"}
        assert before == after == {"RSMI_MUTEX_THREAD_ONLY": None, "AMDSMI_GPU_METRICS_CACHE_MS": None} | set_before


def test_a_card_without_a_counter_has_its_energy_from_power_in_a_short_window(watched):
    """Its average is no mean of a whole second: that would need 10 s, and --quick measures for 4 at most."""
    gpu = {
        "like": "real/rx7900xtx", "power": {"kind": "constant", "w": 300},
        "sensor": {"update_s": 0.1, "average_window_s": 0.05},
    }  # fmt: skip
    said = watched(gpu, energy_error=None, measure_min_s=1.0, measure_max_s=4.0)
    assert said["answers"]["throughput"] == pytest.approx(2.2)
    result = said["result"]
    found = result["energy"]["throughput"]
    assert (found["method"], found["seconds"]) == ("power_trapezoid", pytest.approx(5))
    assert found["energy_j"] == pytest.approx(1500, rel=0.01)


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
