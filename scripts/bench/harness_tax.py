"""What gpuprof's timing loop adds to a step that does nothing. Goal: at most 1.0 us a step.

python scripts/bench/harness_tax.py --steps 200000 --repeat 7
"""

from __future__ import annotations

import argparse
import sys
import time
from types import SimpleNamespace

from gpuprof.worker.timing import Blocks, Meter

GOAL_US = 1.0


def step() -> None:
    pass


def bare(steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - started


def harness(steps: int, steps_per_block: int) -> float:
    """The throughput loop of a worker, in blocks as short as they get on the fastest network."""
    meter = Meter(step, SimpleNamespace(synchronize=lambda: None, event=lambda: None))
    blocks = Blocks(steps_per_block)
    started = time.perf_counter()
    for _ in range(steps // steps_per_block):
        meter.block(blocks)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--steps-per-block", type=int, default=20, help="20: a block of 20 ms of a 1 ms step")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    taxes = []
    for _ in range(options.repeat):
        plain = bare(options.steps)
        taxes.append((harness(options.steps, options.steps_per_block) - plain) / options.steps * 1e6)
    tax = min(taxes)
    good = tax <= GOAL_US
    print(f"harness tax {tax:.3f} us a step (goal {GOAL_US}; {'met' if good else 'MISSED'}), min of {options.repeat}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
