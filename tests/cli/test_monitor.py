"""`gpuprof monitor` from the outside, over simulated libraries: what it says is true."""

from __future__ import annotations

import os
import re
import sys
import time
from types import SimpleNamespace

import pytest

from gpuprof.errors import UsageError
from gpuprof.telemetry import monitor as monitoring
from gpuprof.telemetry.device import Stuck
from support import simulators
from support.backends import needs_libraries
from support.monitored import FAST, QUICK_H100, QUICK_MI300, SAY, by_id, complete, surroundings
from support.running import ROOT, gpuprof

pytestmark = needs_libraries
BOTH = ("--device", "nvidia", "--device", "amd")


# ---- the number itself


def test_energy_of_both_vendors_within_one_percent_where_polling_power_is_far_off(monitor, libraries, tmp_path):
    """The one test that takes its five seconds: real time, a counter that moves every 100 ms, a sensor that sees 25 ms
    of each 100 ms, and a load of 20 ms, of which that sensor always sees the same part."""
    power = {"kind": "square", "low_w": 100, "high_w": 700, "period_s": 0.02, "duty": 0.5}
    sensor = {"update_s": 0.1, "window_s": 0.025}
    gpus = [
        {"like": like, "power": power, "sensor": sensor, "counter": {"tick_s": 0.1}} for like in ("h100", "mi300x_spx")
    ]
    scenario = simulators.load({"gpus": gpus}, origin_ns=time.monotonic_ns())
    done = gpuprof(
        "monitor", *BOTH, "--json", "--", "sleep", "5", env=surroundings(libraries, scenario, tmp_path)
    )  # fmt: skip
    document = done.json
    complete(document)
    assert 5.0 <= document["duration_s"] < 6.0
    assert document["duration_s"] == pytest.approx((document["end_ns"] - document["start_ns"]) / 1e9)
    devices = by_id(document)
    for gpu, name in zip(scenario["gpus"], ("nvidia:0", "amd:0"), strict=True):
        device = devices[name]
        truth = simulators.truth_energy_j(gpu, document["start_ns"], document["end_ns"])
        counted, polled = device["energy_j"] / truth - 1, device["trapezoid_j"] / truth - 1
        print(
            f"{name}: truth {truth:.1f} J, counter {device['energy_j']:.1f} ± {device['energy_error_j']:.1f} J "
            f"({counted:+.2%}), polled power {device['trapezoid_j']:.1f} J ({polled:+.2%})"
        )
        assert device["energy_method"] == "counter"
        assert abs(counted) < 0.01
        assert abs(polled) > 0.05
        assert device["power_mean_w"] == pytest.approx(device["energy_j"] / document["duration_s"])
        assert device["samples"] >= 40


def test_the_two_estimators_agree_where_power_is_constant_and_the_report_says_so(monitor):
    gpus = [QUICK_H100, {**QUICK_MI300, "sensor": {"update_s": 0.001, "window_s": 0.001}}]
    done = monitor(gpus, *BOTH, "--hz", "50", "--json", "--", sys.executable, "-c", "import time; time.sleep(1.05)")
    devices = by_id(done.json)
    for name, watts in (("nvidia:0", 400), ("amd:0", 500)):
        assert devices[name]["energy_j"] == pytest.approx(watts * done.json["duration_s"], rel=0.01)
        assert devices[name]["trapezoid_j"] == pytest.approx(watts * done.json["duration_s"], rel=0.01)
        assert devices[name]["power_mean_w"] == pytest.approx(watts, rel=0.01)
        assert not any("differs" in check for check in devices[name]["checks"])


# ---- which device


PAIR = [
    {"like": "h100", "counter": FAST},
    {"like": "h100", "counter": FAST, "uuid": "GPU-0b1b2c3d-1111-2222-3333-444455556666", "pci": "0000:43:00.0"},
    {"like": "mi300x_spx", "counter": FAST},
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["GPU-0b1b2c3d-1111-2222-3333-444455556666", "instinct"], ["nvidia:1", "amd:0"]),
        (["cpu", "0000:43:00.0", "nvidia:1", "H100"], ["cpu", "nvidia:1", "nvidia:0"]),
        ([], ["nvidia:0", "nvidia:1", "amd:0", "cpu"]),
    ],
)
def test_device_by_any_of_its_names(monitor, wanted, expected):
    chosen = [word for want in wanted for word in ("--device", want)]
    done = monitor(PAIR, *chosen, "--json", "--", "true")
    assert [device["id"] for device in done.json["devices"]] == expected
    complete(done.json)


def test_an_unknown_device_lists_what_is_there(monitor):
    done = monitor(PAIR, "--device", "nvidia:7", "--json", "--", "true")
    assert done.code == 2
    for name in ("'nvidia:7'", "nvidia:0 NVIDIA H100 80GB HBM3", "amd:0 AMD Instinct MI300X", "cpu"):
        assert name in done.json["error"]["message"]


# ---- what goes wrong


