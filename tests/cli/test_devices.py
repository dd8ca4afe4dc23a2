"""gpuprof devices: both vendors at once, in any width, whatever a device is called."""

from __future__ import annotations

import json

import pytest

from support import simulators
from support.backends import check, promised
from support.running import gpuprof


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


@pytest.mark.parametrize("width", ["60", "80", "100", "160"])
def test_a_name_is_shown_as_it_is_and_in_any_width(libraries, tmp_path, width):
    scenario = simulators.load({"gpus": [{"like": "h100", "name": "[red]H1[/bold] \x1b[31mX"}]})
    env = {**simulators.variables(libraries, scenario, tmp_path), "COLUMNS": width}
    done = gpuprof("devices", env=env)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[red]H1[/bold]" in done.out
