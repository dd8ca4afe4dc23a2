"""Each wrapper of AMD SMI that PyPI has, over a library of its own release: all are read alike."""

from __future__ import annotations

import pytest

from support import simulators, wheels
from support.backends import check, needs_libraries, promised

VERSIONS = [version for package, version in wheels.HASHES if package == "amdsmi"]
# What a wrapper cannot ask for, from its release on backwards.
LACKING = {
    "6.0": ("pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max", "processes"),
    "6.2": ("architecture",),
}


def lacking(version: str) -> set[str]:
    return {key for release, keys in LACKING.items() if version[:3] <= release for key in keys}


@needs_libraries
@pytest.mark.parametrize("version", VERSIONS)
def test_each_wrapper_reads_devices_facts_and_sensors(ask, version):
    scenario = simulators.load({"gpus": [{"like": "mi300x_spx"}, {"like": "rx6900xt"}]})
    code = "say([amd.version, [[readings(g), g.energy_j() if g.index == 0 else None, g.simulated] for g in gpus]])"
    origin, found = ask(scenario, code, f"amdsmi {version}")
    assert "amdsmi from" in origin
    assert len(found) == 2
    for gpu, (said, joules, simulated) in zip(scenario["gpus"], found, strict=True):
        wanted = promised(gpu, scenario)
        check(said, wanted | dict.fromkeys(lacking(version)), f"{version}: {gpu['name']}")
        assert joules is None or joules == pytest.approx(wanted["energy_j"])
        assert simulated


@needs_libraries
@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrapper_finds_its_library_where_no_variable_names_rocm(ask, version):
    """Those of ROCm 6.0 and 6.1 end with KeyError then."""
    code = """
from pathlib import Path
from gpuprof.telemetry.vendors import amd_wrapper
amd_wrapper._forget()
root = Path(os.environ.pop("ROCM_HOME"))
del os.environ["ROCM_PATH"]
amd_wrapper._told = lambda: [root]
again = telemetry.amd.open_backend()
say([shown(again.fault), len(again.devices), "ROCM_PATH" in os.environ])
"""
    assert ask("mi300x_spx", code, f"amdsmi {version}") == [None, 1, False]


@needs_libraries
@pytest.mark.parametrize("version", ["6.0.2", "6.1.2"])
def test_a_wrapper_of_pip_needs_no_variable_either(ask, version):
    code = """
from pathlib import Path
from gpuprof.telemetry.vendors import amd_wrapper
amd_wrapper._forget()
amd_wrapper._ROCM = Path(os.environ.pop("ROCM_HOME"))
del os.environ["ROCM_PATH"]
sys.path.insert(0, str(amd_wrapper._ROCM / "share" / "amd_smi"))
amd_wrapper._candidates = lambda: iter([(None, "amdsmi in this Python")])
again = telemetry.amd.open_backend()
say([shown(again.fault), len(again.devices), "ROCM_PATH" in os.environ])
"""
    assert ask("mi300x_spx", code, f"amdsmi {version}") == [None, 1, False]


@needs_libraries
@pytest.mark.parametrize("version", ["6.1.2", "6.2.4"])
def test_a_wrapper_with_a_stub_of_every_symbol_is_not_taken_for_a_simulation(ask, version):
    code = """
class Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "gpuprof_simulated_library": raise AttributeError(name)
        return super().__getattr__(name)
wrapper = sys.modules["amdsmi.amdsmi_wrapper"]
wrapper._libraries["libamd_smi.so"] = Library(wrapper._libraries["libamd_smi.so"]._name)
say([len(wrapper._libraries), amd_library.Smi(wrapper, "").simulated])
"""
    assert ask("mi300x_spx", code, f"amdsmi {version}") == [2, False]
