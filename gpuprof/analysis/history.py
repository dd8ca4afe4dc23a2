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

from gpuprof.analysis import effect as effects
from gpuprof.analysis.effect import LEVEL, Effect
from gpuprof.analysis.levels import RUNS, Level, level
from gpuprof.analysis.series import Key, Point, collected
from gpuprof.analysis.suspects import Suspect, suspects
from gpuprof.index.sources import Chosen
from gpuprof.metrics import BY_KEY
from gpuprof.stats import finite_exp, spread

WINDOW = 200  # runs looked at; the search costs more than proportionally many
SHORTEST = 5  # runs of a segment
ENOUGH = 2 * SHORTEST  # runs without which there is nothing to tell from
RECENT = 10  # runs for which a change is new
ENDED = 30  # days: a series whose newest run is so much older than that of another has ended
LEAST = 0.02  # relative change below which nothing is called a regression
NIGHT_SPREAD = 0.02  # between runs on one machine, where there are too few of them to see it
_FINEST = 1e-3  # of logarithms: no series is taken to scatter less
_QUANTILE = 0.7  # of differences, for the scatter
_NEAR = 10  # runs a side whose circumstances are compared


@dataclass(frozen=True)
class Change:
    position: int  # of the first run after it
    run_id: str
    at: str
    before: float
    after: float
    worse: bool
    suspects: tuple[Suspect, ...]

    @property
    def ratio(self) -> float:
        return self.after / self.before


@dataclass(frozen=True)
class Series:
    """`newest`: the last run over those before it, back to the last change of LEAST; None where nothing can be said."""

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
        """Of each segment, oldest first."""
        return [_middle(self.values[start:end]) for start, end in segments(self)]

    @property
    def values(self) -> list[float]:
        return [point.value for point in self.points]

    @property
    def short(self) -> str:
        """That no change points were looked for; empty where they were."""
        n = len(self.points)
        return "" if n >= ENOUGH else f"too short to tell: {n} run{'s' * (n > 1)} of {ENOUGH}"


@dataclass(frozen=True)
class Regression:
    """`since` is the run from which on it was worse."""

    series: Series
    ratio: float
    since: Point
    suspects: tuple[Suspect, ...]
    settled: bool  # a change of the level; else the newest run alone

    @property
    def cautions(self) -> list[str]:
        """What the run itself says against its numbers, whether or not the runs before said the same."""
        case = self.since.static.data
        said = {"others used the host's cores": case["crowded"], "it was not steady": case["steady"] is False,
                f"throttled: {case['slowed']}": case["slowed"]}  # fmt: skip
        return [text for text, so in said.items() if so]


def segments(series: Series) -> list[tuple[int, int]]:
    ends = [change.position for change in series.changes]
    return list(zip([0, *ends], [*ends, len(series.points)], strict=True))


def history(runs: Iterable[Chosen], metric: str) -> list[Series]:
    """A series for each machine and case. `runs` are oldest first, each with the cases that count (None: all)."""
    return [_told(title, key, points[-WINDOW:], metric) for title, key, points in collected(runs, metric)]


def change_points(values: Sequence[float]) -> list[int]:
    """Positions at which another level begins, of positive values. Empty for a series that is too short to tell."""
    if len(values) < ENOUGH:
        return []
    logs = [math.log(value) for value in values]
    scale = _scatter([after - before for before, after in itertools.pairwise(logs)])
    if max(logs) - min(logs) < scale:
        return []
    import numpy as np
    import ruptures

    signal = np.asarray(logs).reshape(-1, 1) / scale
    found = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(signal)
    return [int(end) for end in found.predict(pen=3 * math.log(len(logs)))[:-1]]


def _scatter(steps: Sequence[float]) -> float:
    """Standard deviation of what scatters, from its differences, two of which hold each outlier and one each step.

    From their 70% quantile: the median would be 0 where most values are equal (and that of one state where there are
    two), so that any other value made a level. Where even that is 0, from all.
    """
    middle = statistics.median(steps)
    apart = sorted(abs(step - middle) for step in steps)
    scale = apart[int(_QUANTILE * len(apart))] / statistics.NormalDist().inv_cdf((1 + _QUANTILE) / 2) / math.sqrt(2)
    return max(_FINEST, scale or statistics.fmean(map(abs, steps)) * math.sqrt(math.pi) / 2)


