"""Step time of the LSTM with telemetry on over telemetry off: the sampler runs in another process, as in a run.

    python scripts/bench/telemetry_cost.py
    python scripts/bench/telemetry_cost.py --device cuda      # wall time, the real sensors

Goal: upper 95% bound of the ratio at most 1.005 (CPU: CPU time of the process that computes, on one thread, beside
simulated GPUs of both vendors whose calls take 200 us), in A B B A squares of short segments. The sampler is switched
off by stopping its process; when it goes on it is late and samples at once, so that it runs at more than its rate.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOAL = 1.005
SEGMENT_S = 0.03


def sampler(hz: float) -> None:
    """The process beside: samples every device while it is told to."""
    from gpuprof import telemetry
    from gpuprof.telemetry.sampler import Sampler

    devices = telemetry.all_devices(telemetry.open_backends())
    with Sampler(devices, hz):
        print(len(devices), flush=True)
        sys.stdin.read()  # until the other side closes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sampler", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sampler:
        sampler(options.hz)
        return 0

    import torch
    from _pairs import abba, ratio
    from vs_bare import NETS, gpuprof_loop

    from gpuprof.worker.device import ComputeDevice

    torch.set_num_threads(1)
    device = ComputeDevice(None if options.device == "cpu" else 0)
    block, _ = gpuprof_loop("lstm", device, *NETS["lstm"])
    with tempfile.TemporaryDirectory() as place:
        variables: dict[str, str] = {}
        if options.device == "cpu":
            sys.path.insert(0, str(ROOT / "tests"))
            from support import simulators

            gpus = [{"like": model, "latency_us": 200} for model in ("h100", "mi300x_spx")]
            libraries = simulators.build(Path(place) / "lib")
            variables = simulators.variables(libraries, simulators.load({"gpus": gpus}), Path(place))
        variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        beside = subprocess.Popen(
            [sys.executable, __file__, "--sampler", "--hz", str(options.hz)], env={**os.environ, **variables},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert beside.stdin is not None and beside.stdout is not None
        devices = int(beside.stdout.readline())
        state = ""

        def segment(wanted: str) -> Callable[[], float]:
            def run() -> float:
                nonlocal state
                if state != wanted:
                    beside.send_signal(signal.SIGCONT if wanted == "on" else signal.SIGSTOP)
                    state = wanted
                used, blocks = 0.0, 0
                while used < SEGMENT_S:
                    used += block()
                    blocks += 1
                return used / blocks

            return run

        off, on = segment("off"), segment("on")
        off(), on()
        middle, low, high = ratio(abba(off, on, options.pairs))
        beside.kill()
        beside.wait()
    good = high <= GOAL
    print(
        f"lstm, telemetry of {devices} devices at {options.hz:g} Hz on / off: {middle:.4f} [{low:.4f}, {high:.4f}]  "
        f"goal upper bound {GOAL}: {'met' if good else 'MISSED'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