def until(seconds: float) -> tuple[str, str, str]:
    """A command that ends so many seconds from now, which is when the simulated GPUs begin to count; begun by then."""
    wait = "import sys, time; left = {} - time.monotonic(); sys.exit('too late') if left < 0.2 else time.sleep(left)"
    return sys.executable, "-c", wait.format(time.monotonic() + seconds)


def test_a_gpu_that_is_lost_in_the_middle_keeps_its_reason_and_the_other_its_energy(monitor):
    gpus = [{**QUICK_H100, "lost_at_s": 2.2}, QUICK_MI300]
    done = monitor(gpus, *BOTH, "--hz", "50", "--json", "--", *until(2.8))
    complete(done.json)
    lost, fine = by_id(done.json)["nvidia:0"], by_id(done.json)["amd:0"]
    assert fine["energy_j"] == pytest.approx(500 * done.json["duration_s"], rel=0.02)
    assert (lost["energy_method"], lost["energy_j"]) == (None, None)
    assert "the GPU is lost" in lost["absent"]["energy_j"]
    assert any("the device was lost" in check for check in lost["checks"])
    assert done.code == 0


def test_a_counter_that_is_reset_in_the_middle_gives_no_energy_of_its_own(monitor):
    """The driver was reloaded: what the counter says afterwards is about another time."""
    broken = {**QUICK_H100, "counter": {"tick_s": 0.01, "offset_j": 1e6, "reset_at_s": 2.5}}
    done = monitor([broken], "--device", "nvidia", "--json", "--", *until(2.7))
    complete(done.json)
    (device,) = done.json["devices"]
    assert device["energy_method"] != "counter"
    assert device["energy_j"] is None or device["energy_j"] > 0
    said = " ".join([*device["checks"], *device["absent"].values()])
    assert "the energy counter fell by" in said


def test_errors_that_pass_do_not_cost_the_energy(monitor):
    gpus = [{**QUICK_H100, "transient_every": 3}, {**QUICK_MI300, "transient_every": 7}]
    done = monitor(gpus, *BOTH, "--json", "--", *SAY)
    complete(done.json)
    for device, watts in zip(done.json["devices"], (400, 500), strict=True):
        assert device["energy_method"] == "counter", device["absent"]
        truth = watts * done.json["duration_s"]
        assert abs(device["energy_j"] - truth) < 5 * device["energy_error_j"] + 0.02 * truth


def test_a_counter_that_is_forbidden(monitor):
    gpu = {**QUICK_H100, "errors": {"nvmlDeviceGetTotalEnergyConsumption": 4}}
    done = monitor([gpu], "--device", "nvidia", "--json", "--", "true")
    complete(done.json)
    assert "no permission" in done.json["devices"][0]["absent"]["energy_j"]
    assert done.code == 0


def test_without_any_vendor_library(tmp_path):
    empty = {"LD_LIBRARY_PATH": str(tmp_path), "ROCM_HOME": str(tmp_path), "ROCM_PATH": str(tmp_path)}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = gpuprof("monitor", "--json", "--", *SAY, env={"PYTHONPATH": path, **empty})
    complete(done.json)
    assert done.code == 0
    assert "cpu" in by_id(done.json)
    assert done.json["simulated"] is False
    assert done.err == "from the command\n"


def test_what_the_libraries_print_goes_nowhere(monitor):
    done = monitor([QUICK_H100, QUICK_MI300], "--json", "--", *SAY, system={"noise": True})
    assert [device["simulated"] for device in done.json["devices"]] == [True, True, False]
    assert done.err == "from the command\n"
    assert "a line on stdout" not in done.out


# ---- how it is told


def test_simulated_devices_are_called_that(monitor):
    done = monitor([QUICK_H100], "--device", "nvidia", "true")
    assert "SIMULATED" in done.err
    assert "NVIDIA H100 80GB HBM3" in done.err
    document = monitor([QUICK_H100], "--device", "nvidia", "--json", "--", "true").json
    assert document["simulated"] is document["devices"][0]["simulated"] is True
    assert document["telemetry_hz"] == 10
    assert document["schema"] == "gpuprof.monitor/1"


def test_a_hostile_name_is_harmless(monitor):
    """A name is data from a device or a hypervisor: no control sequences, no markup, no broken JSON."""
    hostile = 'H100 \x1b[31mred\x07 [bold]loud[/bold] [/] "quoted" \x9b2J \u202egnp'
    gpu = {**QUICK_H100, "name": hostile, "temperature_c": {"core": 51}}
    done = monitor([gpu], "--device", "nvidia", "true")
    assert done.code == 0
    assert not any(bad in done.err for bad in ("\x1b", "\x07", "\x9b", "\u202e"))
    assert "[bold]loud[/bold]" in done.err
    refused = monitor([gpu], "--device", "nothing", "true")
    assert not any(bad in refused.err for bad in ("\x1b", "\x07", "\x9b", "\u202e"))


