"""`gpuprof doctor`: what it prints of made-up machines, and the command from outside on simulated ones."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import pytest

from gpuprof import doctor
from gpuprof.absent import Absent
from gpuprof.doctor.facts import VARIABLES, Card, Facts, Torch
from support import simulators
from support.machines import CPU_ONLY, H100, NO_AMD_SMI, NVIDIA, NVML, blind, with_values
from support.running import ROOT, gpuprof, variables


def printed(monkeypatch, capsys, facts: Facts, *arguments: str) -> tuple[int, str]:
    from gpuprof.cli.doctor import command

    monkeypatch.setattr(doctor, "gather", lambda quick: facts)
    code = command.main([*arguments], standalone_mode=False)
    return code, capsys.readouterr().out


def test_problems_and_warnings_come_with_their_fix(monkeypatch, capsys):
    code, out = printed(monkeypatch, capsys, with_values(replace(NVIDIA, torch=CPU_ONLY), power_limit_w=400.0))
    assert code == 1
    lines = out.splitlines()
    assert "✗ CPU-only torch on a machine with NVIDIA GPUs" in lines
    assert "! nvidia:0: power capped at 400 W (default 700 W)" in lines
    assert any(line.startswith("  fix: pip install --force-reinstall torch torchvision --index-url") for line in lines)
    assert lines[-1] == "1 problem"


def test_all_well_is_calm(monkeypatch, capsys):
    code, out = printed(monkeypatch, capsys, NVIDIA)
    assert code == 0
    assert [line[0] for line in out.splitlines()] == ["✓"] * 4 + ["r"]


def test_hostile_text_stays_text(monkeypatch, capsys):
    evil = "[red]GPU[/red]\x1b[31m\u202e\n✓ all is well"
    values = {
        "name": evil,
        "partition": evil,
        "processes": [{"pid": evil}],
        "driver_version": evil,
        "architecture": evil,
    }
    facts = replace(
        blind(with_values(NVIDIA, **values)), container=evil, variables=dict.fromkeys(VARIABLES, evil),
        libraries=(NVML._replace(version=evil), NO_AMD_SMI._replace(fault=Absent(evil), fix=evil, noise=evil)),
        cards=(Card("amd", evil, evil, evil),), packages={"pynvml": evil},
    )  # fmt: skip
    for machine in (facts, replace(facts, torch=Torch(evil, evil, evil, ({**H100, "name": evil},), (evil,), (evil,)))):
        _, out = printed(monkeypatch, capsys, machine)
        assert "[red]GPU[/red]" in out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "\n✓ all is well" not in out


# Without the libraries of this machine, whatever it has.
NO_LIBRARIES = {"LD_LIBRARY_PATH": "", "ROCM_HOME": "/nowhere", "ROCM_PATH": "/nowhere"}


def test_quick_imports_no_torch(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    done = gpuprof("doctor", "--quick", "--json", env={**NO_LIBRARIES, "PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert "torch was imported" not in done.out + done.err
    assert [f["check"] for f in done.json["findings"] if f["status"] == "skipped"] == ["torch_import"]


def test_torch_that_cannot_be_imported_is_a_problem(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    done = gpuprof("doctor", env={**NO_LIBRARIES, "PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 1
    assert "✗ torch cannot be used" in done.out
    assert "libcudart" in done.out


def test_wrong_usage_is_exit_code_2():
    done = gpuprof("doctor", "--fast")
    assert done.code == 2
    assert done.out == ""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    vendors = [v for v, module in (("nvidia", "pynvml"), ("amd", "amdsmi")) if importlib.util.find_spec(module)]
    return vendors, simulators.build(tmp_path_factory.mktemp("simulated"), vendors=vendors)


def on(libraries, scenario, tmp_path, *arguments):
    path = os.pathsep.join([str(ROOT), *filter(None, [variables().get("PYTHONPATH"), os.environ.get("PYTHONPATH")])])
    environment = simulators.variables(libraries[1], simulators.load(scenario), tmp_path)
    return gpuprof("doctor", *arguments, env={**environment, "PYTHONPATH": path})


def test_simulated_gpus_are_examined_and_said_to_be_none(libraries, tmp_path):
    done = on(libraries, "two_and_two", tmp_path, "--json", "--quick")
    found = {(f["check"], f["status"]): f for f in done.json["findings"]}
    assert done.json["devices"] == 2 * len(libraries[0])
    assert found["simulated", "warning"]["fix"]
    assert "in use by 1 process" in found["busy", "warning"]["title"]
    assert done.json["summary"]["problem"] == 0
    assert done.code == 0
    assert done.err == ""


def test_a_gpu_that_is_capped_narrow_and_failing(libraries, tmp_path):
    if "nvidia" not in libraries[0]:
        pytest.skip("needs nvidia-ml-py")
    broken = {
        "like": "h100", "ecc": {"enabled": True, "corrected": 2, "uncorrected": 7}, "processes": [],
        "power_limit_w": {"current": 350, "default": 700, "min": 200, "max": 700},
        "pcie": {"gen": 1, "width": 4, "gen_max": 5, "width_max": 16},
    }  # fmt: skip
    done = on(libraries, {"gpus": [broken]}, tmp_path, "--quick")
    assert "! nvidia:0: power capped at 350 W (default 700 W)" in done.out
    assert "! nvidia:0: 7 uncorrectable memory errors" in done.out
    assert "· nvidia:0: the PCIe link uses 4 of 16 lanes" in done.out
    assert "in use by" not in done.out


def test_an_amdsmi_of_another_release_is_a_problem(tmp_path):
    if not importlib.util.find_spec("amdsmi"):
        pytest.skip("needs amdsmi")
    built = simulators.build(tmp_path / "lib", vendors=["amd"], oversize_bytes=64)
    done = on((["amd"], built), "mi300x_spx", tmp_path, "--quick")
    assert done.code == 1
    assert "✗ amdsmi and libamd_smi come from different releases" in done.out
    assert "share/amd_smi" in done.out
