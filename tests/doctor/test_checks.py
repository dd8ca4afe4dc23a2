"""Each check of `gpuprof doctor` on made-up machines."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gpuprof import doctor
from gpuprof.absent import Absent
from gpuprof.doctor.facts import NOT_ASKED, VARIABLES, Facts, Seen, Torch
from gpuprof.record.run import Calibration
from gpuprof.telemetry.device import NoReading
from support.machines import (
    AMD,
    AMD_SMI,
    CPU_ONLY,
    GOOD_MI300X,
    H100,
    INSTALLED,
    NOTHING,
    NVIDIA,
    NVML,
    blind,
    shut,
    undriven,
    with_absent,
    with_nodes,
    with_values,
    with_variables,
    without_library,
)

CUDA_ONLY = Torch("2.15.0+cu132", "cuda", "13.2")
MISFIT = "amdsmi_get_gpu_metrics_info: libamd_smi 26.0.2 writes 900 bytes ...: they are of different releases"
NO_SENSOR = NoReading("no sensor", "unsupported")
MISFIT_LIBRARY = Absent("it does not fit the installed libamd_smi.so")
GONE = NoReading("the GPU is lost", "lost")
DENIED = NoReading("/sys/class/powercap/x/energy_uj is for root alone", "no_permission")
NO_RAPL = NoReading("this kernel offers no RAPL", "unsupported")
PROCESSES = [{"pid": number, "memory_bytes": 1} for number in range(41, 47)]
DIES = tuple(Seen("amd", f"amd:{i}", GOOD_MI300X | {"name": "AMD Instinct MI250X"}, shared_by=2) for i in (0, 1))

PART_TIME = Calibration(
    kind="part-time", means="it sees a part", measured_at="2026-11-27T10:00:00Z", driver="1", lag_s=0.01
)


def calibrated(calibration: Calibration | Absent) -> Facts:
    return replace(NVIDIA, gpus=(replace(NVIDIA.gpus[0], calibration=calibration),))


# (check, machine, status, words of the title, words of explanation or fix)
FOUND = [
    ("hardware", NOTHING, "note", "only the CPU", ""),
    ("hardware", replace(NOTHING, wsl=True), "note", "WSL", "not for comparisons"),
    ("hardware", NVIDIA, "ok", "1 NVIDIA GPU on the PCI bus: 0000:1b:00.0 (0x2330)", ""),
    ("simulated", replace(NOTHING, gpus=(Seen("amd", "amd:0", simulated=True),)), "warning", "amd:0", "ROCM_HOME"),
    ("simulated", replace(NVIDIA, torch=replace(NVIDIA.torch, gpus=({**H100, "name": "SIMULATED H100"},))), "warning",
     "not real hardware: gpu:0 SIMULATED H100", "LD_PRELOAD"),
    ("torch_import", NVIDIA, "ok", "2.15.0+cu132, CUDA build", ""),
    ("torch_import", replace(NVIDIA, torch=NOT_ASKED), "skipped", "torch 2.15.0 was not started",
     "sees and supports"),
    ("torch_import", replace(AMD, torch=NOT_ASKED, packages={}), "problem", "not installed", "whl/rocm7"),
    ("torch_import", replace(NOTHING, torch=Absent("libcudart.so.13: cannot open")), "problem",
     "torch cannot be used", "libcudart"),
    ("drivers", undriven(NVIDIA), "problem", "NVIDIA GPU 0000:1b:00.0 has no driver", "install NVIDIA's driver"),
    ("drivers", undriven(NVIDIA, "nouveau"), "problem", "has the wrong driver (nouveau)",
     "Computing needs the nvidia driver"),
    ("drivers", undriven(AMD, "radeon"), "problem", "has the wrong driver (radeon)", "modprobe amdgpu"),
    ("drivers", undriven(AMD, "vfio-pci"), "note", "virtual machine", ""),
    ("torch_sees", blind(NVIDIA, no_gpu="Error 802: not yet initialized. Start nvidia-fabricmanager."), "problem",
     "sees no NVIDIA GPU", "systemctl start nvidia-fabricmanager"),
    ("torch_sees", blind(NVIDIA, no_gpu="Error 999: unknown error"), "problem", "sees no NVIDIA GPU", "Error 999"),
    ("compiler", replace(NOTHING, compile_lacks=("C++ compiler", "Python.h")), "note",
     "no C++ compiler and no Python.h", "python3-dev"),
    ("compiler", replace(NVIDIA, compile_lacks=("libcuda.so.1",)), "note", "no libcuda.so.1",
     "without it. sudo ldconfig"),
    ("access", with_nodes(blind(AMD), container="docker"), "problem", "/dev/kfd and /dev/dri/renderD missing",
     r"--device /dev/kfd --device /dev/dri --group-add \$\(getent group render \| cut -d: -f3\)"),
    ("access", with_nodes(blind(AMD), container="kubernetes"), "problem", "/dev/kfd", "amd.com/gpu: 1"),
    ("access", with_nodes(blind(NVIDIA), container="apptainer"), "problem", "/dev/nvidiactl", "--nv"),
    ("access", with_nodes(blind(NVIDIA), container="docker"), "problem", "/dev/nvidiactl", "--gpus all"),
    ("access", with_nodes(blind(AMD), AMD.nodes[0]), "problem", "AMD: /dev/dri/renderD missing",
     "sudo modprobe amdgpu"),
    ("access", blind(shut(AMD)), "problem", "no permission to open /dev/kfd, /dev/dri/renderD128",
     "usermod -a -G render"),
    ("access", blind(shut(AMD, container="docker", group=None)), "problem", "/dev/kfd", "--group-add 110"),
    ("access", blind(shut(AMD, container="podman", gid=65534)), "problem", "/dev/kfd", "keep-groups"),
    ("access", blind(shut(AMD, gid=0, group="root")), "problem", "/dev/kfd", "group render"),
    ("access", shut(AMD), "warning", "no permission", "1000"),
    ("visibility", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES=""), "problem", "hides every GPU from torch",
     "unset CUDA_VISIBLE_DEVICES"),
    ("visibility", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES="-1"), "problem", "=-1", "hides every GPU"),
    ("visibility", with_variables(blind(NVIDIA), 4, CUDA_VISIBLE_DEVICES="4,0"), "problem", "=4,0",
     "4 GPUs can be listed"),
    ("visibility", with_variables(blind(AMD), ROCR_VISIBLE_DEVICES=""), "problem", "ROCR", "unset ROCR"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="7"), "problem", "ROCR", "4 GPUs can be listed"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="1", CUDA_VISIBLE_DEVICES="1"), "problem",
     "ROCR_VISIBLE_DEVICES=1 CUDA_VISIBLE_DEVICES=1", "renumbers from 0.*unset CUDA_VISIBLE_DEVICES$"),
    ("visibility", with_variables(replace(AMD, torch=NOT_ASKED), 4, ROCR_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="1"),
     "problem", "hides every GPU from torch", "unset HIP_VISIBLE_DEVICES$"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="7", HIP_VISIBLE_DEVICES="0"), "problem",
     "ROCR_VISIBLE_DEVICES=7 HIP_VISIBLE_DEVICES=0 hides", "4 GPUs can be listed.*unset ROCR_VISIBLE_DEVICES$"),
    ("visibility", with_variables(blind(AMD), 4, ROCR_VISIBLE_DEVICES="7", HIP_VISIBLE_DEVICES="5"), "problem",
     "hides every GPU from torch", "4 GPUs can be listed.*unset ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES$"),
    ("visibility", with_variables(AMD, 4, ROCR_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="0"), "note",
     "filtered twice", "Slurm"),
    ("visibility", with_variables(NVIDIA, 4, CUDA_VISIBLE_DEVICES="3"), "note", "torch sees 1 of 4 NVIDIA GPUs", ""),
    ("torch_build", replace(NVIDIA, torch=CPU_ONLY), "problem", "CPU-only torch on a machine with NVIDIA GPUs",
     "whl/cu130"),
    ("torch_build", replace(AMD, torch=CPU_ONLY), "problem", "with AMD GPUs", "whl/rocm7.*get-started"),
    ("torch_build", replace(AMD, torch=CUDA_ONLY), "problem", "CUDA build of torch on a machine with AMD GPUs",
     "whl/rocm7"),
    ("torch_build", replace(NVIDIA, torch=Torch("2.13", "rocm")), "problem", "ROCm build", "whl/cu130"),
    ("torch_build", replace(NVIDIA, cards=(*NVIDIA.cards, *AMD.cards)), "note", "cannot use the AMD GPUs", "second"),
    ("libraries", NVIDIA, "ok", "NVML (driver 580.65.06) lists 1 GPU", ""),
    ("libraries", without_library(NVIDIA), "problem", "libnvidia-ml.so.1 was not found", "install NVIDIA's driver"),
    ("libraries", without_library(AMD), "problem", "libamd_smi.so was not found", "said in C.*install ROCm"),
    ("libraries", replace(without_library(NVIDIA), variables={"NVIDIA_DRIVER_CAPABILITIES": "compute,video"}),
     "problem", "NVML", "compute,video lacks utility.*compute,utility"),
    ("libraries", replace(AMD, libraries=(AMD_SMI._replace(fault=MISFIT_LIBRARY),)),
     "problem", "does not fit", "/opt/rocm/share/amd_smi"),
    ("libraries", undriven(NVIDIA), "skipped", "NVML not checked: NVIDIA GPU 0000:1b:00.0 has no", ""),
    ("libraries", replace(NVIDIA, cards=(*NVIDIA.cards, *AMD.cards), nodes=(*NVIDIA.nodes, *AMD.nodes)), "note",
     "AMD SMI: libamd_smi.so was not found", ""),
    ("torch_sees", NVIDIA, "ok", "torch sees 1 GPU: gpu:0 NVIDIA H100", ""),
    ("torch_sees", blind(NVIDIA), "problem", "sees no NVIDIA GPU", "torch.zeros"),
    ("torch_sees", replace(blind(AMD), container="docker"), "problem", "sees no AMD GPU", "--device /dev/kfd"),
    ("torch_sees", with_values(blind(NVIDIA), driver_version="550.54.15"), "problem", "driver is too old",
     "580 or newer.*whl/cu126"),
    ("torch_sees", undriven(AMD), "skipped", "sees no AMD GPU: AMD GPU 0000:0c:00.0 has no driver", ""),
    ("torch_sees", with_variables(blind(NVIDIA), CUDA_VISIBLE_DEVICES=""), "skipped", "hides every GPU from torch", ""),
    ("packages", replace(NOTHING, packages={"pynvml": "11.5.3"}), "warning", "instead of nvidia-ml-py", "uninstall"),
    ("packages", replace(NOTHING, packages=INSTALLED | {"pynvml": "11.5.3"}), "warning", "alongside nvidia-ml-py", ""),
    ("packages", replace(NOTHING, packages=INSTALLED | {"pynvml": "13.0.1"}), "note", "not needed", ""),
    ("amdsmi_fits", with_absent(AMD, throttle_counters=NoReading(MISFIT, "unsupported")), "problem",
     "from different releases", "writes 900 bytes.*/opt/rocm/share/amd_smi"),
    ("lost", with_absent(NVIDIA, device=GONE), "problem", "nvidia:0: lost", "dmesg.*restart"),
    ("power", with_absent(AMD, energy_j=NO_SENSOR), "warning", "amd:0: neither", "no sensor"),
    ("architecture", replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=("sm_75", "sm_80"))), "problem",
     "gpu:0 NVIDIA H100: this torch build does not support sm_90", "a newer torch"),
    ("architecture", replace(NVIDIA, torch=replace(NVIDIA.torch, architectures=("sm_100", "sm_120"))), "problem",
     "sm_90", "whl/cu126"),
    ("architecture", replace(AMD, torch=replace(AMD.torch, architectures=("gfx90a", "gfx1100"))), "problem",
     "does not support gfx942", "rocm/pytorch"),
    ("override", replace(AMD, variables={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}), "note", "=10.3.0", "gfx942.*wrong"),
    ("attribution", replace(NVIDIA, torch=replace(NVIDIA.torch, unattributed=("cannot attribute",))), "warning",
     "without power or energy", "cannot attribute"),
    ("attribution", replace(AMD, gpus=AMD.gpus * 2), "warning", "torch sees 1 AMD GPU, AMD SMI lists 2", "variable"),
    ("power_cap", with_values(NVIDIA, power_limit_w=400.0), "warning", "capped at 400 W (default 700 W)", "-pl WATTS$"),
    ("power_cap", with_values(AMD, power_limit_w=400.0), "warning", "amd:0: power capped", "amd-smi reset"),
    ("busy", with_values(NVIDIA, processes=PROCESSES), "warning", "by 6 processes (PID 41, 42, 43, 44, ...)", "host"),
    ("ecc", with_values(AMD, ecc_uncorrected=3), "warning", "amd:0: 3 uncorrectable memory errors", "wrong data"),
    ("pcie", with_values(NVIDIA, pcie_width=8), "note", "8 of 16 lanes", "under load"),
    ("partitions", with_values(NVIDIA, 2, partition="MIG"), "note", "shared by 2 instances", "all of them"),
    ("partitions", with_values(NVIDIA, None, partition="MIG"), "note", "instances that cannot be seen", "all of them"),
    ("partitions", replace(AMD, gpus=DIES), "note", "amd:0, amd:1: dies of one board", ""),
    ("partitions", with_values(AMD, 8, partition="CPX 0"), "note", "shared by 8 devices", ""),
    ("lost", replace(NVIDIA, libraries=(NVML._replace(unusable=("GPU 1: no permission (NVML error 4)",)),)), "note",
     "may not open a GPU", "belongs to others"),
    ("lost", replace(NVIDIA, libraries=(NVML._replace(unusable=("GPU 1: it fell off the bus",)),)), "problem",
     "cannot open a GPU", "restart the machine"),
    ("calibration", calibrated(Absent("it has not run")), "note", "nothing has shown yet", "gpuprof calib"),
    ("calibration", calibrated(PART_TIME), "warning", "it sees a part", "is wrong"),
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
        replace(AMD, torch=NOT_ASKED),
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
    assert "torch was not checked" in said(replace(NVIDIA, torch=NOT_ASKED))
    many = replace(without_library(NVIDIA), torch=CPU_ONLY)
    assert said(many) == "2 problems; start with the first"


# ---- the command


@pytest.mark.parametrize("value", ["9" * 5000, "²", "٣", ",,", "GPU-x,0", " 0 ", "\udcff"])
def test_strange_lists_of_devices_are_no_crash(value):
    for facts in (NVIDIA, AMD, blind(NVIDIA), blind(AMD), replace(AMD, torch=NOT_ASKED)):
        doctor.examine(with_variables(facts, 4, **dict.fromkeys(VARIABLES, value)))
