"""What one fresh process costs. Python's bytecode is kept as an installed package keeps it, so that what was compiled
in one call is read in the next; without that, some machines (PYTHONDONTWRITEBYTECODE) compile gpuprof each time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def cost(command: list[str], bytecode: Path, **variables: str) -> tuple[float, float]:
    """CPU seconds and peak MB (10^6 bytes) of a process that must succeed; what it prints is thrown away."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**inherited, "PYTHONPYCACHEPREFIX": str(bytecode), **variables}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{said}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
