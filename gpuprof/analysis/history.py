"""A metric over time on one machine: where its level changed, which way, and what changed with it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gpuprof.analysis.change_points import ENOUGH, SHORTEST, change_points, scatter_of
from gpuprof.analysis.effect import LEVEL, Effect, holm
from gpuprof.analysis.levels import FEW
from gpuprof.analysis.newest import NIGHT_LEVEL, over_earlier
from gpuprof.analysis.series import Key, Point, collected
from gpuprof.analysis.suspects import Suspect, same_machine, suspects
from gpuprof.index.sources import Chosen
from gpuprof.metrics import BY_KEY
from gpuprof.stats import finite_exp

WINDOW = 200  # newest runs looked at; the cost of the search grows faster than their number
RECENT = 10  # runs for which a change is new
ENDED = 30  # days: a series has ended when its newest run is so much older than the newest of all series
LEAST = 0.02  # relative change below which nothing is called a regression
REQUIRED = 0.1  # relative change that a series must be able to show, or it cannot tell yet
_DECAY = 4.0  # standard errors of a difference of two levels from which on a slow decline is one
_NEAR = 10  # runs before and after a change whose circumstances are compared


@dataclass(frozen=True)
class Change:
    """A change of a series' level."""

    position: int  # in the series, of the first run after it; run_id and at are that run's
    run_id: str
    at: str
    before: float  # median of the segment before it, in the metric's unit
    after: float
    worse: bool
    suspects: tuple[Suspect, ...]

    @property
    def ratio(self) -> float:
        """after / before"""
        return self.after / self.before


@dataclass(frozen=True)
class Series:
    """What one machine measured of one case, oldest first, and where its level changed.

    `newest` is the last run over those before it, back to the last change of LEAST; None where nothing can be said.
    """

    title: str
    workload: str
    device: str
    machine: str
    simulated: bool
    metric: str
    points: Sequence[Point]
    changes: Sequence[Change]
    newest: Effect | None
    among: int = 1  # series whose newest runs are judged together, this one among them (`together`)

    @property
    def levels(self) -> list[float]:
        """Median of each segment, in the metric's unit, oldest first: one more than there are changes."""
        return [_middle(self.values[start:end]) for start, end in segments(self)]

    @property
    def values(self) -> list[float]:
        """The runs' headlines, in the metric's unit, oldest first."""
        return [point.value for point in self.points]

    @property
    def level(self) -> float:
        """At which its newest run is judged if it is the only one that changed (the first step of Holm's).

        A series is short once, and grows longer every night.
        """
        return (LEVEL if len(self.points) <= FEW else NIGHT_LEVEL) / self.among

    @property
    def resolution(self) -> float | None:
        """The smallest relative change of the newest run that would be told in 80%; None where none would be."""
        return None if self.newest is None else self.newest.mde(self.level)

    def can_tell(self, required: float = REQUIRED) -> bool:
        """Whether a relative change of `required` would probably be told."""
        return self.resolution is not None and self.resolution <= required

    @property
    def short(self) -> str:
        """Says that there are too few runs to search for change points; "" where there are enough."""
        n = len(self.points)
        return "" if n >= ENOUGH else f"too short to judge: {n} of {ENOUGH} runs"


@dataclass(frozen=True)
class Regression:
    """A series that is worse now than it was."""

    series: Series
    ratio: float  # now / before
    since: Point  # the first run that was worse
    suspects: tuple[Suspect, ...]
    settled: bool  # a change of the level; else the newest run alone
    same_machine: bool = False  # the yardsticks show that the machine itself was as fast as before
    slowly: bool = False  # `since` is where the best runs ended, not where a step was

    @property
    def cautions(self) -> list[str]:
        """What the run `since` says against its own numbers, whether or not earlier runs said the same."""
        case = self.since.static.data
        doubts = {"other work used the host's cores": case["crowded"], "not steady": case["steady"] is False,
                  f"throttled: {case['slowed']}": case["slowed"]}  # fmt: skip
        return [text for text, holds in doubts.items() if holds]


