"""A metric over time on one machine: where its level changed, which way, and what changed with it.

Change points are those of least cost (PELT, Killick et al. 2012) with absolute deviations from each segment's median,
on logarithms in units of the scatter from run to run. Outliers hardly move a median, and the scatter is taken from
differences of neighbours, which a step does not widen.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gpuprof.analysis.effect import LEVEL, Effect, between, holm
from gpuprof.analysis.levels import FEW, Level, level
from gpuprof.analysis.series import Key, Point, collected
from gpuprof.analysis.suspects import Suspect, same_machine, suspects
from gpuprof.index.sources import Chosen
from gpuprof.metrics import BY_KEY
from gpuprof.stats import finite_exp, spread

WINDOW = 200  # newest runs looked at; the cost of the search grows faster than their number
SHORTEST = 5  # runs of a segment
ENOUGH = 2 * SHORTEST  # runs that a search for change points, and the scatter without outliers, take at least
RECENT = 10  # runs for which a change is new
ENDED = 30  # days: a series has ended when its newest run is so much older than the newest of all series
LEAST = 0.02  # relative change below which nothing is called a regression
NIGHT_SPREAD = 0.02  # between runs on one machine (coefficient of variation), where there are too few to show it
_FINEST = 1e-3  # of logarithms: no series is taken to scatter less
_QUANTILE = 0.7  # of differences, for the scatter
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

    @property
    def levels(self) -> list[float]:
        """Median of each segment, in the metric's unit, oldest first: one more than there are changes."""
        return [_middle(self.values[start:end]) for start, end in segments(self)]

    @property
    def values(self) -> list[float]:
        """The runs' headlines, in the metric's unit, oldest first."""
        return [point.value for point in self.points]

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


def change_points(values: Sequence[float]) -> list[int]:
    """Positions at which another level begins, of positive values. Empty for less than ENOUGH values."""
    if len(values) < ENOUGH:
        return []
    logs = [math.log(value) for value in values]
    scatter = _scatter([after - before for before, after in itertools.pairwise(logs)])
    if max(logs) - min(logs) < scatter:
        return []  # also equal values, and without importing ruptures
    import numpy as np
    import ruptures

    signal = np.asarray(logs).reshape(-1, 1) / scatter
    search = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(signal)
    return [int(end) for end in search.predict(pen=3 * math.log(len(logs)))[:-1]]


def _scatter(differences: Sequence[float]) -> float:
    """Standard deviation s of single runs, from the differences of neighbours: s √2 is that of a difference.

    An outlier is in two differences and a change of level in one, so that a quantile of the differences hardly sees
    either. The quantile is 70%: the median is 0 where most values are equal (and one state's scatter where there are
    two), so that any other value would make a level.
    """
    middle = statistics.median(differences)
    distances = sorted(abs(difference - middle) for difference in differences)
    # 70% of a normal lie within z(0.85) standard deviations of its middle.
    z = statistics.NormalDist().inv_cdf((1 + _QUANTILE) / 2)
    scatter = distances[int(_QUANTILE * len(distances))] / z / math.sqrt(2)
    # Where even the quantile is 0, from the mean: E|difference| = 2 s / √π for a normal.
    return max(_FINEST, scatter or statistics.fmean(map(abs, differences)) * math.sqrt(math.pi) / 2)


def regressions(
    histories: Sequence[Series], *, last: int = RECENT, least: float = LEAST, tonight: bool = False
) -> list[Regression]:
    """Series that are worse now, by the relative change `least` or more.

    A series is worse when its last level is worse than the best level that the newest `last` runs, or the run before
    them, had. One that is too short for change points is judged by its newest run, at 5% over all series that are so
    judged (Holm); with `tonight` so is every other one, too.
    """
    judged = [s for s in histories if s.newest is not None and s.newest.p is not None and (tonight or s.short)]
    adjusted = holm([s.newest.p for s in judged if s.newest is not None and s.newest.p is not None])
    sure = {id(s) for s, p in zip(judged, adjusted, strict=True) if p < LEVEL}
    worse = []
    for series in histories:
        if settled := _settled(series, last, least):
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


def over_earlier(points: Sequence[Point]) -> Effect | None:
    """The newest of these runs (oldest first, at least one) over those before it; None where nothing can be said.

    From three earlier runs on it is compared with their scatter: a prediction interval, Student's t for one more of the
    same. From nine on median and MAD take the place of mean and standard deviation, so that a second slow night is as
    slow as the first. With fewer than three, the processes of each run decide, with the spread that runs on one machine
    are known to have.
    """
    *earlier, newest = points
    if len(earlier) >= FEW:
        logs = [math.log(point.value) for point in earlier]
        n, robust = len(logs), len(points) >= ENOUGH
        middle, deviation = (statistics.median, spread) if robust else (statistics.fmean, statistics.stdev)
        # s² for the newest run and s² / n for the mean, all of it on this side: with 0 on the other one the degrees of
        # freedom come out as n - 1. (A median has more than s² / n; docs/method.md has the rates that result.)
        # Both levels are runs of one machine, so that `between` adds no spread.
        expected = Level(middle(logs), max(_FINEST, deviation(logs)) ** 2 * (1 + 1 / n), n - 1, "run", n)
        return between(expected, Level(math.log(newest.value), 0.0, n - 1, "run", 1))
    samples = [point.sample for point in points]
    if not earlier or None in samples:
        return None
    sides = (level([s for s in part if s is not None]) for part in (samples[:-1], samples[-1:]))
    return between(*sides, run_spread=NIGHT_SPREAD)
