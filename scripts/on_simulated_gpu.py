"""Run a command on a machine with a simulated GPU, which this machine need not have.

    python scripts/on_simulated_gpu.py h100 python -m gpuprof run configs/cnn.yaml --quick --device gpu
    python scripts/on_simulated_gpu.py mi300x_spx python -m gpuprof devices
    python scripts/on_simulated_gpu.py --kernel-ns 0 h100 python scripts/bench/vs_bare.py --device cuda

PyTorch's own CUDA build runs on a simulated runtime, and the real nvidia-ml-py or amdsmi over a simulated library; the
MI300X has the shape of PyTorch's ROCm build (tests/support/simulators). Whatever is measured so is measured of no
hardware, and its records say so. Needs a C compiler, the development requirements and some 20 s to build.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """The exit code of the command."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import simulators
    from support.simulators import cuda, machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=list(machine.MODELS))
    parser.add_argument("--kernel-ns", type=int, default=2000, help="how long a kernel takes (default 2000)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("name a command")
    with tempfile.TemporaryDirectory(prefix="simulated-gpu-") as name:
        place = Path(name)
        for folder in ("libraries", "cuda", "machine"):
            (place / folder).mkdir()
        simulators.build(place / "libraries")
        cuda.build(place / "cuda")
        said = machine.machine(options.model, place / "libraries", place / "cuda", place / "machine",
                               kernel_ns=options.kernel_ns, path=[ROOT])  # fmt: skip
        return subprocess.run(options.command, env=os.environ | said, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
