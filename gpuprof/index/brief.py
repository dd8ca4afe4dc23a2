"""What folding thousands of runs together needs of each: texts that many have in common, and numbers."""

from __future__ import annotations

import functools
import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof import throttling
from gpuprof.case_keys import FIELDS, WORK
from gpuprof.index.digest import CaseDigest, Digest
from gpuprof.metrics import METRICS

STATIC = (
    "case_id", "workload", *WORK, *FIELDS, "requested", "fallback", "outcome", "reason", "correctness", "steady",
    "regime", "energy_method",
)  # fmt: skip
# Of each metric in one run, in the table's order: number of processes, mean and sum of squared deviations of the
# logarithms of their values, and the headline. NaN, nowhere but in here, stands for what is not there.
Numbers = Sequence[float]
PER_METRIC = 4
NOTABLE = 0.05  # share of the time from which on throttling, or others on the host's cores, are told


class Shared:
    """A piece of text that many runs have in common, parsed once."""

    __slots__ = ("data", "key", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data: dict[str, Any] = json.loads(text)
        self.key = (
            self.data.get("workload"),
            *(self.data.get(n) for n in WORK),
            *(as_text(self.data.get(n)) for n in FIELDS),
        )


shared = functools.lru_cache(maxsize=1 << 16)(Shared)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Brief:
    """What folding thousands of runs together needs of each: texts that are the same in many, and numbers."""

    name: str
    run_id: str
    started_at: str
    where: str
    head: Shared
    facts: Shared
    cases: Sequence[tuple[Shared, Numbers]]


def brief(found: Digest, name: str = "") -> Brief:
    head = {
        name: getattr(found, name) for name in ("outcome", "simulated", "kind", "vendor", "device", "host", "machine")
    }
    head |= {"torch": found.facts.get("torch"), "driver": found.facts.get("driver_version")}
    return Brief(
        name, found.run_id, found.started_at, found.where, shared(as_text(head)), shared(as_text(found.facts)),
        [(shared(static(case)), _all_numbers(case)) for case in found.cases],
    )  # fmt: skip


def static(case: CaseDigest) -> str:
    """The part of a case that later runs of it have in common with it."""
    facts = case.facts
    shares = facts.get("throttled_share") or {}
    slowed = sorted(name for name, share in throttling.throttled(shares).items() if share > NOTABLE)
    doubts = [check for check in facts.get("checks") or () if not check.startswith("throttled")]
    crowded = max(facts.get("cpu_waiting") or 0.0, facts.get("cpu_stolen") or 0.0) > NOTABLE
    return as_text(
        {name: getattr(case, name) for name in STATIC}
        | {
            "flags": as_text(facts.get("flags")), "slowed": ", ".join(slowed), "doubtful": bool(doubts),
            "clocks_held": shares.get(throttling.CLOCKS_SETTING, 0.0) > NOTABLE, "crowded": crowded,
            "repeats": len(case.order), "memory_scope": facts.get("memory_scope"), "weights": facts.get("weights"),
        }
    )  # fmt: skip


def _all_numbers(case: CaseDigest) -> Numbers:
    return array("d", [number for metric in METRICS for number in _numbers(case, metric.key)])


def _numbers(case: CaseDigest, metric: str) -> tuple[float, float, float, float]:
    headline, values = case.values.get(metric, math.nan), case.processes.get(metric)
    if not values:
        return (math.nan, math.nan, math.nan, headline)
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    return (len(logs), mean, math.fsum((one - mean) ** 2 for one in logs), headline)
