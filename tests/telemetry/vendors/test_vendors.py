"""What every backend answers: the real pynvml and amdsmi over simulated libraries; faults, cost, silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuprof.telemetry.vendors import amd_library, nvidia
from support import simulators
from support.backends import METRICS, NVML_FIELDS, PRELUDE, answered_by, check, environment, many, process, promised

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


def test_two_vendors_at_once_through_the_command_line(devices_command):
    watts = [250, 400, 300, 500]
    scenario = simulators.load("two_and_two")
    for gpu, w in zip(scenario["gpus"], watts, strict=True):
        gpu["power"] = {"kind": "constant", "w": w}
    done = devices_command(scenario | {"noise": True}, "--json")
    listed = json.loads(done.stdout)
    assert [d["id"] for d in listed] == ["nvidia:0", "nvidia:1", "amd:0", "amd:1", "cpu"]
    for found, gpu, w in zip(listed, scenario["gpus"], watts, strict=False):
        assert (found["vendor"], found["name"], found["uuid"], found["pci_bus_id"], found["simulated"]) == (
            gpu["vendor"], gpu["name"], gpu["uuid"], gpu["pci"], True,
        )  # fmt: skip
        wanted = promised(gpu, scenario)
        wanted["power_instant_w"] = w
        if wanted["power_average_w"] is not None:
            wanted["power_average_w"] = w
        plain = {key: [m["value"], m["status"], m["reason"]] for key, m in found["metrics"].items()}
        assert plain.pop("energy_j")[1] == "ok"  # it follows the real clock here
        check(plain, {key: value for key, value in wanted.items() if key != "energy_j"}, found["id"])


def test_noise_of_the_libraries_reaches_neither_stdout_nor_stderr(ask, devices_command):
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = devices_command(scenario)
    assert "a line on stdout" not in done.stdout and "drm root" not in done.stdout
    noise = ask(scenario, "say([b.noise for b in backends])")  # but it is kept, for a doctor to read
    assert all("Failed to open drm root directory" in text and "a line on stdout" in text for text in noise[:2])


# ---- error codes


NVML_CODES = {
    2: "unsupported", 3: "unsupported", 13: "unsupported", 25: "unsupported", 4: "no_permission", 15: "lost",
    16: "lost", 1: "transient", 10: "transient", 18: "transient", 999: "transient",
}  # fmt: skip
AMD_CODES = {
    2: "unsupported", 3: "unsupported", 40: "unsupported", 42: "unsupported", 43: "unsupported", 52: "unsupported",
    10: "no_permission", 31: "lost",
    8: "transient", 9: "transient", 11: "transient", 30: "transient", 32: "transient",
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


def test_nvml_fields_fail_one_by_one_while_the_call_succeeds(ask):
    codes = {code: status for code, status in NVML_CODES.items() if status != "lost"}
    scenario = many("h100", [{"errors": {"field.186": code, "field.82": code}} for code in codes])
    for (code, status), said in zip(codes.items(), ask(scenario, "say([signals(g) for g in gpus])"), strict=True):
        assert said["power_instant_w"][:2] == said["temperature_memory_c"][:2] == [None, status], code
        assert said["power_average_w"][0] == 300 and said["energy_j"][1] == "ok"


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


def test_codes_that_nobody_has_named_are_tried_again():
    assert nvidia.absent(12345, "f").status == amd_library.failed(12345, "f").status == "transient"


@pytest.mark.parametrize("like", ["h100", "mi300x_spx"])
def test_transient_failures_cost_their_own_samples_only(ask, like):
    """Every third call fails, from the second on: the look at the device is over by then or it is not, all the same."""
    code = """
