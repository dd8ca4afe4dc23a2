"""CPU time of `gpuprof --help` over `python -c pass`. Goal: at most 2.8 times, with neither torch nor numpy imported.

python scripts/bench/cli_start.py --n 15
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

GOAL = 2.8
SCRIPT = shutil.which("gpuprof", path=str(Path(sys.executable).parent)) or "gpuprof"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "gpuprof --help": [SCRIPT, "--help"],
    "gpuprof run --dry-run": [SCRIPT, "run", str(Path(__file__).parents[2] / "configs/lstm.yaml"), "--dry-run"],
}


def cpu_s(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=15)
    options = parser.parse_args()
    for command in COMMANDS.values():
        cpu_s(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.n):
        for name, command in COMMANDS.items():
            times[name].append(cpu_s(command))
    best = {name: min(values) for name, values in times.items()}
    base = best["python -c pass"]
    for name, value in best.items():
        print(f"{name:22} {value * 1e3:6.1f} ms CPU, {value / base:.2f} x python -c pass")
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPT, "--help"], capture_output=True, text=True, check=True
    ).stderr
    heavy = [m for m in ("torch", "numpy", "scipy", "rich", "pydantic") if f" {m}\n" in loaded]
    ratio = best["gpuprof --help"] / base
    good = ratio <= GOAL and not heavy
    print(f"gpuprof --help: {ratio:.2f} (goal {GOAL}), heavy imports {heavy or 'none'}: {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
