"""Machines that `gpuprof doctor` looks at, made up: a sound one of each kind, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import replace

from gpuprof.absent import Absent
from gpuprof.doctor.facts import Card, Facts, Library, Node, Seen, Torch

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
NO_NVML = Library("nvidia", "NVML", "", Absent("libnvidia-ml.so.1 was not found"), "install NVIDIA's driver")
NO_AMD_SMI = Library("amd", "AMD SMI", "", Absent("libamd_smi.so was not found"), "install ROCm", "said in C")
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


def with_values(facts: Facts, shared_by: int | None = 1, **values) -> Facts:
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


CPU_ONLY = Torch("2.15.0+cpu", "cpu")