def segments(series: Series) -> list[tuple[int, int]]:
    """Positions (first, behind the last) of the runs between two changes, oldest first."""
    ends = [change.position for change in series.changes]
    return list(zip([0, *ends], [*ends, len(series.points)], strict=True))


def history(runs: Iterable[Chosen], metric: str) -> list[Series]:
    """A series for each machine and case. `runs` are oldest first, each with the cases that count (None: all)."""
    return [_series(title, key, points[-WINDOW:], metric) for title, key, points in collected(runs, metric)]


def together(histories: Sequence[Series], ended: Sequence[Series] = (), *, tonight: bool = False) -> list[Series]:
    """The same series; those that `regressions` judges by their newest runs know how many they are."""
    over = set(map(id, ended))
    judged = set(map(id, _by_newest([series for series in histories if id(series) not in over], tonight)))
    return [replace(series, among=len(judged)) if id(series) in judged else series for series in histories]


def _by_newest(histories: Sequence[Series], tonight: bool) -> list[Series]:
    return [s for s in histories if s.newest is not None and s.newest.p is not None and (tonight or s.short)]


def regressions(
    histories: Sequence[Series], *, last: int = RECENT, least: float = LEAST, tonight: bool = False
) -> list[Regression]:
    """Series that are worse now, by the relative change `least` or more.

    A series is worse when its last level is worse than the best level that the newest `last` runs, or the run before
    them, had; or when it has declined slowly (`_declined`). One that is too short for change points is judged by its
    newest run, at NIGHT_LEVEL over all series that are so judged (Holm); with `tonight` so is every other one, too.
    """
    judged = _by_newest(histories, tonight)
    # In units of its own level, so that Holm's correction is over all of them.
    adjusted = holm([(s.newest.p or 0.0) / (s.level * s.among) for s in judged if s.newest is not None])
    sure = {id(s) for s, p in zip(judged, adjusted, strict=True) if p < 1}
    worse = []
    for series in histories:
        if settled := _settled(series, last, least) or _declined(series, least):
            worse.append(settled)
        elif series.newest is not None and id(series) in sure:
            ratio = series.newest.ratio
            if _is_worse(ratio, series.metric) and _counts(ratio, least):
                before, after = series.points[segments(series)[-1][0] : -1], series.points[-1:]
                causes, same = tuple(suspects(before, after)), same_machine(before, after, ratio)
                worse.append(Regression(series, ratio, series.points[-1], causes, settled=False, same_machine=same))
    return worse


def _settled(series: Series, recent_runs: int, least: float) -> Regression | None:
    """By the levels, not by the last change alone: a small change afterwards does not end a large one."""
    levels, changes = series.levels, series.changes
    # Level i is the one that change i ended, so that an index is good for both; the last level is never among these.
    recent = [i for i, change in enumerate(changes) if len(series.points) - change.position <= recent_runs]
    if not recent:
        return None
    choose = max if BY_KEY[series.metric].better == "higher" else min
    best = choose(recent, key=levels.__getitem__)
    ratio = levels[-1] / levels[best]
    if not _is_worse(ratio, series.metric) or not _counts(ratio, least):
        return None
    # From the best level to a worse last one at least one change was for the worse: the largest of them.
    decline = max((change for change in changes[best:] if change.worse), key=lambda change: abs(math.log(change.ratio)))
    at = decline.position
    same = same_machine(series.points[max(0, at - _NEAR) : at], series.points[at : at + _NEAR], decline.ratio)
    return Regression(series, ratio, series.points[at], decline.suspects, settled=True, same_machine=same)


