"""Processes that scatter as the method says: by 1%, their steps by 2% and averaged; 1% of the values are outliers."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence

from gpuprof.analysis import effect
from gpuprof.analysis.levels import Sample

# Where no run has a day of its own, nothing is to be added for one.
without_days = functools.partial(effect.compare, run_spread=0.0)
PROCESS_SD = 0.01
STEP_SD = 0.02
MACHINE_SD = 0.015


def sample(logs: Sequence[float], machine: str = "m") -> Sample:
    """One run's processes."""
    mean = math.fsum(logs) / len(logs)
    return Sample(machine, len(logs), mean, math.fsum((log - mean) ** 2 for log in logs))


def of(*values: float, machine: str = "m") -> Sample:
    return sample([math.log(value) for value in values], machine)


def noise(rng: random.Random, *, outliers: bool = False) -> float:
    """The logarithm of one process's value around its device's: its own effect and what is left of its steps'."""
    log = rng.gauss(0, PROCESS_SD) + rng.gauss(0, STEP_SD / math.sqrt(40))
    return log - math.log(rng.uniform(1.2, 2.0)) if outliers and rng.random() < 0.01 else log


def processes(rng: random.Random, count: int, speed: float = 0.0, *, outliers: bool = False) -> list[float]:
    return [speed + noise(rng, outliers=outliers) for _ in range(count)]
