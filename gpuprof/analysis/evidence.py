"""One side of a comparison: what its runs say together. Runs are folded in one by one, so thousands fit."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gpuprof.analysis.levels import Level, level
from gpuprof.case_keys import FIELDS
from gpuprof.index.brief import PER_METRIC, Brief, Numbers, Shared, as_text, brief, static
from gpuprof.index.digest import CaseDigest, Digest
from gpuprof.index.sources import Choice, Chosen
from gpuprof.metrics import METRICS

Key = tuple[Any, ...]
_AT = {metric.key: PER_METRIC * position for position, metric in enumerate(METRICS)}
_SAID = (
    "outcome", "correctness", "steady", "regime", "energy_method", "fallback", "requested", "flags", "slowed",
    "clocks_held", "doubtful", "crowded", "memory_scope", "weights",
)  # fmt: skip


_HOST = "\U0010fffd"  # begins a host's name in `unify`, and sorts it after every card's


@dataclass
class CaseEvidence:
    """One case over all runs of a side that have it."""

    static: Shared
    find: Callable[[], CaseDigest]  # the newest run's, in full
    newest_run: str
    rows: list[tuple[str, Numbers]] = field(default_factory=list)  # machine, and the run's numbers
    statics: set[Shared] = field(default_factory=set)
    _levels: dict[str, Level | None] = field(default_factory=dict)

    @cached_property
    def newest(self) -> CaseDigest:
        return self.find()

    @cached_property
    def said(self) -> dict[str, set[Any]]:
        """By fact, every value that any run had."""
        return {name: {one.data[name] for one in self.statics} for name in _SAID}

    @property
    def fields(self) -> dict[str, Any]:
        return {name: self.static.data[name] for name in FIELDS}

    def samples(self, metric: str) -> list[tuple[str, float, float, float]]:
        """One for each run whose processes have values; as Sample, but made in thousands."""
        i = _AT[metric]
        return [(machine, x[i], x[i + 1], x[i + 2]) for machine, x in self.rows if x[i] == x[i]]

    def values(self, metric: str) -> list[float]:
        """A headline of each run that has one."""
        i = _AT[metric] + 3
        return [x[i] for _, x in self.rows if x[i] == x[i]]

    def forget(self) -> None:
        """Levels are computed anew after `rows` have changed."""
        self._levels.clear()

    def level(self, metric: str) -> Level | None:
        """None where processes have no values of it, or those of some run have none."""
        if metric not in self._levels:
            samples = self.samples(metric)
            complete = bool(samples) and len(samples) == len(self.values(metric))
            self._levels[metric] = level(samples) if complete else None
        return self._levels[metric]


@dataclass
class Evidence:
    text: str
    runs: list[tuple[str, str, str]] = field(default_factory=list)  # run id, start, where
    machines: dict[str, int] = field(default_factory=dict)
    heads: dict[Shared, int] = field(default_factory=dict)
    fact_texts: dict[Shared, int] = field(default_factory=dict)
    cases: dict[Key, CaseEvidence] = field(default_factory=dict)
    find: Callable[[], Digest] | None = None
    skipped: list[str] = field(default_factory=list)  # records that could not be read
    seen: set[str] = field(default_factory=set)
    copies: list[str] = field(default_factory=list)

    @cached_property
    def facts(self) -> dict[str, dict[str, int]]:
        """By name, the values that the runs had, each as text, with the number of runs."""
        found: dict[str, dict[str, int]] = {}
        for one, count in self.fact_texts.items():
            _count(found, one.data, count)
        for one, count in self.heads.items():
            _count(found, {name: one.data[name] for name in ("outcome", "host")}, count)
        return found

    @cached_property
    def newest(self) -> Digest | None:
        return None if self.find is None else self.find()

    @property
    def devices(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one, count in self.heads.items():
            found[one.data["device"]] = found.get(one.data["device"], 0) + count
        return found

    @property
    def device(self) -> str:
        return next(iter(self.devices), "")

    @property
    def kinds(self) -> set[str]:
        return {one.data["kind"] for one in self.heads}

    @property
    def vendors(self) -> set[str | None]:
        return {one.data["vendor"] for one in self.heads}

    @property
    def simulated(self) -> set[bool]:
        return {one.data["simulated"] for one in self.heads}


def _count(found: dict[str, dict[str, int]], values: dict[str, Any], count: int) -> None:
    for name, value in values.items():
        counts, shown = found.setdefault(name, {}), as_text(value)
        counts[shown] = counts.get(shown, 0) + count


def side(text: str, choice: Choice) -> Evidence:
    """The runs that `text` names as one side, with what was left out. Reads the newest run of each case."""
    found = Evidence(text)
    for run in choice.runs:
        fold(found, *run)
    complete(found)
    found.skipped = [*choice.skipped, *found.copies]
    return found


def gather(text: str, digests: Iterable[tuple[Digest, Sequence[CaseDigest]]]) -> Evidence:
    """Runs, each with those of its cases that count, oldest first, as one side."""
    side = Evidence(text)
    for found, cases in digests:
        fold(side, brief(found), {static(case) for case in cases}, lambda found=found: found)  # type: ignore[misc]
    return side


def by_device(runs: Iterable[Chosen]) -> list[Evidence]:
    """A side for each device model, GPUs first. Reads the newest run of each case."""
    sides: dict[tuple[str, bool], Evidence] = {}
    for run in runs:
        head = run.brief.head.data
        fold(sides.setdefault((head["device"], head["simulated"]), Evidence(head["device"])), *run)
    for found in sides.values():
        complete(found)
    return sorted(sides.values(), key=lambda side: ("cpu" in side.kinds, side.device))


def fold(side: Evidence, one: Brief, wanted: set[str] | None, find: Callable[[], Digest]) -> None:
    """Add a run, with those cases whose static text is `wanted` (None: all). `find` gives its digest when asked.

    A copy of a run is no further run.
    """
    if one.run_id in side.seen:
        side.copies.append(f"{one.where}: a copy of run {one.run_id}, which is counted once")
        return
    side.seen.add(one.run_id)
    side.runs.append((one.run_id, one.started_at, one.where))
    machine, run = one.head.data["machine"], one.run_id
    side.machines[machine] = side.machines.get(machine, 0) + 1
    side.heads[one.head] = side.heads.get(one.head, 0) + 1
    side.fact_texts[one.facts] = side.fact_texts.get(one.facts, 0) + 1
    side.find = find
    for position, (text, numbers) in enumerate(one.cases):
        if wanted is not None and text.text not in wanted:
            continue
        known = side.cases.get(text.key)
        if known is None:
            known = side.cases[text.key] = CaseEvidence(text, find, run)  # type: ignore[arg-type]
        known.static, known.newest_run = text, run
        known.find = lambda position=position: find().cases[position]  # type: ignore[misc]
        known.statics.add(text)
        known.rows.append((machine, numbers))


def unify(baseline: Evidence, candidate: Evidence) -> None:
    """Make one machine of cards that stand together, over both sides: `machines` and `rows` are renamed in place.

    Cards in one chassis share its cooling, its CPU and its day, and containers give a host new names. So on each side a
    host joins its cards, and a card its hosts; a card that both sides have joins their machines. The name of a host
    alone does not join the sides: unrelated hosts may have the same, and the spread between machines would be left out.

    Call it before anything asks for a level, since levels are kept. A second call changes nothing.
    """
    # Union-find over cards and hosts. Each name points at a smaller one of its group, the smallest at itself: a card,
    # since hosts sort last. So a machine is named after its first card, on both sides alike.
    smaller: dict[str, str] = {}

    def first(name: str) -> str:
        while (next_name := smaller.setdefault(name, name)) != name:
            name = next_name
        return name

    sides = (baseline, candidate)
    for number, side in enumerate(sides):
        for head in side.heads:
            card, host = first(head.data["machine"]), first(f"{_HOST}{number} {head.data['host']}")
            smaller[max(card, host)] = min(card, host)
    for side in sides:
        machines: dict[str, int] = {}
        for name, count in side.machines.items():
            machines[first(name)] = machines.get(first(name), 0) + count
        side.machines = machines
        for case in side.cases.values():
            case.rows = [(first(machine), numbers) for machine, numbers in case.rows]
            case.forget()


def complete(side: Evidence) -> None:
    """Look up now what is otherwise looked up when it is asked for: the newest run, and the newest of each case."""
    _ = side.newest, [case.newest for case in side.cases.values()]


def typical(case: CaseEvidence, metric: str) -> float | None:
    """The headline of a metric over runs: its median. None where no run has one."""
    values = case.values(metric)
    return statistics.median(values) if values else None
