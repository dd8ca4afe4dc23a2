"""Whether the machine itself was as fast for one side as for the other: what the yardsticks say.

Every process times a fixed product and a fixed copy (`worker.yardstick`). Where both sides ran on the same machines, in
runs of their own, and these times differ by more than their scatter explains, part of a difference between the sides
is the machine's: other work on it, heat, a neighbour. How much of it nobody knows, so intervals widen by all of it.
"""

from __future__ import annotations

import math

from gpuprof.analysis.effect import LEVEL, between
from gpuprof.analysis.evidence import CaseEvidence, Evidence
from gpuprof.analysis.levels import Level
from gpuprof.units import show

PRODUCT, COPY = "yardstick_product_s", "yardstick_copy_s"
LEAST = 0.01  # relative: a smaller difference is within the spread that is added to every run
# Facts that change the yardstick itself. Where the machine was set otherwise on purpose, it tells nothing new; where
# the libraries differ, the product is theirs, and only the copy is the machine's.
_MACHINE = ("power_limit_w", "core_clock_max_hz", "ecc_enabled", "partition", "driver_version", "vbios_version",
            "kernel", "cpu")  # fmt: skip
_SOFTWARE = ("torch", "libraries", "variables")


def trusted(baseline: Evidence, candidate: Evidence) -> tuple[str, ...]:
    """The yardsticks that are the same measurement on both sides."""

    def alike(names: tuple[str, ...]) -> bool:
        return all(set(baseline.facts.get(name, {})) == set(candidate.facts.get(name, {})) for name in names)

    if not alike(_MACHINE):
        return ()
    return (PRODUCT, COPY) if alike(_SOFTWARE) else (COPY,)


def shift(baseline: CaseEvidence, candidate: CaseEvidence, yardsticks: tuple[str, ...]) -> float:
    """By how much the machine changed: candidate / baseline of the yardstick that changed most, as a logarithm.

    0 where none changed by LEAST, or by more than its scatter explains (Welch's t at 5%). Above 0 it was slower for the
    candidate. Only runs on the same machines with equal numbers of threads can tell.
    """
    if baseline.runs == candidate.runs or baseline.fields["threads"] != candidate.fields["threads"]:
        return 0.0
    levels = [(baseline.level(name), candidate.level(name)) for name in yardsticks]
    return max((moved(b, c) for b, c in levels if b is not None and c is not None), key=abs, default=0.0)


def moved(baseline: Level, candidate: Level) -> float:
    """Candidate / baseline of one yardstick as a logarithm; 0 for other machines, or a change within its scatter."""
    if baseline.names != candidate.names:
        return 0.0
    effect = between(baseline, candidate, machine_spread=0.0, run_spread=0.0)
    sure = effect.p is not None and effect.p < LEVEL
    return effect.difference if sure and abs(effect.difference) >= LEAST else 0.0


def times(case: CaseEvidence) -> str:
    """The case's yardsticks, for a reader."""
    levels = {"product": case.level(PRODUCT), "copy": case.level(COPY)}
    return ", ".join(f"{name} {show(math.exp(level.mean), 's')}" for name, level in levels.items() if level is not None)
