"""Does a real machine whose load changes between two equal runs get a verdict? And is a real difference still found?

    python scripts/bench/aa.py [--pairs 10] [--seed 1] [--store DIRECTORY]

Each pair is two quick runs of the LSTM on one CPU thread, one after the other, while another process starts and stops
a busy loop at random. The first of each pair is also compared with a third run, whose fused kernels are switched off.

Goal: no verdict on any pair of equal runs, and `slower` on every pair without fused kernels. Takes 40 s a run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GPUPROF = [sys.executable, "-m", "gpuprof"]
ONE_THREAD = ("--quick", "--device", "cpu", "--set", "threads=1")
LONGEST_S = 20.0  # of a busy loop, and of the quiet between two


class Load(threading.Thread):
    """Busy for a random time, then quiet for a random time, until stopped."""

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self._rng = random.Random(seed)
        self._stopped = threading.Event()
        self.busy_s = self.whole_s = 0.0

    def run(self) -> None:
        while not self._stopped.is_set():
            for busy in (True, False):
                loop = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
                started = time.monotonic()
                self._stopped.wait(self._rng.uniform(0.5, LONGEST_S))
                if loop is not None:
                    loop.kill()
                    loop.wait()
                    self.busy_s += time.monotonic() - started
                self.whole_s += time.monotonic() - started

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def measured(store: Path, *options: str) -> Path:
    """A store with one run."""
    command = [*GPUPROF, "run", "configs/lstm.yaml", *ONE_THREAD, *options, "--store", str(store)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store


def compared(baseline: Path, candidate: Path, *options: str) -> dict[str, Any]:
    command = [*GPUPROF, "compare", str(baseline), str(candidate), "--json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return found


def told(name: str, found: dict[str, Any]) -> set[str]:
    """The verdicts, printed with the overall ratio."""
    overall = found["overall"]
    verdicts = {claim["verdict"] for claim in (*found["claims"], overall) if claim["verdict"] is not None}
    low, high = overall["interval"]
    print(f"{name}: {overall['ratio']:.3f} [{low:.3f}, {high:.3f}], machine changed {overall['shift']:.1%}: "
          f"{', '.join(sorted(verdicts))}", flush=True)  # fmt: skip
    return verdicts - {"no difference shown"}


def main() -> int:
    """Exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", type=Path, help="keeps the runs, in directories; default: a temporary one")
    arguments = parser.parse_args()
    false = found = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.store or Path(temporary)
        load = Load(arguments.seed)
        load.start()
        for pair in range(arguments.pairs):
            first, second = (measured(place / f"{pair}-{name}") for name in ("first", "second"))
            unfused = measured(place / f"{pair}-unfused", "--set", "params.fused=false")
            false += bool(told(f"pair {pair + 1}, equal  ", compared(first, second)))
            found += "slower" in told(f"pair {pair + 1}, unfused", compared(first, unfused, "--vary", "params"))
        load.stop()
    print(f"busy {load.busy_s / load.whole_s:.0%} of the time; equal runs with a verdict: {false} of {arguments.pairs} "
          f"(goal 0); unfused found: {found} of {arguments.pairs} (goal all)")  # fmt: skip
    return int(false > 0 or found < arguments.pairs)


if __name__ == "__main__":
    raise SystemExit(main())
