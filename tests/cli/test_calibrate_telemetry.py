"""gpuprof calibrate-telemetry: what it needs."""

from __future__ import annotations

from support import simulators
from support.running import gpuprof


def test_without_a_gpu_it_says_what_to_do():
    done = gpuprof("calibrate-telemetry", "--json")
    assert done.code == 3
    assert "doctor" in done.json["error"]["message"]


def test_a_device_that_torch_does_not_use_needs_a_command(libraries, tmp_path):
    env = simulators.variables(libraries, simulators.load("h100"), tmp_path)
    done = gpuprof("calibrate-telemetry", env=env)
    assert done.code == 2
    assert "give a COMMAND after --" in done.err
