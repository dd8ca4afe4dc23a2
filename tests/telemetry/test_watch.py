"""Telemetry of a run: phase by phase against scripted truth, through the real vendor bindings, in virtual time."""

from __future__ import annotations

import json

import pytest

from gpuprof.absent import Absent
from gpuprof.record.protocol import Protocol
from gpuprof.record.run import TelemetrySource
from gpuprof.telemetry.watch import Station
from support import simulators
from support.backends import needs_libraries
from support.phases import AMD, IDLE_W, NVIDIA, PHASES, POWER, PROTOCOL, STEPS, torch_says
from support.virtual import S


def truth_j(said: dict, phase: str, which: int = 0) -> float:
    start, end, _ = PHASES[phase]
    return simulators.truth_energy_j(said["gpus"][which], round(start * S), round(end * S))


@needs_libraries
@pytest.mark.parametrize("gpu", [NVIDIA, AMD, {**AMD, "counter": {"tick_s": 0.02}}], ids=["nvidia", "amd", "amd 20 ms"])
def test_each_phase_has_its_energy_within_the_error_that_is_claimed(watched, gpu):
    said = watched(gpu)
    result = said["result"]
    tick_s = said["gpus"][0]["counter"]["tick_s"]
    assert result["tick_s"] == pytest.approx(tick_s, abs=0.002)
    assert set(result["energy"]) == {"cold", "warmup", "throughput"}
    assert result["energy_absent"] == {}
    for phase, found in result["energy"].items():
        start, end, watts = PHASES[phase]
        assert found["method"] == "counter"
        assert found["seconds"] == pytest.approx(end - start)
        assert truth_j(said, phase) == pytest.approx(watts * (end - start))
        assert abs(found["energy_j"] - truth_j(said, phase)) < 3 * found["error_j"]
        assert found["error_j"] < (0.003 if phase == "throughput" else 0.05) * found["energy_j"]
        above = (watts - IDLE_W) * (end - start)
        assert abs(found["above_idle_j"] - above) < 3 * found["above_idle_error_j"]
    assert abs(result["idle_power_w"] - IDLE_W) < 3 * result["idle_power_error_w"]
    assert result["idle_power_error_w"] < 0.01 * IDLE_W
    # The second estimator: right where power is constant, and only where there are samples enough.
    main = result["energy"]["throughput"]
    assert main["trapezoid_j"] == pytest.approx(truth_j(said, "throughput"), rel=0.02)
    assert main["disagreement"] == pytest.approx(main["trapezoid_j"] / main["energy_j"] - 1)
    assert result["energy"]["cold"]["trapezoid_j"] is None
    assert "power samples" in result["energy"]["cold"]["absent"]["trapezoid_j"]
    assert (result["samples"], result["achieved_hz"]) == (50, pytest.approx(10, rel=0.03))


@needs_libraries
def test_what_the_sensors_said_in_the_window(watched):
    said = watched({**NVIDIA, "temperature_c": {"core": [20, 0.25], "memory": 70}, "power_limit_w": {"current": 700}})
    result = said["result"]
    window = result["window"]
    assert window["power_w"] == window["power_instant_w"]
    assert window["power_w"]["median"] == pytest.approx(620)
    temperature = window["temperature_c"]
    assert (temperature["start"], temperature["end"], temperature["max"]) == (47, 48, 48)
    assert window["core_clock_hz"]["mean"] == pytest.approx(1.755e9)
    assert window["gpu_utilization_pct"]["max"] == 97
    assert not set(window) & set(result["window_absent"])
    assert result["window_absent"]["temperature_hotspot_c"]["status"] == "unsupported"
    source = TelemetrySource.model_validate(said["source"])
    assert (source.vendor, source.device, source.attributed_by, source.simulated) == (
        "nvidia",
        "nvidia:0",
        "UUID",
        True,
    )
    assert (source.power_signal, source.temperature_signal) == ("power_instant_w", "temperature_core_c")
    assert source.scope == "board"
    assert said["simulated"] is True
    assert said["series"]["telemetry/t_s"] == said["series"]["telemetry/power_instant_w"] > 100
    assert "telemetry/temperature_hotspot_c" not in said["series"]


