"""A metric over time on one machine: where its level changed, which way, and what changed with it.

Change points are those of least cost (PELT, Killick et al. 2012) with absolute deviations from each segment's median,
on logarithms in units of the scatter from run to run. Outliers hardly move a median, and the scatter is taken from
differences of neighbours, which a step does not widen.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from gpuprof.analysis import effect as effects
from gpuprof.analysis.effect import LEVEL, Effect
from gpuprof.analysis.evidence import RUNS, Level, Sample, level
from gpuprof.analysis.stats import finite_exp, spread
from gpuprof.analysis.titles import apart, settings, shape
from gpuprof.digest import PER_METRIC, Brief, Digest, Shared, as_text
from gpuprof.metrics import BY_KEY, METRICS, UNTHROTTLED

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

Found = tuple[Brief, set[str] | None, Callable[[], Digest]]


class Point(NamedTuple):
    """One run of a series. `sample` is None where its processes have no values of their own."""

    run_id: str
    at: str
    value: float
    sample: Sample | None
    facts: Shared
    static: Shared
    find: Callable[[], dict[str, Any]]  # the case's facts in full


@dataclass(frozen=True)
class Suspect:
    """What was another before than after."""

    name: str
    before: str
    after: str


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


def history(runs: Iterable[Found], metric: str) -> list[Series]:
    """A series for each machine and case. `runs` are oldest first, each with the cases that count (None: all)."""
    return [_told(title, key, points[-WINDOW:], metric) for title, key, points in _collected(runs, metric)]


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

    A series too short for change points is judged by its newest run; with `tonight` so is every other one, too. One
    that has ended is not judged.
    """
    found = living(found)
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
                suspects = tuple(_suspects(series.points[segments(series)[-1][0] : -1], series.points[-1:]))
                worse.append(Regression(series, ratio, series.points[-1], suspects, settled=False))
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


def living(found: Sequence[Series]) -> list[Series]:
    """Without those that have ended: what a retired machine measured last is not worse for ever."""
    newest = [series.points[-1].at[:10] for series in found]
    try:
        first = (date.fromisoformat(max(newest)) - timedelta(days=ENDED)).isoformat()
    except ValueError:  # none at all, or no date
        return list(found)
    return [series for series, day in zip(found, newest, strict=True) if day >= first]


def _counts(ratio: float, least: float) -> bool:
    return abs(ratio - 1) >= least


def _is_worse(ratio: float, metric: str) -> bool:
    return (ratio < 1) == (BY_KEY[metric].better == "higher")


def _middle(values: Sequence[float]) -> float:
    return finite_exp(statistics.median(map(math.log, values)))


# ---- series


class _Key(NamedTuple):
    machine: str
    device: str
    simulated: bool
    config: str
    protocol: str
    work: tuple[Hashable, ...]
    how: tuple[str, ...]  # empty where it does not tell cases of one run apart; the last is the case's id


# How the same work is computed: a change of it is a cause, not another case. A run that has several of them keeps them
# apart.
_HOW_PARAMS = ("fused",)


def _collected(runs: Iterable[Found], metric: str) -> Iterator[tuple[str, _Key, list[Point]]]:
    at = PER_METRIC * [m.key for m in METRICS].index(metric)
    found: list[tuple[_Key, Point]] = []
    several: set[_Key] = set()
    for one, wanted, find in runs:
        seen: set[_Key] = set()
        for position, (static, numbers) in enumerate(one.cases):
            data = static.data
            count, mean, squares, value = numbers[at : at + PER_METRIC]
            counts = data["outcome"] == "ok" and data["correctness"] != "wrong" and value > 0
            if not counts or (wanted is not None and static.text not in wanted):
                continue
            key = _key(one, data)
            bare = key._replace(how=())
            several |= {bare} & seen
            seen.add(bare)
            sample = Sample(key.machine, count, mean, squares) if count == count else None
            facts = _lazily(find, position)
            found.append((key, Point(one.run_id, one.started_at, value, sample, one.facts, static, facts)))
    series: dict[_Key, list[Point]] = {}
    for key, point in found:
        bare = key._replace(how=())
        series.setdefault(key if bare in several else bare, []).append(point)
    for title, (key, points) in zip(_titles(list(series.items())), series.items(), strict=True):
        yield title, key, points


