"""Processors, memory, quotas and out-of-memory kills, from /proc, /sys and the control groups."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path


@functools.cache
def physical_cores() -> int:
    """Physical cores that this process may use, at least 1: those of its affinity, fewer under a container's quota."""
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


def oom_kills() -> int | None:
    """Number of processes of this control group killed by the kernel for memory; None if it does not count them."""
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
    """The CPU's model name; None if Linux does not report one."""
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def memory_total_bytes() -> int | None:
    """Memory of the whole machine, whatever a container may use of it; None where Linux does not report it."""
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None