def regressions(
    found: Sequence[Series], *, last: int = RECENT, least: float = LEAST, tonight: bool = False
) -> list[Regression]:
    """What is worse now: the level is below the best that the `last` runs and the run before them had.

    A series too short for change points is judged by its newest run; with `tonight` so is every other one, too.
    """
    judged = [s for s in found if s.newest is not None and s.newest.p is not None and (tonight or s.short)]
    adjusted = effects.holm([s.newest.p for s in judged if s.newest is not None and s.newest.p is not None])
    sure = {id(s) for s, p in zip(judged, adjusted, strict=True) if p < LEVEL}
    worse = []
    for series in found:
        if settled := _settled(series, last, least):
            worse.append(settled)
        elif series.newest is not None and id(series) in sure:
            ratio = series.newest.ratio
            if _is_worse(ratio, series.metric) and _counts(ratio, least):
                seen = tuple(suspects(series.points[segments(series)[-1][0] : -1], series.points[-1:]))
                worse.append(Regression(series, ratio, series.points[-1], seen, settled=False))
    return worse


def _settled(series: Series, last: int, least: float) -> Regression | None:
    """By the levels, not by the last change alone: a small one that comes after does not end a large one."""
    levels, changes = series.levels, series.changes
    recent = [i for i, change in enumerate(changes) if len(series.points) - change.position <= last]
    if not recent:
        return None
    rank = levels.__getitem__ if BY_KEY[series.metric].better == "higher" else lambda i: -levels[i]
    best = max(recent, key=rank)  # a level has the number of the change that ended it
    ratio = levels[-1] / levels[best]
    if not _is_worse(ratio, series.metric) or not _counts(ratio, least):
        return None
    cause = max((c for c in changes[best:] if c.worse), key=lambda c: abs(math.log(c.ratio)))
    return Regression(series, ratio, series.points[cause.position], cause.suspects, settled=True)


def ended(found: Sequence[Series], now: str) -> list[Series]:
    """Those that are not to be judged: what a retired machine measured last is not worse for ever.

    `now` (ISO 8601), because a clock that is ahead must not end all the others.
    """
    days = [series.points[-1].at[:10] for series in found]
    try:
        tomorrow = (date.fromisoformat(now[:10]) + timedelta(days=1)).isoformat()
        newest = date.fromisoformat(max(day for day in days if day <= tomorrow))
        first = (newest - timedelta(days=ENDED)).isoformat()
    except (ValueError, OverflowError):  # none at all, or no date
        return []
    return [series for series, day in zip(found, days, strict=True) if day < first]


def _counts(ratio: float, least: float) -> bool:
    return abs(ratio - 1) >= least


def _is_worse(ratio: float, metric: str) -> bool:
    return ratio < 1 if BY_KEY[metric].better == "higher" else ratio > 1


def _middle(values: Sequence[float]) -> float:
    return finite_exp(statistics.median(map(math.log, values)))


def _told(title: str, key: Key, points: list[Point], metric: str) -> Series:
    values = [point.value for point in points]
    ends = change_points(values)
    bounds = list(zip([0, *ends], [*ends, len(points)], strict=True))
    changes = []
    for (start, end), (_, last) in itertools.pairwise(bounds):
        before, after = _middle(values[start:end]), _middle(values[end:last])
        found = tuple(suspects(points[max(start, end - _NEAR) : end], points[end : min(last, end + _NEAR)]))
        worse = _is_worse(after / before, metric)
        changes.append(Change(end, points[end].run_id, points[end].at, before, after, worse, found))
    # A change too small to matter is no new start.
    start = next((change.position for change in reversed(changes) if _counts(change.ratio, LEAST)), 0)
    newest = over_earlier(points[start:])
    return Series(title, str(key.work[0]), key.device, key.machine, key.simulated, metric, points, changes, newest)


def over_earlier(points: Sequence[Point]) -> Effect | None:
    """The last of these runs over those before it.

    From three earlier runs on by their scatter (Student's t for one more of the same; from nine on without regard to
    outliers, so that a second slow night is as slow as the first), else by the processes of each run and the spread
    that runs on one machine are known to have.
    """
    *earlier, last = points
    if len(earlier) >= RUNS:
        logs = [math.log(point.value) for point in earlier]
        n, robust = len(logs), len(points) >= ENOUGH
        middle, deviation = (statistics.median, spread) if robust else (statistics.fmean, statistics.stdev)
        before = Level(middle(logs), max(_FINEST, deviation(logs)) ** 2 * (1 + 1 / n), n - 1, "run", n, 1)
        return effects.between(before, Level(math.log(last.value), 0.0, n - 1, "run", 1, 1))
    samples = [point.sample for point in points]
    if not earlier or None in samples:
        return None
    sides = (level([s for s in part if s is not None]) for part in (samples[:-1], samples[-1:]))
    return effects.between(*sides, run_spread=NIGHT_SPREAD)