def test_partitions_of_a_socket_count_its_energy_once(monitor):
    gpus = simulators.load("mi300x_cpx")["gpus"]
    for gpu in gpus:
        if gpu["counter"]:
            gpu["counter"]["tick_s"] = 0.01
            gpu["power"] = {"kind": "constant", "w": 500}
    document = monitor(gpus, "--device", "amd", "--json", "--", *SAY).json
    complete(document)
    assert len(document["devices"]) == 8
    first, *others = document["devices"]
    assert abs(first["energy_j"] - 500 * document["duration_s"]) < 5 * first["energy_error_j"]
    assert "shared by 8 devices" in first["scope"]
    assert any("power and energy are for the socket" in check for check in first["checks"])
    assert [device["energy_j"] for device in others] == [None] * 7


def test_throttling_is_counted_over_the_command(monitor):
    gpus = [
        {**QUICK_H100, "throttle_share": {"power": 0.25, "hw_thermal": 0.1}, "throttle_bits": 0x44},
        {**QUICK_MI300, "throttle_share": {"ppt": 0.0, "socket_thm": 0.5}, "throttle_bits": None},
    ]
    wait = (sys.executable, "-c", "import time; time.sleep(0.2)")
    nvidia, amd = monitor(gpus, *BOTH, "--json", "--", *wait).json["devices"]
    assert nvidia["throttled_share"]["power_cap"] == pytest.approx(0.25, rel=0.05)
    assert nvidia["throttled_share"]["thermal"] == pytest.approx(0.1, rel=0.05)
    assert amd["throttled_share"]["thermal"] == pytest.approx(0.5, rel=0.05)
    assert any(check.startswith("throttled: power cap in 25%") for check in nvidia["checks"])
    told = monitor(gpus[:1], "--device", "nvidia", *wait).err
    assert "power cap 25%, thermal 10%" in told


def test_a_reason_that_is_counted_and_never_sampled_is_told_and_no_throttling(monitor):
    gpus = [{**QUICK_H100, "throttle_share": {"power": 0.25}, "throttle_bits": 0}]
    wait = ("--hz", "50", "--", sys.executable, "-c", "import time; time.sleep(0.2)")
    (device,) = monitor(gpus, "--device", "nvidia", "--json", *wait).json["devices"]
    assert device["throttled_share"] == {"none": 1.0}
    assert device["throttle_unsampled"] == {"power_cap": pytest.approx(0.25, rel=0.05)}
    assert not any(check.startswith("throttled") for check in device["checks"])
    told = monitor(gpus, "--device", "nvidia", *wait).err
    assert "no   power cap counted in 25% of the time and in no sample" in told


def test_a_rate_out_of_bounds_is_refused(monitor):
    done = monitor([QUICK_H100], "--hz", "51", "true")
    assert done.code == 2
    assert "--hz" in done.err


def test_several_devices_are_a_row_each_and_the_whole_error_comes_first(monitor):
    done = monitor(PAIR, "--", sys.executable, "-c", "import time; time.sleep(0.3)")
    rows = [line for line in done.err.splitlines() if line.split()[:1] in (["nvidia:0"], ["nvidia:1"], ["amd:0"])]
    assert len(rows) == 3
    assert all(" J ± " in row for row in rows)
    assert "all signals: -v" in done.err
    whole = monitor(
        PAIR[:1], "-v", "--device", "nvidia", "--", sys.executable, "-c", "import time; time.sleep(0.3)"
    ).err
    assert re.search(r"energy +\d+\.\d+ J ± \d+(\.\d)? J .* energy counter: counting ± .*, gain ± 5%", whole)


def test_the_live_table_has_the_joules_so_far():
    feed = SimpleNamespace(device=SimpleNamespace(id="nvidia:0"), between=lambda *_: {"energy_j": [next(readings)]})
    readings, shown, looks = iter([1000.0, 1005.5, 3.0, 4.0]), [], iter([False] * 4 + [True])
    sampler = SimpleNamespace(hz=1e9, clock=lambda: 0, feeds={"nvidia:0": feed})
    monitoring.live(sampler, lambda rows: shown.append(rows[0][1]["energy_so_far_j"]), stop=lambda: next(looks),
                    wait=lambda _: None)  # fmt: skip
    assert shown == [0.0, 5.5, 0.0, 1.0], "a counter that was reset begins anew"


def test_a_library_that_hangs_while_a_device_is_looked_for_costs_its_name_alone(monkeypatch):
    hung, sound = (SimpleNamespace(id=f"nvidia:{i}", vendor="nvidia", uuids=frozenset()) for i in (0, 1))

    def stuck():
        raise Stuck("the vendor library did not answer within 30 s")

    hung.identity, sound.identity = stuck, lambda: {"name": SimpleNamespace(value="H100", reason=None)}
    assert monitoring.select([hung, sound], ["nvidia:0"]) == [hung]
    assert monitoring.select([hung, sound], ["h100"]) == [sound]
    with pytest.raises(UsageError, match="this machine has nvidia:0, nvidia:1 H100"):
        monitoring.select([hung, sound], ["mi300x"])
    told = monitoring.title(SimpleNamespace(call=lambda function: function()), hung)
    assert told == "the vendor library did not answer within 30 s"