@needs_libraries
def test_facts_before_and_after(watched):
    said = watched(NVIDIA)["result"]
    for when in ("before", "after"):
        assert said[when]["power_limit_w"]["value"] == 700
        assert said[when]["processes"]["value"] == []
        assert said[when]["fan_pct"]["status"] == "unsupported"
    assert said["checks"] == ["throttled: power cap in 12% of the window"]


@needs_libraries
@pytest.mark.parametrize(
    ("gpu", "share"), [(NVIDIA, 0.12), ({**AMD, "throttle_bits": None}, 0.08)], ids=["nvidia", "amd"]
)
def test_throttling_is_counted_over_the_window(watched, gpu, share):
    """Where the device's bits say so too, or it has none, as an MI300 whose gpu_metrics are of revision 1.6."""
    result = watched(gpu)["result"]
    assert result["throttled_share"]["power_cap"] == pytest.approx(share, rel=0.02)
    assert result["throttled_share"]["none"] == pytest.approx(1 - share, rel=0.02)
    assert result["throttle_unsampled"] == {}


@needs_libraries
def test_a_reason_that_is_counted_and_never_sampled_is_told_and_no_throttling(watched):
    """As power capping is on an RTX 2080 SUPER far below its limit."""
    gpu = {**NVIDIA, "throttle_bits": 0, "throttle_share": {"power": 0.6}}
    result = watched(gpu)["result"]
    assert result["throttled_share"] == {"none": 1.0}
    assert result["throttle_unsampled"] == {"power_cap": pytest.approx(0.6, rel=0.02)}
    assert result["checks"] == []


@needs_libraries
def test_without_counters_of_throttling_the_samples_tell(watched):
    result = watched({**NVIDIA, "throttle_share": None, "throttle_bits": 0x20})["result"]
    assert result["throttled_share"] == {"thermal": 1.0}
    assert "throttled: thermal in 100% of the window" in result["checks"]


@needs_libraries
def test_the_window_is_as_long_as_the_asked_error_needs(watched):
    near_idle = [[t, w if w == IDLE_W else 81 + (w > 600)] for t, w in STEPS]
    said = watched({**NVIDIA, "power": {"kind": "steps", "steps": near_idle}}, energy_error=0.0005)
    # 5 s would leave more than that open.
    assert 5 < said["answers"]["throughput"] <= 30
    assert all(answer is None for name, answer in said["answers"].items() if name != "throughput")
    assert watched(NVIDIA, energy_error=0.3)["answers"]["throughput"] is None
    impossible = watched(NVIDIA, energy_error=1e-5)
    assert impossible["answers"]["throughput"] == 30.0
    assert any(check.startswith("energy error is") for check in impossible["result"]["checks"])


@needs_libraries
def test_what_makes_a_repeat_doubtful(watched):
    gpu = {
        **NVIDIA, "processes": [{"pid": 4242, "memory_bytes": 1 << 30}], "power_limit_w": {"current": 500},
        "throttle_share": {"power": 0.5, "hw_thermal": 0.005}, "throttle_bits": 0x44,
    }  # fmt: skip
    result = watched(gpu, stall_s=2.5)["result"]
    throttled, slow, before, after, limit = result["checks"]
    assert throttled == "throttled: power cap in 50% of the window"
    assert "telemetry was sampled at 5." in slow and "instead of 10 Hz" in slow
    assert before == "other processes used the device before the measurement: 1 (PID 4242)"
    assert after == "other processes used the device after the measurement: 1 (PID 4242)"
    assert limit == "the power limit is 500 W, below the default of 700 W"
    assert result["missed"] == 0  # the sampling thread was asked to pause; the rate tells of it


