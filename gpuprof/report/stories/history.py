"""The story of a metric over time, and the same as a document. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gpuprof
from gpuprof.analysis.history import (
    ENDED,
    ENOUGH,
    RECENT,
    WINDOW,
    Change,
    Regression,
    Series,
    segments,
)
from gpuprof.analysis.suspects import Suspect
from gpuprof.metrics import BY_KEY
from gpuprof.report.charts.over_time import history
from gpuprof.report.story import Block, Bullets, Cell, Chart, Notice, Section, Story, Table
from gpuprof.report.wording import NONE, SIMULATED, number, times, times_interval
from gpuprof.text import listed, plural, shortened

SCHEMA = "gpuprof.history/1"
_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 12
_MOST_CHARTS = 24
_MOST_SUSPECTS = 6


@dataclass(frozen=True)
class History:
    what: str
    metric: str
    series: Sequence[Series]
    worse: Sequence[Regression]
    skipped: Sequence[str] = ()
    last: int = RECENT
    ended: Sequence[Series] = ()  # of `series`, not judged

    @property
    def simulated(self) -> list[str]:
        """Devices that a simulator stood for."""
        return sorted({series.device for series in self.series if series.simulated})


def story(found: History, now: str) -> Story:
    sections = [
        Section("series", "Series", list(_series(found))),
        Section("changes", "Changes", list(_changes(found))),
        Section("charts", "Over time", list(_charts(found))),
        Section("raw", "Method", [Bullets(_METHOD)]),
    ]
    runs = {point.run_id for series in found.series for point in series.points}
    return Story(
        title=f"{BY_KEY[found.metric].title} over time: {shortened(found.what)}",
        headline=headline(found),
        tone="bad" if found.worse else "plain",
        banners=[SIMULATED.format(names=" and ".join(found.simulated))] if found.simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from {plural(len(runs), 'run')}",
    )


def headline(found: History) -> str:
    if found.worse:
        return "Worse: " + "; ".join(regression(one) for one in found.worse) + "."
    changes = sum(len(series.changes) for series in found.series)
    short = sum(bool(series.short) for series in found.series)
    unclear = f", {short} too short to tell" if short else ""
    if found.ended:
        unclear += f", {len(found.ended)} not judged (no run in {ENDED} days before the newest of all)"
    return (
        f"No new regression in {plural(len(found.series), 'series', 'series')}: {plural(changes, 'change')}{unclear}."
    )


def regression(one: Regression) -> str:
    """In the words of a mail: which, how much, since when, and what else changed."""
    metric = BY_KEY[one.series.metric].title
    why = suspects(one.suspects, most=3)
    since = f"since {one.since.at[:10]}" if one.settled else f"in the run of {one.since.at[:10]}"
    said = "; ".join([why or ("" if one.cautions else "nothing else changed"), *one.cautions]).strip("; ")
    return f"{one.series.title}: {times(one.ratio)} {metric} {since} ({said})"


def suspects(found: Sequence[Suspect], most: int = _MOST_SUSPECTS) -> str:
    said = [f"{s.name} {shortened(s.before, 40)} → {shortened(s.after, 40)}" for s in found]
    return listed(said, most)


def sparkline(values: Sequence[float], width: int = _MOST_BARS) -> str:
    """The last values as bars, on a logarithmic scale from the smallest to the largest."""
    logs = [math.log(value) for value in values[-width:]]
    low, high = min(logs), max(logs)
    if high - low < 1e-9:
        return _BARS[3] * len(logs)
    return "".join(_BARS[round((log - low) / (high - low) * (len(_BARS) - 1))] for log in logs)


def _series(found: History) -> Iterable[Block]:
    unit = BY_KEY[found.metric].unit
    worse, ended = {id(one.series): one for one in found.worse}, set(map(id, found.ended))
    rows = []
    for series in sorted(found.series, key=lambda s: id(s) not in worse):
        change = series.changes[-1] if series.changes else None
        newest = series.newest
        verdict = Cell(series.short or "steady", "dim")
        if id(series) in ended:
            verdict = Cell(f"ended {series.points[-1].at[:10]}", "dim")
        elif now := worse.get(id(series)):
            verdict = Cell(f"regression {times(now.ratio)}", "bad", note=f"since {now.since.at[:10]}")
        elif change is not None:
            verdict = Cell(f"{_direction(change)} {times(change.ratio)}", "dim", note=f"since {change.at[:10]}")
        rows.append([
            Cell(series.title), verdict, Cell(series.device + (" (simulated)" if series.simulated else "")),
            Cell(str(len(series.points)), number=True), number(series.values[-1], unit),
            Cell(NONE, "dim", number=True) if newest is None
            else Cell(times(newest.ratio), number=True, note=times_interval(newest.ci95)),
            Cell(sparkline(series.values)),
        ])  # fmt: skip
    yield Table(
        f"{BY_KEY[found.metric].title}, {BY_KEY[found.metric].better} is better",
        ("case", "verdict", "device", "runs", "newest run", "over those of its level", "last runs"), rows,
    )  # fmt: skip
    if found.skipped:
        yield Notice(f"{plural(len(found.skipped), 'record')} could not be read and were left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(found.skipped)[:20]])


def _direction(change: Change) -> str:
    return "regression" if change.worse else "improvement"


def _changes(found: History) -> Iterable[Block]:
    unit = BY_KEY[found.metric].unit
    rows = [
        [Cell(series.title), Cell(change.at[:10], note=change.run_id),
         Cell(_direction(change), "bad" if change.worse else "good"),
         Cell(times(change.ratio), "strong", number=True), number(change.before, unit), number(change.after, unit),
         Cell(suspects(change.suspects) or "nothing that the records hold", "plain" if change.suspects else "dim")]
        for series in found.series for change in reversed(series.changes)
    ]  # fmt: skip
    rows += [
        [Cell(one.series.title), Cell(one.since.at[:10], note=one.since.run_id), Cell("newest run is worse", "bad"),
         Cell(times(one.ratio), "strong", number=True), number(one.since.value / one.ratio, unit),
         number(one.since.value, unit), Cell("; ".join(filter(None, [suspects(one.suspects), *one.cautions]))
                                             or "nothing that the records hold")]
        for one in found.worse if not one.settled
    ]  # fmt: skip
    if rows:
        heads = ("case", "first run after", "direction", "ratio", "before", "after", "what else changed there")
        yield Table("Where the level changed", heads, rows)


def _charts(found: History) -> Iterable[Block]:
    metric = BY_KEY[found.metric]
    drawn = [series for series in found.series if len(series.points) > 1]
    if len(drawn) > _MOST_CHARTS:
        yield Notice(f"The first {_MOST_CHARTS} of {len(drawn)} series are drawn.", "dim")
    for position, series in enumerate(drawn[:_MOST_CHARTS]):
        levels = [(s, e, level) for (s, e), level in zip(segments(series), series.levels, strict=True)]
        rows = [{"at": p.at, "run": p.run_id, "value": p.value, "level": level, "segment": number}
                for number, (start, end, level) in enumerate(levels) for p in series.points[start:end]]  # fmt: skip
        changes = [
            {"at": c.at, "ratio": c.ratio, "worse": c.worse, "why": suspects(c.suspects)} for c in series.changes
        ]
        says = f"{plural(len(series.points), 'run')}, {plural(len(series.changes), 'change')} as in the table above."
        title = f"{series.title} on {series.device}"
        yield Chart(f"history-{position}", title, says, history(rows, changes, metric.title, metric.unit))


_METHOD = (
    "A series is one machine's runs of one case, named by what was asked for: configuration file, protocol, workload, "
    "arithmetic, batch, length, variant, parameters. CPU threads and fused kernels are settings, and so may change.",
    f"Change points: PELT with absolute deviations on logarithms, penalty 3 ln n, over the last {WINDOW} runs; with "
    f"fewer than {ENOUGH} runs the newest is compared with those before it.",
    "Ratios are of medians, after over before. What else changed is what most runs after had otherwise: no proof.",
)


def document(found: History, now: str) -> dict[str, Any]:
    metric, ended = BY_KEY[found.metric], set(map(id, found.ended))
    return {
        "schema": SCHEMA,
        "gpuprof": gpuprof.__version__,
        "made_at": now,
        "simulated": bool(found.simulated),
        "metric": {"key": metric.key, "unit": metric.unit, "better": metric.better},
        "last": found.last,
        "headline": headline(found),
        "regressions": [
            {"case": r.series.title, "workload": r.series.workload, "device": r.series.device,
             "machine": r.series.machine, "ratio": r.ratio, "since": r.since.run_id, "at": r.since.at,
             "kind": "change" if r.settled else "newest run", "suspects": [asdict(s) for s in r.suspects],
             "cautions": r.cautions}
            for r in found.worse
        ],
        "series": [_document(series) | {"judged": id(series) not in ended} for series in found.series],
        "skipped": sorted(found.skipped),
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
        "changes": [asdict(c) | {"ratio": c.ratio, "direction": "regression" if c.worse else "improvement"}
                    for c in series.changes],
        "newest": None if newest is None else {"ratio": newest.ratio, "ci95": newest.ci95, "p": newest.p},
    }  # fmt: skip
