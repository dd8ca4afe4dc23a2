"""One side of a comparison: what its runs say together. Runs are folded in one by one, so thousands fit."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gpuprof.analysis.levels import FEW, Level, Scatter, level
from gpuprof.case_keys import FIELDS
from gpuprof.index.brief import PER_METRIC, PLAIN, Brief, Numbers, Shared, as_text, brief, static
from gpuprof.index.digest import UNKNOWN_MANY, CaseDigest, Digest
from gpuprof.index.sources import Choice, Chosen
from gpuprof.metrics import INDEXED

Key = tuple[Any, ...]
# Of a power sensor's gain where nobody published one: that of NVIDIA's, the only ones that were compared with meters.
UNKNOWN_GAIN = 0.05
AT = {metric.key: PER_METRIC * position for position, metric in enumerate(INDEXED)}
_SAID = (
    "outcome", "correctness", "steady", "regime", "energy_method", "fallback", "requested", "flags", "slowed",
    "clocks_held", "doubtful", "crowded", "seed", *PLAIN,
)  # fmt: skip
_HOST = "\U0010fffd"  # begins a host's name in `unify`, and sorts it after every card's


@dataclass
class CaseEvidence:
    """One case over all runs of a side that have it."""

    static: Shared  # the newest run's
    find: Callable[[], CaseDigest]  # gives the newest run's case in full
    newest_run: str  # run id
    # A run each: its machine (a card's until `unify`), its numbers, its id.
    rows: list[tuple[str, Numbers, str]] = field(default_factory=list)
    latest: deque[tuple[str, Callable[[], CaseDigest]]] = field(default_factory=lambda: deque(maxlen=FEW))  # run ids
    statics: set[Shared] = field(default_factory=set)  # of all runs
    gains: set[float | None] = field(default_factory=set)  # relative gain errors of the runs' sensors; None: unknown
    # Devices or partitions whose energy the sensor measures together, at most; infinite where nobody knows how many.
    sharing: float = 1
    # By metric, how earlier runs of these machines scattered (`past`); nothing where none are known.
    past: dict[str, Scatter] = field(default_factory=dict)
    _levels: dict[str, Level | None] = field(default_factory=dict)

    @cached_property
    def newest(self) -> CaseDigest:
        """The case in its newest run. Raises StoreError where that run was removed meanwhile."""
        return self.find()

    @cached_property
    def said(self) -> dict[str, set[Any]]:
        """By fact, every value that any run had."""
        return {name: {shared.data[name] for shared in self.statics} for name in _SAID}

    @property
    def gain(self) -> float:
        """Relative standard error of the sensors' gain: the largest of the runs', UNKNOWN_GAIN where one is unknown."""
        return max(UNKNOWN_GAIN if gain is None else gain for gain in self.gains)

    @property
    def fields(self) -> dict[str, Any]:
        """What tells it apart from others of its workload and mode (`case_keys.FIELDS`), by name."""
        return {name: self.static.data[name] for name in FIELDS}

    def samples(self, metric: str) -> list[tuple[str, float, float, float]]:
        """One for each run whose processes have values: Sample as a plain tuple, since thousands are made."""
        i = AT[metric]
        return [(machine, x[i], x[i + 1], x[i + 2]) for machine, x, _ in self.rows if x[i] == x[i]]  # not NaN

    def by_run(self, metric: str) -> dict[str, tuple[str, float, float, float]]:
        """`samples` by run id."""
        i = AT[metric]
        return {run: (machine, x[i], x[i + 1], x[i + 2]) for machine, x, run in self.rows if x[i] == x[i]}

    def values(self, metric: str) -> list[float]:
        """The headline of each run that has one, in the metric's unit."""
        i = AT[metric] + 3
        return [x[i] for _, x, _ in self.rows if x[i] == x[i]]

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Run ids, oldest first; to be asked for once all runs are folded in."""
        return tuple(run for *_, run in self.rows)

    @cached_property
    def days(self) -> int:
        """On how many days its runs began, by their ids; a run whose id names no day has one of its own."""
        return len({run[:8] if run[:8].isdecimal() else run for run in self.runs})

    @cached_property
    def in_full(self) -> dict[str, CaseDigest]:
        """By run id, the case in each run, where they are FEW at most; else empty, since processes are not the unit."""
        return {run: find() for run, find in self.latest} if len(self.rows) <= FEW else {}

    def rounds(self, metric: str) -> dict[tuple[str, int], float]:
        """Logarithm of each process's value, by run and repeat; empty where the runs are many (`in_full`)."""
        return {
            (run, repeat): math.log(value)
            for run, case in self.in_full.items()
            for repeat, value in zip(case.partial.get(metric, case.order), case.processes.get(metric, ()), strict=False)
        }

    def forget(self) -> None:
        """Levels are computed anew after `rows` have changed."""
        self._levels.clear()

    def level(self, metric: str) -> Level | None:
        """The metric's level over all runs; None unless each run with a headline has values of its processes."""
        if metric not in self._levels:
            samples = self.samples(metric)
            complete = bool(samples) and len(samples) == len(self.values(metric))
            known = level(samples, days=self.days) if complete else None
            if known is not None and metric in self.past:
                known = replace(known, past=self.past[metric])
            self._levels[metric] = known
        return self._levels[metric]