def _lazily(find: Callable[[], Digest], position: int) -> Callable[[], dict[str, Any]]:
    return lambda: find().cases[position].facts


def _key(one: Brief, data: dict[str, Any]) -> _Key:
    head, facts = one.head.data, one.facts.data
    rest = {name: value for name, value in data["params"].items() if name not in _HOW_PARAMS}
    how = {name: value for name, value in data["params"].items() if name in _HOW_PARAMS}
    # What was asked for: arithmetic that turned out to be another is a change, not another case.
    work = (data["workload"], data["mode"], data["requested"], data["batch_size"], data["seq_len"], data["variant"])
    return _Key(
        head["machine"], head["device"], head["simulated"], str(facts.get("config_file", "")),
        str(facts.get("protocol", {}).get("name", "")), (*work, as_text(rest)),
        (str(data["threads"]), as_text(how), data["case_id"]),
    )  # fmt: skip


def _titles(series: Sequence[tuple[_Key, list[Point]]]) -> list[str]:
    """Each in as few words as tell it from the others of its workload and mode."""
    works = []
    for key, points in series:
        case, told = points[-1].static.data, bool(key.how)
        hidden = () if told else _HOW_PARAMS
        params = {name: value for name, value in case["params"].items() if name not in hidden}
        words = shape(case["requested"], case["batch_size"], case["seq_len"], case["variant"])
        words |= settings(case["threads"] if told else None, params)
        words |= {"config": key.config, "protocol": key.protocol, "machine": key.machine.partition(" ")[0]}
        works.append(((case["workload"], case["mode"]), words))
    titles = apart(works)
    return [
        f"{title} · {key.how[-1]}" if key.how and titles.count(title) > 1 else title
        for title, (key, _) in zip(titles, series, strict=True)
    ]


def _told(title: str, key: _Key, points: list[Point], metric: str) -> Series:
    values = [point.value for point in points]
    ends = change_points(values)
    bounds = list(zip([0, *ends], [*ends, len(points)], strict=True))
    changes = []
    for (start, end), (_, last) in itertools.pairwise(bounds):
        before, after = _middle(values[start:end]), _middle(values[end:last])
        suspects = tuple(_suspects(points[max(start, end - _NEAR) : end], points[end : min(last, end + _NEAR)]))
        worse = _is_worse(after / before, metric)
        changes.append(Change(end, points[end].run_id, points[end].at, before, after, worse, suspects))
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


# ---- suspects

_FACTS = {
    "driver_version": "driver", "torch": "PyTorch", "torch_build": "torch build", "gpuprof": "gpuprof",
    "gpuprof_commit": "gpuprof commit", "container": "container", "kernel": "kernel", "os": "operating system",
    "python": "Python", "cpu": "host CPU", "cores": "CPU cores", "vbios_version": "VBIOS", "partition": "partition",
    "ecc_enabled": "ECC", "power_limit_w": "power limit, W", "core_clock_max_hz": "highest core clock, Hz",
    "config": "configuration file",
}  # fmt: skip
_MAPPINGS = ("libraries", "variables", "protocol")  # told of name by name, as are the case's parameters and switches
_CASE = {
    "precision": "arithmetic that ran", "threads": "CPU threads", "fallback": "substitute", "regime": "regime",
    "steady": "steady state", "crowded": "others on the host's cores", "doubtful": "doubtful sensors",
}  # fmt: skip
# A condition of the case, how much of it is a difference, and whether that is relative.
_CONDITIONS = (
    ("temperature_start_c", "temperature at start", 3.0, False, lambda v: f"{v:.0f} °C"),
    ("core_clock_hz", "core clock", 0.01, True, lambda v: f"{v / 1e6:,.0f} MHz"),
)
_THROTTLED = 0.02  # share of the window


def _suspects(before: Sequence[Point], after: Sequence[Point]) -> Iterator[Suspect]:
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
    conditions = [[point.find() for point in side] for side in (before, after)]
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
    reasons = {reason for one in shares for reason in one if reason not in UNTHROTTLED}
    return {reason: statistics.median(one.get(reason, 0.0) for one in shares) for reason in sorted(reasons)}
