"""What can be told of the machine without torch."""

from __future__ import annotations

import functools
import os
import platform
import re
import socket
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gpuprof

# Variables that change what a run measures, and the job it was part of. Vendor names stand here as data: nothing is
# decided by them.
_PREFIXES = (
    "CUDA_", "CUBLAS_", "CUDNN_", "HIP_", "HIPBLASLT_", "HSA_", "KMP_", "MIOPEN_", "MKL_", "NVIDIA_", "OMP_",
    "ONEDNN_", "PYTORCH_", "ROCBLAS_", "ROCR_", "SLURM_JOB_ID", "TORCH_", "TORCHINDUCTOR_", "TRITON_", "GOMP_",
    "LD_PRELOAD",
)  # fmt: skip

# What each worker is given anew; the user's own value has no effect.
OVERRIDDEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


@functools.cache
def physical_cores() -> int:
    """Physical cores that this process may use: its affinity, less what a container's CPU quota takes away."""
    allowed = usable_cpus()
    cores = set()
    for cpu in allowed:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        package, core = _read(topology / "physical_package_id"), _read(topology / "core_id")
        cores.add((package, core) if core is not None else (None, str(cpu)))
    quota = _cpu_quota()
    return max(1, len(cores) if quota is None else min(len(cores), int(quota)))


def usable_cpus() -> set[int]:
    """Logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def describe() -> dict[str, Any]:
    """Fields of `record.Environment` that need no torch."""
    facts: dict[str, Any] = {
        "cpu": cpu_name(),
        "memory_total_bytes": _memory_total_bytes(),
        "container": _container(),
        "gpuprof_commit": _commit(),
    }
    reasons = {
        "cpu": "/proc/cpuinfo names none",
        "memory_total_bytes": "/proc/meminfo has no total",
        "container": "no sign of a container",
        "gpuprof_commit": "neither a checkout that git can read nor an image that was built with its commit",
    }
    return {
        **facts,
        "hostname": socket.gethostname(),
        "os": _os_name(),
        "kernel": platform.release(),
        "cpu_physical_cores": physical_cores(),
        "cpu_logical_cores": len(usable_cpus()),
        "python": platform.python_version(),
        "gpuprof": gpuprof.__version__,
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(_PREFIXES) and k not in OVERRIDDEN},
        "absent": {name: reason for name, reason in reasons.items() if facts[name] is None},
    }


def describe_cpu() -> dict[str, Any]:
    """Fields of `record.Device` for the CPU of this machine."""
    memory = _memory_total_bytes()
    absent = dict.fromkeys(("vendor", "index", "uuid", "pci"), "a CPU has none")
    return {
        "kind": "cpu",
        "vendor": None,
        "name": cpu_name() or platform.machine(),
        "index": None,
        "uuid": None,
        "pci": None,
        "architecture": platform.machine(),
        "memory_total_bytes": memory,
        "compute_units": physical_cores(),
        "absent": absent if memory is not None else absent | {"memory_total_bytes": "/proc/meminfo has no total"},
    }


def oom_kills() -> int | None:
    """Processes that the kernel killed for memory in this control group so far; None where it does not count them."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control")):
        group = _own_memory_group(path)
        for line in (_read(group) or "").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def _own_memory_group(path: Path) -> Path:
    """The file of that name in the control group of this process, or the one at the root."""
    version_2 = path.name == "memory.events"
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if (version_2 and controllers == "") or (not version_2 and "memory" in controllers.split(",")):
            own = path.parent / group.lstrip("/") / path.name
            if own.is_file():
                return own
    return path


def utc_now() -> str:
    """The time as records hold it: ISO 8601, milliseconds, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None


def _cpu_quota() -> float | None:
    limit = (_read(Path("/sys/fs/cgroup/cpu.max")) or "").split()
    if len(limit) != 2:
        quota, period = (_read(Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us")) for name in ("quota", "period"))
        limit = [quota, period] if quota and period else []
    try:
        return float(limit[0]) / float(limit[1]) if limit and float(limit[0]) > 0 else None
    except ValueError:  # "max"
        return None


def cpu_name() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def _memory_total_bytes() -> int | None:
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _container() -> str | None:
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    # podman hides that file where the root file system is read-only; this variable it sets all the same.
    if name := os.environ.get("container"):  # noqa: SIM112
        return name
    for variable, name in (("APPTAINER_NAME", "apptainer"), ("KUBERNETES_SERVICE_HOST", "kubernetes")):
        if variable in os.environ:
            return name
    return None


def _commit() -> str | None:
    """Commit of the checkout that gpuprof runs from, with `+changes` where files differ from it; or an image's."""
    root = Path(gpuprof.__file__).parents[1]
    if not (root / ".git").exists():
        # As much of it as git tells below, so that an image and a checkout of one commit are told the same.
        told = re.fullmatch(r"([0-9a-f]{7,12})[0-9a-f]*(\+changes)?", os.environ.get("GPUPROF_REVISION", ""))
        return "".join(told.groups("")) if told else None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+changes", "--abbrev=12", "--exclude=*"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