@dataclass
class Evidence:
    """One side: its runs, oldest first, folded into cases. Counts are of runs."""

    text: str  # as the side was named
    runs: list[tuple[str, str, str]] = field(default_factory=list)  # run id, start, where
    machines: dict[str, int] = field(default_factory=dict)  # cards, until `unify` has grouped them
    heads: dict[Shared, int] = field(default_factory=dict)
    seen: list[tuple[Shared, Shared]] = field(default_factory=list)  # head and facts of each of `runs`
    cases: dict[Key, CaseEvidence] = field(default_factory=dict)
    find: Callable[[], Digest] | None = None  # gives the newest run in full
    skipped: list[str] = field(default_factory=list)  # a line each: records that could not be read, and copies
    run_ids: set[str] = field(default_factory=set)
    copies: list[str] = field(default_factory=list)  # a line each
    numbers: dict[int, str] = field(default_factory=dict)  # of a run's measured values a hash, and its id
    earlier: set[str] = field(default_factory=set)  # ids of other runs that tell how its machines scatter (`past`)

    @cached_property
    def facts(self) -> dict[str, dict[str, int]]:
        """By name, the values that the runs had, each as text, with the number of runs."""
        return self.facts_of(None)

    def facts_of(self, runs: set[str] | None) -> dict[str, dict[str, int]]:
        """As `facts`, of the runs with these ids (None: all)."""
        seen = [each for (run, _, _), each in zip(self.runs, self.seen, strict=True) if runs is None or run in runs]
        counts: dict[str, dict[str, int]] = {}
        for facts, number in Counter(facts for _, facts in seen).items():
            _count(counts, facts.data, number)
        for head, number in Counter(head for head, _ in seen).items():
            _count(counts, {name: head.data[name] for name in ("outcome", "host")}, number)
        return counts

    @cached_property
    def newest(self) -> Digest | None:
        """The newest run in full; None where there is no run. Raises StoreError where it was removed meanwhile."""
        return None if self.find is None else self.find()

    @property
    def devices(self) -> dict[str, int]:
        """By device model, the number of runs; in the order in which the models first ran."""
        counts: dict[str, int] = {}
        for head, runs in self.heads.items():
            counts[head.data["device"]] = counts.get(head.data["device"], 0) + runs
        return counts

    @property
    def device(self) -> str:
        """The device model that ran first; "" where there is no run."""
        return next(iter(self.devices), "")

    @property
    def kinds(self) -> set[str]:
        """cpu, gpu, or both."""
        return {head.data["kind"] for head in self.heads}

    @property
    def vendors(self) -> set[str | None]:
        """Vendors of the devices; None among them for a device without one."""
        return {head.data["vendor"] for head in self.heads}

    @property
    def simulated(self) -> set[bool]:
        """True where some run was simulated, False where some was measured: perhaps both."""
        return {head.data["simulated"] for head in self.heads}


def _count(counts: dict[str, dict[str, int]], values: dict[str, Any], runs: int) -> None:
    for name, value in values.items():
        by_text, text = counts.setdefault(name, {}), as_text(value)
        by_text[text] = by_text.get(text, 0) + runs


