"""What else changed when a level did."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof import units
from gpuprof.analysis.effect import LEVEL
from gpuprof.analysis.levels import Level, level
from gpuprof.analysis.series import Point
from gpuprof.analysis.yardstick import LEAST, change
from gpuprof.case_keys import KEYS, SETTINGS
from gpuprof.errors import StoreError
from gpuprof.index.brief import as_text
from gpuprof.metrics import YARDSTICKS
from gpuprof.record.variables import JOB
from gpuprof.throttling import against_its_will

_FACTS = {
    "driver_version": "driver", "torch": "PyTorch", "torch_build": "torch build", "gpuprof": "gpuprof",
    "gpuprof_commit": "gpuprof commit", "container": "container", "kernel": "kernel", "os": "operating system",
    "python": "Python", "cpu": "host CPU", "cores": "CPU cores", "vbios_version": "VBIOS", "partition": "partition",
    "ecc_enabled": "ECC", "power_limit_w": "power limit, W", "core_clock_max_hz": "maximum core clock, Hz",
    "config": "configuration file",
}  # fmt: skip
_MAPPINGS = ("libraries", "variables", "protocol")  # compared name by name, as are the case's parameters and switches
_CASE = {
    "precision": "effective precision", **{name: KEYS[name].about for name in SETTINGS}, "fallback": "substitute",
    "regime": "regime", "steady": "steady state", "crowded": "other work on the host's cores",
    "doubtful": "sensor warnings",
}  # fmt: skip
# A condition of the case, its name, the least change that counts, whether that is relative, and how a value is shown.
_CONDITIONS = (
    ("temperature_start_c", "temperature at start", 3.0, False, lambda v: f"{v:.0f} °C"),
    ("core_clock_hz", "core clock", 0.01, True, lambda v: units.show(v, "Hz")),
)
_YARDSTICKS = {metric.key: metric for metric in YARDSTICKS}
_THROTTLED = 0.02  # least change that counts, as a share of the window


@dataclass(frozen=True)
class Suspect:
    """A fact that differed across a change, with both values in words."""

    name: str
    before: str
    after: str


def suspects(before: Sequence[Point], after: Sequence[Point]) -> Iterator[Suspect]:
    """Facts that most runs before had otherwise than most runs after: a change is located only to within some runs.

    Both are oldest first. Of conditions (temperature, clock, throttling) medians are compared. Nothing where a
    side is empty.
    """
    if not before or not after:
        return
    left, right = [_circumstances(point) for point in before], [_circumstances(point) for point in after]
    names = dict.fromkeys(name for circumstances in (*left, *right) for name in circumstances)
    for name in names:
        # Of equally frequent values the oldest before, the newest after.
        usual_before = statistics.mode(circumstances.get(name, "none") for circumstances in left)
        usual_after = statistics.mode(circumstances.get(name, "none") for circumstances in reversed(right))
        if usual_before != usual_after:
            yield Suspect(name, usual_before, usual_after)
    # Behind what somebody changed: a few percent of the machine must not push that off a short line.
    yield from _machine(before, after)
    conditions = [[_facts(point) for point in side] for side in (before, after)]
    for key, title, least, relative, show in _CONDITIONS:
        medians = [_median(facts.get(key) for facts in side) for side in conditions]
        if medians[0] is not None and medians[1] is not None:
            change = abs(medians[1] - medians[0])
            if change > (least * medians[0] if relative else least):
                yield Suspect(title, show(medians[0]), show(medians[1]))
    shares = [_throttling(side) for side in conditions]
    for reason in dict.fromkeys((*shares[0], *shares[1])):
        share_before, share_after = shares[0].get(reason, 0.0), shares[1].get(reason, 0.0)
        if abs(share_before - share_after) > _THROTTLED:
            yield Suspect(f"throttled: {reason.replace('_', ' ')}", f"{share_before:.0%}", f"{share_after:.0%}")


def _machine(before: Sequence[Point], after: Sequence[Point]) -> Iterator[Suspect]:
    """The yardsticks of the machine that changed: then it was the machine, whatever else did."""
    for key, b, c in _yardsticks(before, after):
        effect = change(b, c)
        if effect and effect.p is not None and effect.p < LEVEL and abs(effect.difference) >= LEAST:
            shown = (units.show(math.exp(level.mean), "s") for level in (b, c))
            yield Suspect(f"the machine itself: {_YARDSTICKS[key].title}", *shown)


def same_machine(before: Sequence[Point], after: Sequence[Point], ratio: float) -> bool:
    """Whether the yardsticks show that the machine cannot have changed by half of `ratio` (not 1), as a logarithm."""
    limit = abs(math.log(ratio)) / 2
    effects = [change(b, c) for _, b, c in _yardsticks(before, after)]
    halves = [abs(e.difference) + e.half(LEVEL) if e and e.measured is not None else math.inf for e in effects]
    return bool(halves) and max(halves) < limit


def _yardsticks(before: Sequence[Point], after: Sequence[Point]) -> Iterator[tuple[str, Level, Level]]:
    for key in _YARDSTICKS:
        sides = [[p.yardsticks[key] for p in side if key in p.yardsticks] for side in (before, after)]
        if all(sides):
            yield key, level(sides[0]), level(sides[1])


def _facts(point: Point) -> dict[str, Any]:
    try:
        return point.find()
    except StoreError:  # removed meanwhile
        return {}


def _circumstances(point: Point) -> dict[str, str]:
    """All that a run says of its software, its machine and its case, by title, as text."""
    facts, case = point.facts.data, point.static.data
    texts = {title: as_text(facts[name]) for name, title in _FACTS.items() if facts.get(name) is not None}
    texts |= {title: as_text(case[name]) for name, title in _CASE.items() if case.get(name) is not None}
    switches = json.loads(case.get("flags") or "null")
    for inside in (*(facts.get(name) for name in _MAPPINGS), case.get("params"), switches):
        if isinstance(inside, dict):
            texts |= {inner: as_text(value) for inner, value in inside.items() if inner != JOB}
    return texts


def _median(values: Iterable[Any]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    return statistics.median(numbers) if numbers else None


def _throttling(facts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By reason, the median share of the window; a run that does not report throttling counts as not throttled."""
    shares = [case.get("throttled_share") or {} for case in facts]
    reasons = {reason for by_reason in shares for reason in against_its_will(by_reason)}
    return {reason: statistics.median(by_reason.get(reason, 0.0) for by_reason in shares) for reason in sorted(reasons)}