feed = sampler.Feed(gpus[0], 64); feed.settle()
for i in range(30): at(11 + i / 10); feed.take(lambda: 1)
columns = feed.between(1, 1)
say([[value == value for value in columns[key]] for key in ("power_instant_w", "energy_j")] + [feed.lost])
"""
    power, counter, lost = ask(many(like, [{"transient_every": 3}]), code)
    assert lost == ""
    assert sum(power) == 20 and power.count(False) == 10
    assert counter.count(True) >= 20


def test_amd_that_is_busy_when_first_looked_at_still_has_its_snapshot(ask):
    """One failed call says nothing about whether library and wrapper fit: neither yes nor no, for good."""
    scenario = many("mi300x_spx", [{"transient_every": every} for every in (2, 3, 4, 5)])
    found = ask(scenario, "say([signals(g) for g in gpus])")
    assert all(said["power_instant_w"][1] in ("ok", "transient") for said in found)
    # Where it was busy throughout, what is absent is absent for now only.
    assert all(said["energy_j"][1] in ("ok", "transient") for said in found)


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
feed = sampler.Feed(gpus[0], 64); feed.settle()
found = []
for s in (19.8, 19.9, 20, 20.1, 20.2, 20.3): at(s); feed.take(lambda: 1); found.append([feed.count, bool(feed.lost)])
def raises(call):
    try: call()
    except Lost: return True
say([found, raises(gpus[0].signals), raises(gpus[0].energy_j)])
""")  # fmt: skip
    assert said == [[[1, False], [2, False], [2, False], [2, False], [2, True], [2, True]], True, True]


# ---- how often the libraries are asked


COUNTED = """
import re
names = sorted(set(re.findall(r"(nvmlDevice\\w+|amdsmi_get_\\w+)", open(os.environ["SOURCES"]).read())))
def counts(): return {name: n for library in libraries for name in names if (n := simulators.calls(library, name))}
feed = sampler.Feed(gpus[0], 64); feed.settle()
before = counts()
for i in range(10): feed.take(lambda: 1)
say({name: n - before.get(name, 0) for name, n in counts().items() if n > before.get(name, 0)})
"""


def test_ten_samples_of_an_nvidia_gpu_make_few_calls(ask, tmp_path):
    (tmp_path / "names").write_text((simulators.HERE / "nvml_sim.c").read_text())
    made = ask("h100", COUNTED, SOURCES=str(tmp_path / "names"))
    assert made.pop(NVML_FIELDS) == 10
    assert set(made) == {
        "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons",
    }  # fmt: skip
    assert sum(made.values()) <= 10  # these share the samples out among them
    assert not any(word in name for name in made for word in ("Process", "Fan", "Pcie", "Ecc", "Memory"))


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


# ---- quiet


def test_quiet_swallows_what_c_prints_and_gives_the_streams_back(releases, tmp_path):
    """In a process of its own, whose sys.stdout is file descriptor 1; after an error as well."""
    code = """
import os, sys
from gpuprof.telemetry.quiet import quiet
print("before")
with quiet() as printed:
    os.write(1, b"from C\\n"); os.write(2, b"from C on stderr\\n"); print("from Python")
try:
    with quiet(): raise ValueError
except ValueError: os.write(1, b"after an error\\n")
print(repr(printed.text))
"""
    done = process(["-c", code], environment(releases["usual"], simulators.load({"gpus": []}), tmp_path))
    assert done.stderr == ""
    before, error, text = done.stdout.splitlines()
    assert (before, error) == ("before", "after an error")
    assert text == repr("from C\nfrom C on stderr\nfrom Python")


def test_a_process_without_stdout_can_open_the_libraries(releases, tmp_path):
    """`gpuprof devices >&-`: closed file descriptors are no reason to fail."""
    code = PRELUDE.replace("import simulators", "import simulators\nos.close(1); os.close(2)", 1)
    code += "open(os.environ['ANSWER'], 'w').write(str(len(gpus)))"
    answer = tmp_path / "answer"
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = process(["-c", code], environment(releases["usual"], scenario, tmp_path, ANSWER=str(answer)))
    assert (done.returncode, answer.read_text()) == (0, "4")


def test_the_newest_rocm_comes_first(monkeypatch, tmp_path):
    names = [f"core-{release}" for release in ("7.14", "9.1", "10.0")]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [tmp_path / name for name in names])
    for name in names:
        (tmp_path / name / "share/amd_smi/amdsmi").mkdir(parents=True)
        (tmp_path / name / "share/amd_smi/amdsmi/__init__.py").touch()
    found = [place.parts[-3] for place, _ in amd_library._candidates() if place and place.is_relative_to(tmp_path)]
    assert found == ["core-10.0", "core-9.1", "core-7.14"]