@needs_libraries
def test_a_load_in_step_with_the_sensor_makes_the_estimators_disagree_and_a_check_says_so(watched):
    wave = {"kind": "square", "low_w": 250, "high_w": 650, "period_s": 0.1, "duty": 0.5}
    said = watched({**NVIDIA, "power": wave})
    main = said["result"]["energy"]["throughput"]
    assert main["energy_j"] == pytest.approx(truth_j(said, "throughput"), rel=0.01)
    assert abs(main["disagreement"]) > 0.4
    assert any("integrated power differs from the energy counter" in check for check in said["result"]["checks"])


@needs_libraries
def test_where_counter_and_samples_are_a_factor_apart_there_is_no_energy(watched):
    """Here the samples are wrong, of a load in step with the sensor. An absurd counter looks the same."""
    wave = {"kind": "square", "low_w": 100, "high_w": 650, "period_s": 0.1, "duty": 0.5}
    result = watched({**NVIDIA, "power": wave})["result"]
    assert "throughput" not in result["energy"]
    assert "calibrate-telemetry tells which" in result["energy_absent"]["throughput"]


@needs_libraries
def test_a_part_of_a_package_is_told_the_packages_energy_as_such(watched):
    gpus = simulators.load("mi300x_cpx")["gpus"]
    gpus[0]["power"] = POWER
    said = watched(*gpus, which=3)
    result = said["result"]
    assert said["source"]["device"] == "amd:3"
    assert said["source"]["shared_by"] == 8
    assert result["energy"]["throughput"]["energy_j"] == pytest.approx(truth_j(said, "throughput"), rel=0.002)
    assert any(check == "power and energy are for the socket, shared by 8 devices" for check in result["checks"])


@needs_libraries
def test_a_mig_instance_in_a_container_is_told_the_whole_gpus_energy_as_such(watched):
    mig = [{"uuid": "MIG-3a000000-1111-2222-3333-444455556666", "name": "MIG 3g.40gb", "memory_bytes": 1 << 35}]
    said = watched({**NVIDIA, "like": "h100_mig", "mig": mig, "throttle_bits": 0})
    source = TelemetrySource.model_validate(said["source"])
    shared = "board, shared with an unknown number of MIG instances that cannot be seen from here"
    assert source.shared_by is None
    assert source.scope == source.absent["shared_by"] == shared
    assert f"power and energy are for the {shared}" in said["result"]["checks"]


@needs_libraries
def test_a_worker_on_another_device_gets_no_telemetry_of_this_one(watched):
    other = torch_says(simulators.load("two_and_two")["gpus"][1])
    said = watched(NVIDIA, worker=other)
    assert said["result"].startswith("the process did not use the device of this run: ")
    assert "0b1b2c3d-1111-2222-3333-444455556666" in said["result"]
    assert all(answer is None for answer in said["answers"].values())
    cpu = {"kind": "cpu", "vendor": None, "name": "CPU", "index": None, "uuid": None, "pci": None}
    assert watched(NVIDIA, worker=cpu)["result"].startswith("the process did not use the device of this run")


@needs_libraries
@pytest.mark.parametrize("gpu", [NVIDIA, AMD], ids=["nvidia", "amd"])
def test_a_device_that_is_lost_in_the_middle(watched, gpu):
    result = watched({**gpu, "lost_at_s": 112.05})["result"]
    assert set(result["energy"]) == {"cold", "warmup"}
    assert "(NVML error 15)" in result["energy_absent"]["throughput"] or "gone" in result["energy_absent"]["throughput"]
    assert any(check.startswith("the device was lost: ") for check in result["checks"])
    assert result["window"]["power_w"]["samples"] in (19, 20)  # what was seen until then, less what the sensor lags
    assert result["before"]["power_limit_w"]["status"] == "ok"


@needs_libraries
def test_a_device_that_was_lost_before_it_began(watched):
    result = watched({**NVIDIA, "lost_at_s": 100.2})["result"]
    assert result["energy"] == {}
    assert set(result["energy_absent"]) == {"cold", "warmup", "throughput"}
    assert result["window"] == {}
    assert {reading["status"] for reading in result["window_absent"].values()} == {"lost"}
    assert any(check.startswith("the device was lost: ") for check in result["checks"])