def _declined(series: Series, least: float) -> Regression | None:
    """By a slow decline: the last RECENT runs against the best RECENT ones in a row that the window has before them.

    Steps of `least` or more that came at once are taken out first: they were told when they were new. The difference
    counts from `least` on, and from _DECAY standard errors: of many stretches the best one looks good by chance.
    """
    if len(series.points) < 2 * RECENT:
        return None
    logs = [math.log(value) for value in series.values]
    scatter = scatter_of([after - before for before, after in itertools.pairwise(logs)])
    for change in series.changes:
        if change.ratio != 1 and _counts(change.ratio, least) and _at_once(logs, change):
            logs[: change.position] = [log + math.log(change.ratio) for log in logs[: change.position]]
    better = 1 if BY_KEY[series.metric].better == "higher" else -1
    levels = [better * statistics.median(logs[i : i + RECENT]) for i in range(len(logs) - 2 * RECENT + 1)]
    last = better * statistics.median(logs[-RECENT:])
    best = max(range(len(levels)), key=levels.__getitem__)
    # A median of n normal values has a standard error of 1.25 s / root of n, and there are two of them.
    sure = _DECAY * 1.25 * scatter * math.sqrt(2 / RECENT)
    ratio = finite_exp(better * (last - levels[best]))
    if last >= levels[best] - sure or not _counts(ratio, least):
        return None
    before, after = series.points[best : best + RECENT], series.points[-RECENT:]
    return Regression(series, ratio, series.points[best + RECENT], tuple(suspects(before, after)), settled=True,
                      same_machine=same_machine(before, after, ratio), slowly=True)  # fmt: skip


def _at_once(logs: Sequence[float], change: Change) -> bool:
    """Whether the runs right at a change differ by half of it or more; else it is a piece of a slope."""
    at = change.position
    step = statistics.median(logs[at : at + SHORTEST]) - statistics.median(logs[max(0, at - SHORTEST) : at])
    return step / math.log(change.ratio) >= 0.5


def ended(histories: Sequence[Series], now: str) -> list[Series]:
    """Those whose newest run is more than ENDED days older than the newest of all; they are not to be judged.

    What a retired machine measured last must not be worse for ever. `now` is ISO 8601: runs dated later, by a clock
    that is ahead, end no other series.
    """
    days = [series.points[-1].at[:10] for series in histories]
    try:
        tomorrow = (date.fromisoformat(now[:10]) + timedelta(days=1)).isoformat()
        newest = date.fromisoformat(max(day for day in days if day <= tomorrow))
        first = (newest - timedelta(days=ENDED)).isoformat()
    except (ValueError, OverflowError):  # none at all, or no date
        return []
    return [series for series, day in zip(histories, days, strict=True) if day < first]


def _counts(ratio: float, least: float) -> bool:
    return abs(ratio - 1) >= least


def _is_worse(ratio: float, metric: str) -> bool:
    return ratio < 1 if BY_KEY[metric].better == "higher" else ratio > 1


def _middle(values: Sequence[float]) -> float:
    return finite_exp(statistics.median(map(math.log, values)))


def _series(title: str, key: Key, points: list[Point], metric: str) -> Series:
    values = [point.value for point in points]
    ends = change_points(values)
    bounds = list(zip([0, *ends], [*ends, len(points)], strict=True))
    changes = []
    for (start, position), (_, end) in itertools.pairwise(bounds):
        before, after = _middle(values[start:position]), _middle(values[position:end])
        causes = tuple(
            suspects(points[max(start, position - _NEAR) : position], points[position : min(end, position + _NEAR)])
        )
        worse = _is_worse(after / before, metric)
        first = points[position]
        changes.append(Change(position, first.run_id, first.at, before, after, worse, causes))
    # A change too small to matter is no new start.
    start = next((change.position for change in reversed(changes) if _counts(change.ratio, LEAST)), 0)
    newest = over_earlier(points[start:])
    return Series(title, str(key.work[0]), key.device, key.machine, key.simulated, metric, points, changes, newest)
