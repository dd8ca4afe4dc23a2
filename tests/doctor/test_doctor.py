"""`gpuprof doctor`: each check on made-up machines, and the command from outside on simulated ones."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import replace

import pytest

from gpuprof import doctor
from gpuprof.doctor.facts import VARIABLES, Card, Facts, Library, Node, Seen, Torch
from gpuprof.telemetry.device import Absent
from support import simulators
from support.running import ROOT, gpuprof, variables

H100 = {"kind": "gpu", "vendor": "nvidia", "name": "NVIDIA H100", "index": 0, "architecture": "sm_90"}
MI300X = {"kind": "gpu", "vendor": "amd", "name": "AMD Instinct MI300X", "index": 0, "architecture": "gfx942:xnack-"}
GOOD_H100 = {
    "name": "NVIDIA H100", "driver_version": "580.65.06", "architecture": "sm_90", "partition": "none",
    "energy_j": 1.0, "power_limit_w": 700.0, "power_limit_default_w": 700.0, "processes": [], "ecc_uncorrected": 0,
    "pcie_width": 16, "pcie_width_max": 16,
}  # fmt: skip
GOOD_MI300X = GOOD_H100 | {"name": "AMD Instinct MI300X", "architecture": "gfx942", "partition": "SPX"}
NVML = Library("nvidia", "NVML", "driver 580.65.06")
AMD_SMI = Library("amd", "AMD SMI", "library 26.0.2")
NO_NVML = Library("nvidia", "NVML", "", "libnvidia-ml.so.1 was not found", "install NVIDIA's driver")
NO_AMD_SMI = Library("amd", "AMD SMI", "", "libamd_smi.so was not found", "install ROCm", "said in C")
INSTALLED = {"torch": "2.15.0", "nvidia-ml-py": "13.0"}
CPU = Seen("cpu", "cpu", {"name": "AMD EPYC", "energy_j": 1.0})

NOTHING = Facts(torch=Torch("2.15.0+cu132", "cuda"), libraries=(NO_NVML, NO_AMD_SMI), cpu=CPU, packages=INSTALLED)
NVIDIA = Facts(
    torch=Torch("2.15.0+cu132", "cuda", "13.2", (H100,), ("sm_80", "sm_90", "compute_90")),
    libraries=(NVML, NO_AMD_SMI),
    gpus=(Seen("nvidia", "nvidia:0", GOOD_H100),),
    cpu=CPU,
    cards=(Card("nvidia", "0000:1b:00.0", "0x2330", "nvidia"),),
    nodes=(Node("nvidia", "/dev/nvidia0", True, 0, "root"), Node("nvidia", "/dev/nvidiactl", True, 0, "root")),
    groups=(1000,),
    packages=INSTALLED,
)
AMD = Facts(
    torch=Torch("2.13.0+rocm7.2", "rocm", "7.2", (MI300X,), ("gfx90a", "gfx942")),
    libraries=(NO_NVML, AMD_SMI),
    gpus=(Seen("amd", "amd:0", GOOD_MI300X),),
    cpu=CPU,
    cards=(Card("amd", "0000:0c:00.0", "0x74a1", "amdgpu"),),
    nodes=(Node("amd", "/dev/kfd", True, 110, "render"), Node("amd", "/dev/dri/renderD128", True, 110, "render")),
    groups=(110, 1000),
    packages=INSTALLED,
)


def blind(facts: Facts, **changes) -> Facts:
    """The same machine, where torch sees no GPU."""
    return replace(facts, torch=replace(facts.torch, gpus=(), **changes))


def without_library(facts: Facts) -> Facts:
    return replace(facts, libraries=(NO_NVML, NO_AMD_SMI), gpus=())


def with_values(facts: Facts, shared_by: int = 1, **values) -> Facts:
    gpu = facts.gpus[0]
    return replace(facts, gpus=(replace(gpu, values={**gpu.values, **values}, shared_by=shared_by),))


def with_absent(facts: Facts, **absent) -> Facts:
    gpu = facts.gpus[0]
    values = {key: value for key, value in gpu.values.items() if key not in absent}
    return replace(facts, gpus=(replace(gpu, values=values, absent=absent),))


def with_nodes(facts: Facts, *nodes: Node, **changes) -> Facts:
    return replace(facts, nodes=nodes, **changes)


def shut(facts: Facts, gid: int = 110, group: str | None = "render", **changes) -> Facts:
    nodes = tuple(node._replace(writable=False, gid=gid, group=group) for node in facts.nodes)
    return replace(facts, nodes=nodes, groups=(1000,), **changes)


def with_variables(facts: Facts, count: int = 1, **set_: str) -> Facts:
    """The same machine with `count` GPUs like its first, under these variables."""
    return replace(facts, gpus=facts.gpus[:1] * count, cards=facts.cards[:1] * count, variables=set_)


def undriven(facts: Facts, driver: str | None = None) -> Facts:
    return replace(without_library(blind(facts)), cards=(facts.cards[0]._replace(driver=driver),), nodes=())


CUDA_ONLY = Torch("2.15.0+cu132", "cuda", "13.2")
CPU_ONLY = Torch("2.15.0+cpu", "cpu")
MISFIT = "amdsmi_get_gpu_metrics_info: libamd_smi 26.0.2 writes 900 bytes ...: they are of different releases"
GONE = Absent("lost", "the GPU is lost")
DENIED = Absent("no_permission", "/sys/class/powercap/x/energy_uj is for root alone")
NO_RAPL = Absent("unsupported", "this kernel offers no RAPL")
PROCESSES = [{"pid": number, "memory_bytes": 1} for number in range(41, 47)]
DIES = tuple(Seen("amd", f"amd:{i}", GOOD_MI300X | {"name": "AMD Instinct MI250X"}, shared_by=2) for i in (0, 1))

# (check, machine, status, words of the title, words of explanation or fix)
FOUND = [
    ("hardware", NOTHING, "note", "only the CPU", ""),
    ("hardware", replace(NOTHING, wsl=True), "note", "WSL", "not for comparisons"),
    ("hardware", NVIDIA, "ok", "1 NVIDIA GPU on the PCI bus: 0000:1b:00.0 (0x2330)", ""),
    ("simulated", replace(NOTHING, gpus=(Seen("amd", "amd:0", simulated=True),)), "warning", "amd:0", "ROCM_HOME"),
    ("torch_import", NVIDIA, "ok", "2.15.0+cu132, a CUDA build", ""),
    ("torch_import", replace(NVIDIA, torch=None), "skipped", "torch 2.15.0 was not started", "architecture|code for"),
    ("torch_import", replace(AMD, torch=None, packages={}), "problem", "not installed", "whl/rocm7"),
    ("torch_import", replace(NOTHING, torch=None, torch_fault="libcudart.so.13: cannot open"), "problem",
     "torch cannot be used", "libcudart"),
    ("drivers", undriven(NVIDIA), "problem", "NVIDIA GPU 0000:1b:00.0 has no driver", "install NVIDIA's driver"),
    ("drivers", undriven(NVIDIA, "nouveau"), "problem", "has the driver nouveau", "Computing needs the driver nvidia"),
    ("drivers", undriven(AMD, "radeon"), "problem", "has the driver radeon", "modprobe amdgpu"),
    ("drivers", undriven(AMD, "vfio-pci"), "note", "virtual machine", ""),
    ("access", with_nodes(blind(AMD), container="docker"), "problem", "no /dev/kfd and no /dev/dri/renderD",
     r"--device /dev/kfd --device /dev/dri --group-add \$\(getent group render \| cut -d: -f3\)"),
    ("access", with_nodes(blind(AMD), container="kubernetes"), "problem", "/dev/kfd", "amd.com/gpu: 1"),
    ("access", with_nodes(blind(NVIDIA), container="apptainer"), "problem", "/dev/nvidiactl", "--nv"),
    ("access", with_nodes(blind(NVIDIA), container="docker"), "problem", "/dev/nvidiactl", "--gpus all"),
    ("access", with_nodes(blind(AMD), AMD.nodes[0]), "problem", "no /dev/dri/renderD", "sudo modprobe amdgpu"),
    ("access", blind(shut(AMD)), "problem", "no permission to open /dev/kfd, /dev/dri/renderD128",
     "usermod -a -G render"),
    ("access", blind(shut(AMD, container="docker", group=None)), "problem", "/dev/kfd", "--group-add 110"),
    ("access", blind(shut(AMD, container="podman", gid=65534)), "problem", "/dev/kfd", "keep-groups"),
    ("access", blind(shut(AMD, gid=0, group="root")), "problem", "/dev/kfd", "group render"),
    ("access", shut(AMD), "warning", "no permission", "1000"),
    ("visibility", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES=""), "problem", "leaves torch no GPU",
     "unset CUDA_VISIBLE_DEVICES"),
    ("visibility", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES="-1"), "problem", "=-1", "no GPU"),
    ("visibility", with_variables(blind(NVIDIA), 4, CUDA_VISIBLE_DEVICES="4,0"), "problem", "=4,0", "choice of 4"),
    ("visibility", with_variables(blind(AMD), ROCR_VISIBLE_DEVICES=""), "problem", "ROCR", "unset ROCR"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="7"), "problem", "ROCR", "choice of 4"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="1", CUDA_VISIBLE_DEVICES="1"), "problem",
     "ROCR_VISIBLE_DEVICES=1 CUDA_VISIBLE_DEVICES=1", "renumbers from 0.*unset CUDA_VISIBLE_DEVICES$"),
    ("visibility", with_variables(replace(AMD, torch=None), 4, ROCR_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="1"),
     "problem", "leaves torch no GPU", "unset HIP_VISIBLE_DEVICES$"),
    ("visibility", with_variables(AMD, 4, ROCR_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="0"), "note",
     "filtered twice", "Slurm"),
    ("visibility", with_variables(NVIDIA, 4, CUDA_VISIBLE_DEVICES="3"), "note", "torch sees 1 of 4 NVIDIA GPUs", ""),
    ("torch_build", replace(NVIDIA, torch=CPU_ONLY), "problem", "CPU-only torch beside a GPU of NVIDIA", "whl/cu130"),
    ("torch_build", replace(AMD, torch=CPU_ONLY), "problem", "GPU of AMD", "whl/rocm7.*get-started"),
    ("torch_build", replace(AMD, torch=CUDA_ONLY), "problem", "a CUDA build of torch beside a GPU of AMD", "whl/rocm7"),
    ("torch_build", replace(NVIDIA, torch=Torch("2.13", "rocm")), "problem", "a ROCM build", "whl/cu130"),
    ("torch_build", replace(NVIDIA, cards=(*NVIDIA.cards, *AMD.cards)), "note", "cannot use the GPU of AMD", "second"),
    ("libraries", NVIDIA, "ok", "NVML (driver 580.65.06) lists 1 GPU", ""),
    ("libraries", without_library(NVIDIA), "problem", "libnvidia-ml.so.1 was not found", "install NVIDIA's driver"),
    ("libraries", without_library(AMD), "problem", "libamd_smi.so was not found", "said in C.*install ROCm"),
    ("libraries", replace(without_library(NVIDIA), variables={"NVIDIA_DRIVER_CAPABILITIES": "compute,video"}),
     "problem", "NVML", "compute,video lacks utility.*compute,utility"),
    ("libraries", replace(AMD, libraries=(AMD_SMI._replace(fault="it does not fit the installed libamd_smi.so"),)),
     "problem", "does not fit", "/opt/rocm/share/amd_smi"),
    ("libraries", undriven(NVIDIA), "skipped", "NVML was not looked at, since NVIDIA GPU 0000:1b:00.0 has no", ""),
    ("libraries", replace(NVIDIA, cards=(*NVIDIA.cards, *AMD.cards), nodes=(*NVIDIA.nodes, *AMD.nodes)), "note",
     "AMD SMI: libamd_smi.so was not found", ""),
    ("torch_sees", NVIDIA, "ok", "torch sees 1 GPU: gpu:0 NVIDIA H100", ""),
    ("torch_sees", blind(NVIDIA), "problem", "sees no NVIDIA GPU", "torch.zeros"),
    ("torch_sees", replace(blind(AMD), container="docker"), "problem", "sees no AMD GPU", "--device /dev/kfd"),
    ("torch_sees", with_values(blind(NVIDIA), driver_version="550.54.15"), "problem", "driver is too old",
     "580 or newer.*whl/cu126"),
    ("torch_sees", undriven(AMD), "skipped", "since AMD GPU 0000:0c:00.0 has no driver", ""),
    ("torch_sees", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES=""), "skipped", "leaves torch no GPU", ""),
    ("packages", replace(NOTHING, packages={"pynvml": "11.5.3"}), "warning", "instead of nvidia-ml-py", "uninstall"),
    ("packages", replace(NOTHING, packages=INSTALLED | {"pynvml": "11.5.3"}), "warning", "beside nvidia-ml-py", ""),
    ("packages", replace(NOTHING, packages=INSTALLED | {"pynvml": "13.0.1"}), "note", "superfluous", ""),
    ("amdsmi_fits", with_absent(AMD, throttle_counters=Absent("unsupported", MISFIT)), "problem",
     "of different releases", "writes 900 bytes.*/opt/rocm/share/amd_smi"),
    ("lost", with_absent(NVIDIA, device=GONE), "problem", "nvidia:0: lost", "dmesg.*restart"),
    ("power", with_absent(AMD, energy_j=Absent("unsupported", "no sensor")), "warning", "amd:0: neither", "no sensor"),
    ("architecture", replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=("sm_75", "sm_80"))), "problem",
     "gpu:0 NVIDIA H100: torch has no code for sm_90", "a newer torch"),
    ("architecture", replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=("sm_100", "sm_120"))), "problem",
     "sm_90", "whl/cu126"),
    ("architecture", replace(AMD, torch=replace(AMD.torch, architectures=("gfx90a", "gfx1100"))), "problem",
     "no code for gfx942", "rocm/pytorch"),
    ("override", replace(AMD, variables={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}), "note", "=10.3.0", "gfx942.*wrong"),
    ("attribution", replace(NVIDIA, torch=replace(NVIDIA.torch, unattributed=("cannot attribute",))), "warning",
     "without power and energy", "cannot attribute"),
    ("attribution", replace(AMD, gpus=AMD.gpus * 2), "warning", "torch sees 1 AMD GPU, AMD SMI lists 2", "variable"),
    ("power_cap", with_values(NVIDIA, power_limit_w=400.0), "warning", "capped at 400 W of 700 W", "-pl WATTS$"),
    ("power_cap", with_values(AMD, power_limit_w=400.0), "warning", "amd:0: power is capped", "amd-smi reset"),
    ("busy", with_values(NVIDIA, processes=PROCESSES), "warning", "by 6 processes (41, 42, 43, 44, ...)", "host"),
    ("ecc", with_values(AMD, ecc_uncorrected=3), "warning", "amd:0: 3 memory errors", "wrong data"),
    ("pcie", with_values(NVIDIA, pcie_width=8), "note", "8 of 16 lanes", "under load"),
    ("partitions", with_values(NVIDIA, 2, partition="MIG"), "note", "shared by 2 instances", "the whole"),
    ("partitions", replace(AMD, gpus=DIES), "note", "amd:0, amd:1: dies of one board", ""),
    ("partitions", with_values(AMD, 8, partition="CPX 0"), "note", "shared by 8 devices", ""),
    ("cpu_energy", replace(NVIDIA, cpu=Seen("cpu", "cpu", {}, {"energy_j": DENIED})), "warning", "RAPL", r"chmod a\+r"),
    ("cpu_energy", replace(NVIDIA, cpu=Seen("cpu", "cpu", {}, {"energy_j": NO_RAPL})), "note", "no RAPL", ""),
]  # fmt: skip


@pytest.mark.parametrize(("check", "facts", "status", "title", "more"), FOUND)
def test_what_is_wrong_is_found_and_explained(check, facts, status, title, more):
    found = [f for f in doctor.examine(facts) if f.check == check and f.status == status]
    told = [f for f in found if title in f.title and re.search(more, f"{f.explanation} {f.fix}".strip(), re.DOTALL)]
    assert len(told) == 1, doctor.examine(facts)


@pytest.mark.parametrize("facts", [NOTHING, NVIDIA, AMD, replace(NOTHING, torch=CPU_ONLY)])
@pytest.mark.parametrize("check", [check.__name__ for check in doctor.CHECKS])
def test_a_sound_machine_has_no_problem_and_no_warning(check, facts):
    assert not [f for f in doctor.examine(facts) if f.check == check and f.status not in ("ok", "note")]


def test_every_check_is_documented_and_tried():
    assert all(check.__doc__ for check in doctor.CHECKS)
    assert {check.__name__ for check in doctor.CHECKS} == {row[0] for row in FOUND}


@pytest.mark.parametrize(
    "facts",
    [
        with_variables(NOTHING, CUDA_VISIBLE_DEVICES="", ROCR_VISIBLE_DEVICES="1"),  # there is nothing to hide
        with_variables(NVIDIA, ROCR_VISIBLE_DEVICES="", CUDA_VISIBLE_DEVICES="0"),  # CUDA knows nothing of ROCR
        with_variables(NVIDIA, CUDA_VISIBLE_DEVICES="GPU-0a1b2c3d"),
        with_variables(AMD, ROCR_VISIBLE_DEVICES="0"),
        replace(NVIDIA, variables={"NVIDIA_DRIVER_CAPABILITIES": "compute"}),  # NVML came all the same, as under CDI
        replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=())),  # unknown is not missing
        replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=("compute_70",))),  # PTX
        replace(NVIDIA, torch=replace(NVIDIA.torch, gpus=({**H100, "architecture": "sm_89"},))),  # on sm_80's code
        replace(AMD, torch=replace(AMD.torch, architectures=("gfx9-4-generic",))),
        replace(AMD, torch=None),
        replace(with_values(NVIDIA, 7, partition="MIG"), gpus=with_values(NVIDIA, 7, partition="MIG").gpus * 8),
        with_values(NVIDIA, power_limit_w=700.0, power_limit_default_w=None),
        replace(NVIDIA, nodes=(), wsl=True),
    ],
)
def test_no_false_alarm(facts):
    assert not [f for f in doctor.examine(facts) if f.status in ("problem", "warning")]


@pytest.mark.parametrize("facts", [undriven(NVIDIA), undriven(AMD), with_nodes(blind(AMD), container="docker"),
                                   with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES="")])  # fmt: skip
def test_one_cause_is_one_problem(facts):
    findings = doctor.examine(facts)
    assert [f.status for f in findings].count("problem") == 1, findings
    assert doctor.verdict(facts, findings) == "1 problem"


def test_verdict():
    def said(facts):
        return doctor.verdict(facts, doctor.examine(facts))

    two = replace(NVIDIA, torch=replace(NVIDIA.torch, gpus=(H100, H100)), gpus=NVIDIA.gpus * 2)
    assert said(two) == "ready to measure on: 2 x NVIDIA H100, AMD EPYC"
    assert said(NOTHING) == "ready to measure on: AMD EPYC"
    assert "without torch" in said(replace(NVIDIA, torch=None))
    many = replace(without_library(NVIDIA), torch=CPU_ONLY)
    assert said(many) == "2 problems; begin with the first"


def test_cards_and_device_files_are_read_from_the_system(tmp_path):
    bus = {
        "0000:0c:00.0": ("0x1002", "0x120000", "0x74a1"), "0000:01:00.0": ("0x10de", "0x030200", "0x2330"),
        "0000:01:00.1": ("0x10de", "0x040300", "0x10f0"), "0000:00:02.0": ("0x8086", "0x030000", "0x9a49"),
    }  # fmt: skip
    for name, words in bus.items():
        place = tmp_path / "sys/bus/pci/devices" / name
        place.mkdir(parents=True)
        for file, word in zip(("vendor", "class", "device"), words, strict=True):
            (place / file).write_text(f"{word}\n")
    (tmp_path / "sys/bus/pci/drivers/amdgpu").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:0c:00.0/driver").symlink_to("../../drivers/amdgpu")
    (tmp_path / "dev/dri").mkdir(parents=True)
    for name in ("kfd", "dri/renderD128", "dri/card0", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.6.0-microsoft-standard-WSL2\n")
    facts = doctor.gather(True, tmp_path)
    assert facts.cards == (
        Card("nvidia", "0000:01:00.0", "0x2330", None), Card("amd", "0000:0c:00.0", "0x74a1", "amdgpu"),
    )  # fmt: skip
    assert [node.path for node in facts.nodes] == ["/dev/nvidiactl", "/dev/dri/renderD128", "/dev/kfd"]
    assert all(node.writable and node.gid == (tmp_path / "dev/kfd").stat().st_gid for node in facts.nodes)
    assert facts.wsl
    assert facts.torch is None
    assert facts.torch_fault == ""
    assert "torch" in facts.packages


# ---- the command


def printed(monkeypatch, capsys, facts: Facts, *arguments: str) -> tuple[int, str]:
    from gpuprof.cli.doctor import command

    monkeypatch.setattr(doctor, "gather", lambda quick: facts)
    code = command.main([*arguments], standalone_mode=False)
    return code, capsys.readouterr().out


def test_problems_and_warnings_come_with_their_fix(monkeypatch, capsys):
    code, out = printed(monkeypatch, capsys, with_values(replace(NVIDIA, torch=CPU_ONLY), power_limit_w=400.0))
    assert code == 1
    lines = out.splitlines()
    assert "✗ a CPU-only torch beside a GPU of NVIDIA" in lines
    assert "! nvidia:0: power is capped at 400 W of 700 W" in lines
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
        libraries=(NVML._replace(version=evil), NO_AMD_SMI._replace(fault=evil, fix=evil, noise=evil)),
        cards=(Card("amd", evil, evil, evil),), packages={"pynvml": evil},
    )  # fmt: skip
    for machine in (facts, replace(facts, torch=Torch(evil, evil, evil, ({**H100, "name": evil},), (evil,), (evil,)))):
        _, out = printed(monkeypatch, capsys, machine)
        assert "[red]GPU[/red]" in out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "\n✓ all is well" not in out


@pytest.mark.parametrize("value", ["9" * 5000, "²", "٣", ",,", "GPU-x,0", " 0 ", "\udcff"])
def test_strange_lists_of_devices_are_no_crash(value):
    for facts in (NVIDIA, AMD, blind(NVIDIA), blind(AMD), replace(AMD, torch=None)):
        doctor.examine(with_variables(facts, 4, **dict.fromkeys(VARIABLES, value)))


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
    assert "! nvidia:0: power is capped at 350 W of 700 W" in done.out
    assert "! nvidia:0: 7 memory errors" in done.out
    assert "· nvidia:0: the PCIe link has 4 of 16 lanes" in done.out
    assert "in use by" not in done.out


def test_an_amdsmi_of_another_release_is_a_problem(tmp_path):
    if not importlib.util.find_spec("amdsmi"):
        pytest.skip("needs amdsmi")
    built = simulators.build(tmp_path / "lib", vendors=["amd"], oversize_bytes=64)
    done = on((["amd"], built), "mi300x_spx", tmp_path, "--quick")
    assert done.code == 1
    assert "✗ amdsmi and libamd_smi are of different releases" in done.out
    assert "share/amd_smi" in done.out
