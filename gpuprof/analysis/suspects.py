"""What else was another after a change than before it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof import units
from gpuprof.analysis.series import Point
from gpuprof.case_keys import KEYS, SETTINGS
from gpuprof.errors import StoreError
from gpuprof.index.brief import as_text
from gpuprof.throttling import against_its_will

_FACTS = {
    "driver_version": "driver", "torch": "PyTorch", "torch_build": "torch build", "gpuprof": "gpuprof",
    "gpuprof_commit": "gpuprof commit", "container": "container", "kernel": "kernel", "os": "operating system",
    "python": "Python", "cpu": "host CPU", "cores": "CPU cores", "vbios_version": "VBIOS", "partition": "partition",
    "ecc_enabled": "ECC", "power_limit_w": "power limit, W", "core_clock_max_hz": "highest core clock, Hz",
    "config": "configuration file",
}  # fmt: skip
_MAPPINGS = ("libraries", "variables", "protocol")  # told of name by name, as are the case's parameters and switches
_CASE = {
    "precision": "arithmetic that ran", **{name: KEYS[name].about for name in SETTINGS}, "fallback": "substitute",
    "regime": "regime", "steady": "steady state", "crowded": "others on the host's cores",
    "doubtful": "doubtful sensors",
}  # fmt: skip
# A condition of the case, how much of it is a difference, and whether that is relative.
_CONDITIONS = (
    ("temperature_start_c", "temperature at start", 3.0, False, lambda v: f"{v:.0f} °C"),
    ("core_clock_hz", "core clock", 0.01, True, lambda v: units.show(v, "Hz")),
)
_THROTTLED = 0.02  # share of the window


@dataclass(frozen=True)
class Suspect:
    """What was another before than after."""

    name: str
    before: str
    after: str


def suspects(before: Sequence[Point], after: Sequence[Point]) -> Iterator[Suspect]:
    """What most runs before had otherwise than most runs after; a change is found to within some runs only."""
    if not before or not after:
        return
    left, right = [_circumstances(point) for point in before], [_circumstances(point) for point in after]
    names = dict.fromkeys(name for one in (*left, *right) for name in one)
    for name in names:
        # Of equally many the oldest before, the newest after.
        one = statistics.mode(known.get(name, "none") for known in left)
        other = statistics.mode(known.get(name, "none") for known in reversed(right))
        if one != other:
            yield Suspect(name, one, other)
    conditions = [[_facts(point) for point in side] for side in (before, after)]
    for key, title, much, relative, show in _CONDITIONS:
        medians = [_median(facts.get(key) for facts in side) for side in conditions]
        if medians[0] is not None and medians[1] is not None:
            apart = abs(medians[1] - medians[0])
            if apart > (much * medians[0] if relative else much):
                yield Suspect(title, show(medians[0]), show(medians[1]))
    shares = [_throttling(side) for side in conditions]
    for reason in dict.fromkeys((*shares[0], *shares[1])):
        one_share, other_share = shares[0].get(reason, 0.0), shares[1].get(reason, 0.0)
        if abs(one_share - other_share) > _THROTTLED:
            yield Suspect(f"throttled: {reason.replace('_', ' ')}", f"{one_share:.0%}", f"{other_share:.0%}")


def _facts(point: Point) -> dict[str, Any]:
    try:
        return point.find()
    except StoreError:  # removed meanwhile
        return {}


def _circumstances(point: Point) -> dict[str, str]:
    facts, case = point.facts.data, point.static.data
    found = {title: as_text(facts[name]) for name, title in _FACTS.items() if facts.get(name) is not None}
    found |= {title: as_text(case[name]) for name, title in _CASE.items() if case.get(name) is not None}
    switches = json.loads(case.get("flags") or "null")
    for inside in (*(facts.get(name) for name in _MAPPINGS), case.get("params"), switches):
        if isinstance(inside, dict):
            found |= {inner: as_text(value) for inner, value in inside.items() if inner != "SLURM_JOB_ID"}
    return found


def _median(values: Iterable[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return statistics.median(known) if known else None


def _throttling(facts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By reason, the median share; a run that does not tell has none."""
    shares = [one.get("throttled_share") or {} for one in facts]
    reasons = {reason for one in shares for reason in against_its_will(one)}
    return {reason: statistics.median(one.get(reason, 0.0) for one in shares) for reason in sorted(reasons)}