@needs_libraries
def test_a_stuck_counter_leaves_integrated_power_with_its_wider_error(watched):
    said = watched({**NVIDIA, "counter": {"stuck": True}})
    result = said["result"]
    main = result["energy"]["throughput"]
    assert main["method"] == "power_trapezoid"
    assert abs(main["energy_j"] - truth_j(said, "throughput")) < main["error_j"]
    assert main["error_j"] >= 0.05 * main["energy_j"]
    assert result["tick_s"] is None
    assert "did not move for 1.5 s" in result["absent"]["tick_s"]
    assert "did not move" in said["source"]["absent"]["tick_s"]
    assert "did not move" in result["energy_absent"]["cold"]
    assert abs(result["idle_power_w"] - IDLE_W) < 1
    assert main["above_idle_j"] == pytest.approx(540 * 5, rel=0.02)
    assert any("no usable energy counter" in check for check in result["checks"])


@needs_libraries
def test_no_counter_asks_for_as_long_as_integrating_takes(watched):
    gpu = {"like": "rtx3090", "counter": None, "power": POWER}
    said = watched(gpu, measure_min_s=1.0)
    assert 1 < said["answers"]["throughput"] < 5
    assert said["result"]["energy"]["throughput"]["method"] == "power_trapezoid"
    assert watched(gpu)["answers"]["throughput"] is None


@needs_libraries
@pytest.mark.parametrize("which", [0, 1], ids=["nvidia", "amd"])
def test_a_device_that_says_nothing_has_a_reason_for_everything(watched, which):
    gpus = simulators.load("all_absent")["gpus"]
    said = watched(*gpus, which=which)
    result = said["result"]
    assert (result["energy"], result["window"]) == ({}, {})
    assert {"power_w", "temperature_c", "core_clock_hz"} <= set(result["window_absent"])
    assert all(reading["reason"] for reading in result["window_absent"].values())
    assert all(result["energy_absent"].values())
    for name in ("tick_s", "idle_power_w", "idle_power_error_w", "throttled_share"):
        assert result[name] is None
        assert result["absent"][name]
    TelemetrySource.model_validate(said["source"])
    assert said["answers"]["throughput"] is None


@needs_libraries
@pytest.mark.parametrize("offset_j", [10_000.0, 1e6])
def test_a_counter_reset_inside_the_window_never_becomes_a_negative_energy(watched, offset_j):
    said = watched({**NVIDIA, "counter": {"tick_s": 0.1, "offset_j": offset_j, "reset_at_s": 112.0}})
    result = said["result"]
    main = result["energy"].get("throughput")
    assert main is None or main["method"] == "power_trapezoid"
    assert main is None or abs(main["energy_j"] - truth_j(said, "throughput")) < main["error_j"]
    assert "the energy counter fell by" in json.dumps(result)
    assert result["energy"]["warmup"]["method"] == "counter"  # what was measured before stays


@needs_libraries
@pytest.mark.parametrize(("gpu", "every"), [(NVIDIA, 2), (NVIDIA, 3), (AMD, 2)], ids=["nvidia 2", "nvidia 3", "amd 2"])
def test_errors_that_pass_cost_samples_and_not_the_measurement(watched, gpu, every):
    said = watched({**gpu, "transient_every": every})
    main = said["result"]["energy"]["throughput"]
    assert main["method"] == "counter"
    assert abs(main["energy_j"] - truth_j(said, "throughput")) < 3 * main["error_j"]
    assert said["result"]["window"]["power_w"]["mean"] == pytest.approx(620, rel=0.02)


def test_telemetry_that_was_switched_off():
    gpu = torch_says(simulators.load("mi300x_spx")["gpus"][0])
    with Station([], gpu) as station:
        off = Absent("telemetry was switched off")
        assert station.match == station.source() == off
        assert station.repeat(Protocol.model_validate(PROTOCOL)).result([]) == off
        assert not station.simulated
