"""A run as folding thousands of them together needs it: texts that many have in common, and numbers."""

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
from gpuprof.metrics import INDEXED

STATIC = (
    "case_id", "workload", *WORK, *FIELDS, "requested", "fallback", "outcome", "reason", "correctness", "steady",
    "regime", "energy_method", "seed",
)  # fmt: skip
# Facts of a case that its runs have in common.
PLAIN = (
    "memory_scope", "weights", "item", "items_per_sample", "parameters", "trainable_parameters", "flops_per_sample",
    "bytes_per_sample", "tolerance",
)  # fmt: skip
# PER_METRIC numbers for each metric, in the order of INDEXED: number of processes; mean, and sum of squared deviations,
# of the logarithms of their values; the headline. NaN stands for a missing number, nowhere but in here.
Numbers = Sequence[float]
PER_METRIC = 4
NOTABLE = 0.05  # share of the time above which throttling, or others on the host's cores, are reported


class Shared:
    """A JSON object that many runs have in common, as text and parsed once.

    `key` is what a case has in common with its like: workload, work and fields of `case_keys`.
    """

    __slots__ = ("data", "key", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data: dict[str, Any] = json.loads(text)
        # Where the precision that ran is unknown, cases that asked for different ones are not one case.
        ran = self.data.get("precision") or f"unknown, {self.data.get('requested')} asked for"
        self.key = (
            *(self.data.get(name) for name in ("workload", *WORK)),
            *(as_text(ran if name == "precision" else self.data.get(name)) for name in FIELDS),
        )


shared = functools.lru_cache(maxsize=1 << 16)(Shared)


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON with sorted keys: equal values have equal texts."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Brief:
    """One run: what is the same in many of them, and its own numbers."""

    name: str  # of its directory in the store
    run_id: str
    started_at: str  # ISO 8601
    where: str  # directory or file of the record
    head: Shared  # outcome, device, host, versions: what runs are selected by
    facts: Shared
    cases: Sequence[tuple[Shared, Numbers]]  # in the order of the record


def brief(digest: Digest, name: str = "") -> Brief:
    """The brief of a digest; `name` is that of the run's directory, empty for one outside of an index."""
    head = {
        key: getattr(digest, key) for key in ("outcome", "simulated", "kind", "vendor", "device", "host", "machine")
    }
    head |= {"torch": digest.facts.get("torch"), "driver": digest.facts.get("driver_version")}
    return Brief(
        name, digest.run_id, digest.started_at, digest.where, shared(as_text(head)), shared(as_text(digest.facts)),
        [(shared(static(case)), _all_numbers(case)) for case in digest.cases],
    )  # fmt: skip


def static(case: CaseDigest) -> str:
    """A case as JSON text, without its numbers: later runs of the case mostly have the same text."""
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
            "repeats": len(case.order),
        }
        | {name: facts.get(name) for name in PLAIN}
    )  # fmt: skip


def _all_numbers(case: CaseDigest) -> Numbers:
    return array("d", [number for metric in INDEXED for number in _numbers(case, metric.key)])


def _numbers(case: CaseDigest, metric: str) -> tuple[float, float, float, float]:
    headline, values = case.values.get(metric, math.nan), case.processes.get(metric)
    if not values:
        return (math.nan, math.nan, math.nan, headline)
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    return (len(logs), mean, math.fsum((log - mean) ** 2 for log in logs), headline)