def side(text: str, choice: Choice) -> Evidence:
    """The runs of a choice as one side called `text`, with what was left out.

    Loads the newest run and the newest of each case: call it while the index is open. Raises StoreError where one was
    removed meanwhile.
    """
    evidence = Evidence(text)
    for run in choice.runs:
        fold(evidence, *run)
    complete(evidence)
    evidence.skipped = [*choice.skipped, *evidence.copies]
    return evidence


def gather(text: str, digests: Iterable[tuple[Digest, Sequence[CaseDigest]]]) -> Evidence:
    """Runs, each with those of its cases that count, oldest first, as one side."""
    side = Evidence(text)
    for digest, cases in digests:
        fold(side, brief(digest), {static(case) for case in cases}, lambda digest=digest: digest)  # type: ignore[misc]
    return side


def by_device(runs: Iterable[Chosen]) -> list[Evidence]:
    """A side for each device model, GPUs first, simulated runs apart. Loads the newest run of each case."""
    sides: dict[tuple[str, bool], Evidence] = {}
    for run in runs:
        head = run.brief.head.data
        fold(sides.setdefault((head["device"], head["simulated"]), Evidence(head["device"])), *run)
    for side in sides.values():
        complete(side)
    return sorted(sides.values(), key=lambda side: ("cpu" in side.kinds, side.device))


def fold(side: Evidence, run: Brief, chosen: set[str] | None, find: Callable[[], Digest]) -> None:
    """Add a run, newer than those before, with the cases whose static text is in `chosen` (None: all).

    `find` gives its digest when asked. A copy of a run that is there already is named in `copies`, and not counted.
    """
    if run.run_id in side.run_ids:
        side.copies.append(f"{run.where}: copy of run {run.run_id}, counted once")
        return
    # No two runs measure the same to the last bit: equal values under another id are a copy, and no second measurement.
    # Mean and scatter of the first case with throughputs tell runs apart; NaN stands for no values.
    for _, x in run.cases:
        if x[1] == x[1]:
            if (original := side.numbers.setdefault(hash((x[1], x[2])), run.run_id)) != run.run_id:
                side.copies.append(f"{run.where}: the values of run {original} under another id, counted once")
                return
            break
    side.run_ids.add(run.run_id)
    side.runs.append((run.run_id, run.started_at, run.where))
    machine = run.head.data["machine"]
    side.machines[machine] = side.machines.get(machine, 0) + 1
    side.heads[run.head] = side.heads.get(run.head, 0) + 1
    side.seen.append((run.head, run.facts))
    side.find = find
    gain, sharing = run.facts.data.get("gain_error"), run.facts.data.get("shared_by") or 1
    sharing = math.inf if sharing == UNKNOWN_MANY else sharing
    for position, (shared, numbers) in enumerate(run.cases):
        if chosen is not None and shared.text not in chosen:
            continue
        case = side.cases.get(shared.key)
        if case is None:
            case = side.cases[shared.key] = CaseEvidence(shared, find, run.run_id)  # type: ignore[arg-type]
        case.static, case.newest_run = shared, run.run_id
        case.find = lambda position=position: find().cases[position]  # type: ignore[misc]
        case.latest.append((run.run_id, case.find))
        case.statics.add(shared)
        case.gains.add(gain)
        case.sharing = max(case.sharing, sharing)
        case.rows.append((machine, numbers, run.run_id))


def unify(baseline: Evidence, candidate: Evidence) -> None:
    """Make one machine of cards that stand together, over both sides: `machines` and `rows` are renamed in place.

    Cards in one chassis share its cooling, its CPU and its day, and containers give a host new names. So on each side a
    host joins its cards, and a card its hosts; a card that both sides have joins their machines. The name of a host
    alone does not join the sides: unrelated hosts may have the same, and the spread between machines would be left out.

    Levels that were computed before are forgotten, so call it before anything uses one. A second call changes nothing.
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
            case.rows = [(first(machine), numbers, run) for machine, numbers, run in case.rows]
            case.forget()


def complete(side: Evidence) -> None:
    """Load the newest run, the newest of each case and its runs where they are few, now, while the index is open."""
    _ = side.newest, [(case.newest, case.in_full) for case in side.cases.values()]


def typical(case: CaseEvidence, metric: str) -> float | None:
    """Median of the runs' headlines, in the metric's unit. None where no run has one."""
    values = case.values(metric)
    return statistics.median(values) if values else None
