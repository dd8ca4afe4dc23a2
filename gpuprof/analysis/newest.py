"""The newest run of a series over those before it: what one night alone may say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import date

from gpuprof.analysis.effect import Effect, between
from gpuprof.analysis.levels import FEW, Level, level
from gpuprof.analysis.series import Point
from gpuprof.stats import spread

# Two-sided, over all series of a night. Half of it is on the side of worse: of a month of nights in which nothing
# changed, some 8% have an alarm.
NIGHT_LEVEL = 0.004
NIGHT_SPREAD = 0.02  # between runs on one machine (coefficient of variation), where there are too few to show it
ROBUST = 9  # earlier runs from which on outliers among them are known as such
_FAR = 4.0
_FINEST = 1e-3  # of logarithms: no series is taken to scatter less
_WEEKS = 4  # nights of a day of the week that show what is usual on it
_SURE = 2.5  # standard errors from which on a day of the week has a level of its own


def over_earlier(points: Sequence[Point]) -> Effect | None:
    """The newest of these runs (oldest first, at least one) over those before it; None where nothing can be said.

    From three earlier runs on it is compared with their scatter: a prediction interval, Student's t for one more of the
    same. From nine on those count that are no outliers, so that a second slow night is as slow as the first; and where
    days of the week differ (a machine that is shared on weekdays, or backed up on Sundays), it is compared with what is
    usual on its own. With fewer than three, the processes of each run decide, with the spread that runs on one machine
    are known to have.
    """
    earlier = points[:-1]
    if len(earlier) >= FEW:
        logs = [math.log(point.value) for point in points]
        if len(earlier) >= ROBUST:
            logs = _without_weekdays(logs, [point.at for point in points])
        last, before = logs[-1], _usual(logs[:-1]) if len(earlier) >= ROBUST else logs[:-1]
        n, variance = len(before), max(_FINEST, statistics.stdev(before)) ** 2
        # s² for the newest run and s² / n for the mean, all of it on this side: with 0 on the other one the degrees of
        # freedom come out as this side's. Both levels are runs of one machine, so that `between` adds no spread.
        expected = Level(statistics.fmean(before), variance * (1 + 1 / n), n - 1, "run", n)
        return between(expected, Level(last, 0.0, n - 1, "run", 1))
    samples = [point.sample for point in points]
    if not earlier or None in samples:
        return None
    sides = (level([s for s in part if s is not None]) for part in (samples[:-1], samples[-1:]))
    return between(*sides, run_spread=NIGHT_SPREAD)


def _usual(logs: Sequence[float]) -> list[float]:
    """Those that are no outliers, by _FAR times the spread that most of them have."""
    middle, limit = statistics.median(logs), _FAR * max(_FINEST, spread(logs))
    return [log for log in logs if abs(log - middle) <= limit]


def _without_weekdays(logs: Sequence[float], starts: Sequence[str]) -> list[float]:
    """The logarithms without what is usual on their day of the week, where earlier runs show that it is."""
    days = [_weekday(at) for at in starts]
    by_day: dict[int, list[float]] = {}
    for day, log in zip(days[:-1], logs[:-1], strict=True):
        if day is not None:
            by_day.setdefault(day, []).append(log)
    known = {day: statistics.median(values) for day, values in by_day.items() if len(values) >= _WEEKS}
    if not known:
        return list(logs)
    middle = statistics.median(logs[:-1])
    scatter = max(_FINEST, spread([log - known[day] for day, log in zip(days[:-1], logs[:-1], strict=True)
                                   if day is not None and day in known]))  # fmt: skip
    own = {
        day: level_ - middle for day, level_ in known.items()
        # The median of n normal values has a standard error of 1.25 s / root of n.
        if abs(level_ - middle) > _SURE * 1.25 * scatter / math.sqrt(len(by_day[day]))
    }  # fmt: skip
    return [log - own.get(day, 0.0) if day is not None else log for day, log in zip(days, logs, strict=True)]


def _weekday(start: str) -> int | None:
    """0 for Monday; None for what is no date."""
    try:
        return date.fromisoformat(start[:10]).weekday()
    except ValueError:
        return None
