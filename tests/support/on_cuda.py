"""Python code in a process of its own on the simulated CUDA device."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from support.running import ROOT, variables
from support.simulators import cuda

LIMIT_S = 200
# `said` is what the test gets, with the counts of the simulated runtime under "counts".
_AROUND = """
import json, os, sys
sys.path.insert(0, {tests!r})
import torch
from support.simulators.cuda import Counts
said = {{}}
{code}
counts = Counts.now()
said["counts"] = {{name: getattr(counts, name) for name in ("launches", "graph_launches", "captured", "illegal")}}
said["counts"] |= {{"allocations": list(counts.allocations), "last_illegal": counts.last_illegal.decode()}}
print("\\n" + json.dumps(said), flush=True)
os._exit(0)  # autograd's threads need not be waited for
"""


def environment(libraries: Path, *devices: cuda.Device, **more: Any) -> dict[str, str]:
    """Of a process with these devices, one H100 by default."""
    return cuda.variables(libraries, devices or [cuda.H100], path=[ROOT], **more)


def run(libraries: Path, code: str, *devices: cuda.Device, **more: Any) -> dict[str, Any]:
    """What the code has put into `said`; torch is imported."""
    text = _AROUND.format(tests=str(ROOT / "tests"), code=textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-c", text], env=variables(**environment(libraries, *devices, **more)), capture_output=True,
        text=True, timeout=LIMIT_S, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
