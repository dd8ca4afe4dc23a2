"""The story of a metric over time, and the same as a JSON document. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gpuprof
from gpuprof.analysis.change_points import ENOUGH
from gpuprof.analysis.history import (
    ENDED,
    RECENT,
    REQUIRED,
    WINDOW,
    Change,
    Regression,
    Series,
    segments,
)
from gpuprof.analysis.names import shorts
from gpuprof.analysis.suspects import Suspect
from gpuprof.metrics import BY_KEY
from gpuprof.report.charts import over_time
from gpuprof.report.story import Block, Bullets, Cell, Chart, Notice, Section, Story, Table
from gpuprof.report.terms import glossary
from gpuprof.report.wording import NONE, SIMULATED, number, percent, times, times_interval
from gpuprof.text import listed, plural, shortened

SCHEMA = "gpuprof.history/1"
_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 12
_MOST_CHARTS = 24
_MOST_SUSPECTS = 6


@dataclass(frozen=True)
class History:
    """A metric over time in every series, and what is worse now."""

    what: str  # the selector or the store that the runs come from
    metric: str  # a key of METRICS
    series: Sequence[Series]
    worse: Sequence[Regression]
    skipped: Sequence[str] = ()  # records that could not be read, and why
    last: int = RECENT  # runs within which a change counts as a regression
    ended: Sequence[Series] = ()  # those of `series` that are too old to be judged
    required: float = REQUIRED  # relative change that a series must be able to show, or it cannot tell yet

    @property
    def unclear(self) -> list[Series]:
        """Those that cannot tell yet: a change of `required` would probably not show, and no worse one did."""
        told = {*map(id, self.ended), *(id(regression.series) for regression in self.worse)}
        return [series for series in self.series if id(series) not in told and not series.can_tell(self.required)]

    @property
    def simulated(self) -> list[str]:
        """Models of the devices that a simulator took the place of."""
        return sorted({series.device for series in self.series if series.simulated})


def story(history: History, now: str) -> Story:
    """A history as a report, made at the time `now` (ISO 8601)."""
    sections = [
        Section("series", "Series", list(_series(history))),
        Section("changes", "Changes", list(_changes(history))),
        Section("charts", "Over time", list(_charts(history))),
        Section("raw", "Method", [Bullets(_METHOD)]),
        glossary(),
    ]
    runs = {point.run_id for series in history.series for point in series.points}
    return Story(
        title=f"{BY_KEY[history.metric].title} over time: {shortened(history.what)}",
        headline=headline(history),
        tone="bad" if history.worse else "plain",
        left_out=sorted(history.skipped),
        banners=[SIMULATED.format(names=" and ".join(history.simulated))] if history.simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from {plural(len(runs), 'run')}",
    )


def headline(history: History) -> str:
    """The answer in one sentence: each regression, or that there is none."""
    if history.worse:
        return "Worse: " + "; ".join(map(regression, history.worse)) + "."
    changes = sum(len(series.changes) for series in history.series)
    judged, unclear = len(history.series) - len(history.ended), history.unclear
    clear = judged - len(unclear)
    ended = f" {len(history.ended)} not judged: no run in the {ENDED} days before the newest." if history.ended else ""
    if not unclear:
        return f"No new regression in {plural(clear, 'series', 'series')}: {plural(changes, 'change')}.{ended}"
    cannot = f"{len(unclear)} cannot tell yet: {cannot_tell(unclear)}"
    if not clear:
        return f"Too early to tell in any of {plural(judged, 'series', 'series')}: {cannot_tell(unclear)}.{ended}"
    return f"No new regression in {clear} of {judged} series, {plural(changes, 'change')}; {cannot}.{ended}"


def cannot_tell(unclear: Sequence[Series]) -> str:
    """How large a change must be to show in these series."""
    known = [series.resolution for series in unclear if series.resolution is not None]
    if len(known) < len(unclear):
        return "a first run has nothing to be compared with"
    least = f"{percent(min(known))} to {percent(max(known))}" if len(known) > 1 else percent(known[0])
    return f"the smallest change that would show is {least}"


def regression(worse: Regression) -> str:
    """A regression in one line, for e-mail: which case, how much, since when, and what else changed."""
    series, since = worse.series, worse.since
    metric = BY_KEY[series.metric].title
    when = f"{'slowly ' * worse.slowly}since {since.at[:10]}" if worse.settled else f"in the run of {since.at[:10]}"
    why = suspects(worse.suspects, most=3) or ("" if worse.cautions else "no other recorded change")
    same = ["the machine itself was as fast as before"] if worse.same_machine else []
    reasons = "; ".join([why, *same, *worse.cautions]).strip("; ")
    return f"{series.title}: {times(worse.ratio)} {metric} {when} ({reasons})"


def suspects(changed: Sequence[Suspect], most: int = _MOST_SUSPECTS) -> str:
    """What else changed, each with the value before and after; "" where nothing did."""
    return listed([f"{s.name} {shortened(s.before, 40)} → {shortened(s.after, 40)}" for s in changed], most)


def sparkline(values: Sequence[float], width: int = _MOST_BARS) -> str:
    """The last `width` values as bars, on a logarithmic scale from the smallest to the largest of them."""
    logs = [math.log(value) for value in values[-width:]]
    low, high = min(logs), max(logs)
    if high - low < 1e-9:
        return _BARS[3] * len(logs)
    return "".join(_BARS[round((log - low) / (high - low) * (len(_BARS) - 1))] for log in logs)


def _series(history: History) -> Iterable[Block]:
    """A row for each series, those that are worse first."""
    unit = BY_KEY[history.metric].unit
    worse, ended = {id(regression.series): regression for regression in history.worse}, set(map(id, history.ended))
    rows = []
    ordered = sorted(history.series, key=lambda s: id(s) not in worse)
    for series, device in zip(ordered, shorts([series.device for series in ordered]), strict=True):
        change = series.changes[-1] if series.changes else None
        newest = series.newest
        verdict = Cell("steady", "good")
        if not series.can_tell(history.required):
            needs = "" if series.resolution is None else f"below {percent(series.resolution)} nothing would show"
            verdict = Cell("cannot tell yet", "dim", note=needs)
        if id(series) in ended:
            verdict = Cell(f"ended {series.points[-1].at[:10]}", "dim")
        elif now := worse.get(id(series)):
            verdict = Cell(f"regression {times(now.ratio)}", "bad", note=f"since {now.since.at[:10]}")
        elif change is not None:
            verdict = Cell(f"{_direction(change)} {times(change.ratio)}", "dim", note=f"since {change.at[:10]}")
        rows.append([
            Cell(series.title), verdict, Cell(device + (" (simulated)" if series.simulated else "")),
            Cell(str(len(series.points)), number=True), number(series.values[-1], unit),
            Cell(NONE, "dim", number=True) if newest is None
            else Cell(times(newest.ratio), number=True, note=times_interval(newest.ci95)),
            Cell(sparkline(series.values)),
        ])  # fmt: skip
    yield Table(
        f"{BY_KEY[history.metric].title}, {BY_KEY[history.metric].better} is better",
        ("case", "verdict", "device", "runs", "newest run", "vs current level", "last runs"), rows,
    )  # fmt: skip
    if history.skipped:
        yield Notice(f"{plural(len(history.skipped), 'record')} left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(history.skipped)[:20]])


def _direction(change: Change) -> str:
    return "regression" if change.worse else "improvement"


def _changes(history: History) -> Iterable[Block]:
    """Every change of level, the newest first in its series; then newest runs that are worse by themselves."""
    unit = BY_KEY[history.metric].unit
    rows = [
        [Cell(series.title), Cell(change.at[:10], note=change.run_id),
         Cell(_direction(change), "bad" if change.worse else "good"),
         Cell(times(change.ratio), "strong", number=True), number(change.before, unit), number(change.after, unit),
         Cell(suspects(change.suspects) or "no recorded change", "plain" if change.suspects else "dim")]
        for series in history.series for change in reversed(series.changes)
    ]  # fmt: skip
    rows += [
        [Cell(new.series.title), Cell(new.since.at[:10], note=new.since.run_id), Cell("newest run is worse", "bad"),
         Cell(times(new.ratio), "strong", number=True), number(new.since.value / new.ratio, unit),
         number(new.since.value, unit), Cell("; ".join(filter(None, [suspects(new.suspects), *new.cautions]))
                                             or "no recorded change")]
        for new in history.worse if not new.settled
    ]  # fmt: skip
    if rows:
        heads = ("case", "first run after", "direction", "ratio", "before", "after", "what else changed")
        yield Table("Where the level changed", heads, rows)


def _charts(history: History) -> Iterable[Block]:
    metric = BY_KEY[history.metric]
    drawn = [series for series in history.series if len(series.points) > 1]
    if len(drawn) > _MOST_CHARTS:
        yield Notice(f"Charts show the first {_MOST_CHARTS} of {len(drawn)} series.", "dim")
    for position, series in enumerate(drawn[:_MOST_CHARTS]):
        levels = [(s, e, level) for (s, e), level in zip(segments(series), series.levels, strict=True)]
        rows = [{"at": p.at, "run": p.run_id, "value": p.value, "level": level, "segment": number}
                for number, (start, end, level) in enumerate(levels) for p in series.points[start:end]]  # fmt: skip
        changes = [
            {"at": c.at, "ratio": c.ratio, "worse": c.worse, "why": suspects(c.suspects)} for c in series.changes
        ]
        says = f"{plural(len(series.points), 'run')}, {plural(len(series.changes), 'change')}; see the table above."
        title = f"{series.title} on {series.device}"
        yield Chart(f"history-{position}", title, says, over_time.history(rows, changes, metric.title, metric.unit))


_METHOD = (
    "A series is one machine's runs of one case as requested: configuration file, protocol, workload, precision, batch "
    "size, sequence length, variant, parameters. CPU threads and fused kernels are settings and may change.",
    f"Change points: PELT with absolute deviations on logarithms, penalty 3 ln n, over the last {WINDOW} runs; with "
    f"fewer than {ENOUGH} runs, the newest run is compared with the earlier ones.",
    "Ratios are of medians, after over before. What else changed is what differed between most runs before and most "
    "runs after; that proves no cause.",
)


def document(history: History, now: str) -> dict[str, Any]:
    """A history as a JSON document (SCHEMA), in SI units, unrounded."""
    metric, ended = BY_KEY[history.metric], set(map(id, history.ended))
    return {
        "schema": SCHEMA,
        "gpuprof": gpuprof.__version__,
        "made_at": now,
        "simulated": bool(history.simulated),
        "metric": {"key": metric.key, "unit": metric.unit, "better": metric.better},
        "last": history.last,
        "headline": headline(history),
        "required": history.required,
        "cannot_tell": len(history.unclear),
        "regressions": [
            {"case": r.series.title, "workload": r.series.workload, "device": r.series.device,
             "machine": r.series.machine, "ratio": r.ratio, "since": r.since.run_id, "at": r.since.at,
             "kind": "change" if r.settled else "newest run", "suspects": [asdict(s) for s in r.suspects],
             "slowly": r.slowly, "cautions": r.cautions, "same_machine": r.same_machine}
            for r in history.worse
        ],
        "series": [_document(series) | {"judged": id(series) not in ended} for series in history.series],
        "skipped": sorted(history.skipped),
    }  # fmt: skip


def _document(series: Series) -> dict[str, Any]:
    newest = series.newest
    return {
        "case": series.title,
        "workload": series.workload,
        "device": series.device,
        "machine": series.machine,
        "simulated": series.simulated,
        "runs": [{"run": p.run_id, "at": p.at, "value": p.value} for p in series.points],
        "too_short": series.short or None,
        "resolution": series.resolution,
        "changes": [asdict(c) | {"ratio": c.ratio, "direction": "regression" if c.worse else "improvement"}
                    for c in series.changes],
        "newest": None if newest is None else {"ratio": newest.ratio, "ci95": newest.ci95, "p": newest.p},
    }  # fmt: skip
