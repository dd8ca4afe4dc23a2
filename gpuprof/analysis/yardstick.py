"""Whether the machine itself was as fast for one side as for the other: what the yardsticks say.

Every process times a fixed product and a fixed copy (`worker.yardstick`). Where both sides ran on the same machines, in
runs of their own, and these times differ by more than their scatter explains, part of a difference between the sides
is the machine's: other work on it, heat, a neighbour. How much of it nobody knows, so intervals widen by all of it.
"""

from __future__ import annotations

import json
import math

from gpuprof.analysis.effect import Effect, between
from gpuprof.analysis.evidence import CaseEvidence, Evidence
from gpuprof.analysis.levels import Level
from gpuprof.index.brief import as_text
from gpuprof.record.variables import settings
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

    def values(side: Evidence, name: str) -> set[str]:
        found = set(side.facts.get(name, {}))
        return {as_text(settings(json.loads(text))) for text in found} if name == "variables" else found

    def alike(names: tuple[str, ...]) -> bool:
        return all(values(baseline, name) == values(candidate, name) for name in names)

    if not alike(_MACHINE):
        return ()
    return (PRODUCT, COPY) if alike(_SOFTWARE) else (COPY,)


def shift(baseline: CaseEvidence, candidate: CaseEvidence, yardsticks: tuple[str, ...]) -> float:
    """By how much the machine changed: candidate / baseline of the yardstick that changed most, as a logarithm.

    Above 0 it was slower for the candidate. A difference d with the standard error s counts as d (1 - s² / d²), and not
    at all below s (the positive part of James and Stein 1961): little of what scatter explains, nearly all of what it
    does not. A test at 5% would let a change pass where three processes a side scatter with the load. Below LEAST it is
    0. Only runs on the same machines with equal numbers of threads can tell.
    """
    if baseline.runs == candidate.runs or baseline.fields["threads"] != candidate.fields["threads"]:
        return 0.0
    levels = [(baseline.level(name), candidate.level(name)) for name in yardsticks]
    most = max((_beyond_scatter(change(b, c)) for b, c in levels if b and c), key=abs, default=0.0)
    return most if abs(most) >= LEAST else 0.0


def _beyond_scatter(effect: Effect | None) -> float:
    if effect is None or effect.measured is None or abs(effect.difference) <= effect.measured.se:
        return 0.0
    return effect.difference * (1 - (effect.measured.se / effect.difference) ** 2)


def change(baseline: Level, candidate: Level) -> Effect | None:
    """One yardstick, candidate / baseline, with its measured scatter alone; None for other machines."""
    same = baseline.names == candidate.names
    return between(baseline, candidate, machine_spread=0.0, run_spread=0.0) if same else None


def times(case: CaseEvidence) -> str:
    """The case's yardsticks, for a reader."""
    levels = {"product": case.level(PRODUCT), "copy": case.level(COPY)}
    return ", ".join(f"{name} {show(math.exp(level.mean), 's')}" for name, level in levels.items() if level is not None)
