"""What every backend answers: the real pynvml and amdsmi over simulated libraries; faults, units, silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import throttling
from gpuprof.telemetry import energy, sampler
from gpuprof.telemetry.device import NoReading
from gpuprof.telemetry.vendors import amd, amd_library, amd_numbers, nvidia, nvml
from gpuprof.telemetry.vendors import linux as host
from support import simulators
from support.backends import (
    IN_CASES,
    answered_by,
    check,
    many,
    promised,
)

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


def test_noise_of_the_libraries_reaches_neither_stdout_nor_stderr(ask, devices_command):
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = devices_command(scenario)
    assert "a line on stdout" not in done.stdout and "drm root" not in done.stdout
    noise = ask(scenario, "say([b.noise for b in backends])")  # but it is kept, for a doctor to read
    assert all("Failed to open drm root directory" in text and "a line on stdout" in text for text in noise[:2])


# ---- error codes


def test_codes_that_nobody_has_named_are_tried_again():
    assert nvml.absent(12345, "f").status == amd_library.failed(12345, "f").status == "transient"


@pytest.mark.parametrize(("like", "counted"), [("h100", 2), ("mi300x_spx", 20)])  # NVML's counter in every tenth
def test_transient_failures_cost_their_own_samples_only(ask, like, counted):
    """Every third call fails, from the second on: the look at the device is over by then or it is not, all the same."""
    code = """
feed = sampler.Feed(gpus[0], 64); feed.choose_probes()
for i in range(30): at(11 + i / 10); feed.take(lambda: 1)
columns = feed.between(1, 1)
say([[value == value for value in columns[key]] for key in ("power_instant_w", "energy_j")] + [shown(feed.lost)])
"""
    power, counter, lost = ask(many(like, [{"transient_every": 3}]), code)
    assert lost is None
    assert sum(power) == 20 and power.count(False) == 10
    assert counter.count(True) >= counted


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
feed = sampler.Feed(gpus[0], 64); feed.choose_probes()
found = []
for s in (19.8, 19.9, 20, 20.1, 20.2, 20.3): at(s); feed.take(lambda: 1); found.append([feed.count, bool(feed.lost)])
def raises(call):
    try: call()
    except Lost: return True
say([found, raises(gpus[0].signals), raises(gpus[0].energy_j)])
""")  # fmt: skip
    assert said == [[[1, False], [2, False], [2, False], [2, False], [2, True], [2, True]], True, True]


@pytest.mark.skipif(Path("/opt/rocm").exists(), reason="needs a machine without ROCm")
def test_without_libraries_there_are_reasons_and_no_noise(ask, devices_command, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    (nowhere / "libnvidia-ml.so.1").write_text("no library")  # hides a real one of this machine
    hidden = {"LD_LIBRARY_PATH": str(nowhere), "ROCM_HOME": str(nowhere), "ROCM_PATH": str(nowhere)}
    said = ask("two_and_two", "say([[shown(b.fault), b.fix, len(b.devices)] for b in backends])", **hidden)
    (nv, nv_fix, _), (smi, smi_fix, _), (none, _, cpus) = said
    assert nv[0] == "unsupported" and nv[1].startswith("libnvidia-ml.so.1 is there and cannot be loaded (")
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
    nv, smi = ask(scenario, "say([[shown(b.fault), b.fix, len(b.devices)] for b in (nvidia, amd)])")
    assert nvidia_says in nv[0][1] and amd_says in smi[0][1]
    assert nv[1] and smi[1] and nv[2] == smi[2] == 0


# ---- what other tools get wrong with these libraries


@pytest.mark.parametrize("like", ["rtx3090", "rx6900xt"])
def test_ecc_errors_are_absent_and_not_0_where_there_is_no_ecc(ask, like):
    said = ask(many(like, [{}]), "say(plain(gpus[0].facts()))")
    for key in ("ecc_enabled", "ecc_corrected", "ecc_uncorrected"):
        assert said[key][:2] == [None, "unsupported"] and said[key][2]


@pytest.mark.parametrize("like", ["h100", "mi300x_spx"])
def test_utilisation_that_cannot_be_read_is_not_minus_1(ask, like):
    errors = {"h100": "nvmlDeviceGetUtilizationRates", "mi300x_spx": "amdsmi_get_gpu_activity"}
    scenario = many(like, [{"utilisation_percent": None}, {"errors": {errors[like]: 2 if like != "h100" else 3}}])
    release = "usual" if like == "h100" else "newer ROCm"
    for said in ask(scenario, "say([signals(g) for g in gpus])", release):
        assert said["gpu_utilization_pct"][:2] == said["memory_utilization_pct"][:2] == [None, "unsupported"]


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
    feed.choose_probes()
    feed.take(sampler.Sampler([]).clock)
    assert feed.count == 1
    assert not any("time.time()" in Path(module.__file__).read_text() for module in (sampler, energy, nvidia, amd))


# ---- arbitrary answers


@given(value=st.integers(0, 2**64 - 1) | st.sampled_from([0, 0xFFFF, 2**32 - 1, 2**64 - 1]))
@IN_CASES
def test_no_number_of_a_library_makes_a_reading_leave_its_range(value):
    for read, least, most in (
        (amd_numbers.watts, 1, 65534), (amd_numbers.hertz, 1e6, 65534e6), (amd_numbers.celsius, 1, 199),
        (amd_numbers.percent, 0, 100),
        (lambda v, _: nvml.celsius(v), 1, 199), (nvml.percent, 0, 100),
        (lambda v, what: nvml.scaled(v, 1e-3, "power"), 1e-3, (2**32 - 2) / 1e3),
        (lambda v, what: nvml.scaled(v, 1e6, what), 0, (2**32 - 2) * 1e6),
    ):  # fmt: skip
        found = read(value, "thing")
        assert isinstance(found, NoReading) or least <= found <= most
    assert 0 <= nvml.unified(value) < 2 ** len(throttling.REASONS)
    assert 0 <= amd_numbers.throttle(value) < 2 ** len(throttling.REASONS)
    joules = amd_numbers.joules(value)
    assert isinstance(joules, NoReading) == (value in (0, 2**64 - 1))
    assert amd_numbers.generation(value) in range(1, 7) or isinstance(amd_numbers.generation(value), NoReading)
