"""The command line as a subprocess, with nothing of this machine in its variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
DATA = ROOT / "tests" / "data"
SAMPLES = DATA / "samples"
KEPT = DATA / "2026-11-23-cpu-amd-epyc-lstm"  # a record of schema 1
# One thread, so that a busy machine slows tests but does not stall them; the shortest run that has an interval.
SHORT = ("--quick", "--device", "cpu", "--set", "threads=1", "--set", "repeats=2")
LIMIT_S = 200
# What Slurm tells the sixth of the eight tasks of an array.
SLURM = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "7",
         "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_ARRAY_TASK_STEP": "1"}  # fmt: skip


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gpuprof", *map(str, arguments)]


def variables(**extra: str) -> dict[str, str]:
    # Keras hides every GPU from this process (tests/workloads/networks/test_keras.py), simulated ones too.
    ours = ("GPUPROF_", "NO_COLOR", "COLUMNS", "CUDA_VISIBLE_DEVICES")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**clean, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **extra}


def gpuprof(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options) -> Done:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run(
        command(*arguments), cwd=cwd or ROOT, env=variables(**(env or {})), text=True, timeout=LIMIT_S, check=False,
        **streams,
    )  # fmt: skip
    out, err = done.stdout or "", done.stderr or ""
    assert "Traceback" not in out + err, err
    return Done(done.returncode, out, err)


def imported_by(*arguments: str) -> set[str]:
    """Modules that the command line has imported by its end."""
    code = (
        "import sys, runpy; sys.argv[:] = ['gpuprof', *sys.argv[1:]]\n"
        "try: runpy.run_module('gpuprof', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('\\n' + ' '.join(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, env=variables(), capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())
