"""Facts of the machine that need no torch."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import gpuprof
from gpuprof.record.variables import kept
from gpuprof.system.procfs import cpu_name, memory_total_bytes, physical_cores, usable_cpus

# Variables that each worker gets from its supervisor: the user's own values have no effect.
OVERRIDDEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def describe() -> dict[str, Any]:
    """The fields of `record.run.Environment` that need no torch, with `absent` for those that are None."""
    facts: dict[str, Any] = {
        "cpu": cpu_name(),
        "memory_total_bytes": memory_total_bytes(),
        "container": _container(),
        "gpuprof_commit": _commit(),
    }
    reasons = {
        "cpu": "/proc/cpuinfo has no model name",
        "memory_total_bytes": "/proc/meminfo has no total",
        "container": "no container was detected",
        "gpuprof_commit": "neither a readable git checkout nor an image built with its commit",
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
        "variables": kept({name: value for name, value in os.environ.items() if name not in OVERRIDDEN}),
        "absent": {name: reason for name, reason in reasons.items() if facts[name] is None},
    }


def describe_cpu() -> dict[str, Any]:
    """The fields of `record.run.Device` for the CPU of this machine."""
    memory = memory_total_bytes()
    absent = dict.fromkeys(("vendor", "index", "uuid", "pci"), "not defined for a CPU")
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
    # With a read-only root file system podman makes no such file; it always sets this variable.
    if name := os.environ.get("container"):  # noqa: SIM112
        return name
    for variable, name in (("APPTAINER_NAME", "apptainer"), ("KUBERNETES_SERVICE_HOST", "kubernetes")):
        if variable in os.environ:
            return name
    return None


def _commit() -> str | None:
    """Commit of the checkout or image that gpuprof runs from, with `+changes` where the files differ from it."""
    root = Path(gpuprof.__file__).parents[1]
    if not (root / ".git").exists():
        # Twelve digits, as git prints below, so that an image and a checkout of one commit are equal.
        revision = re.fullmatch(r"([0-9a-f]{7,12})[0-9a-f]*(\+changes)?", os.environ.get("GPUPROF_REVISION", ""))
        return "".join(revision.groups("")) if revision else None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+changes", "--abbrev=12", "--exclude=*"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
