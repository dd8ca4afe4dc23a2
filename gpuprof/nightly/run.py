"""A night on one machine: measure each configuration once (`measure`), compare, report.

OUT/<night>/report.html   the machine's own history, and the other vendor's latest runs beside tonight's
OUT/gpuprof_nightly.prom  OpenMetrics textfile of tonight
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprof.analysis import compare as comparing
from gpuprof.analysis import history as following
from gpuprof.analysis.evidence import Evidence, side
from gpuprof.errors import GpuprofError, UsageError
from gpuprof.index.selector import EVERYTHING
from gpuprof.index.sources import Choice, Chosen, Sources
from gpuprof.nightly.measure import Plan, locked, measure
from gpuprof.nightly.night import METRIC, Night
from gpuprof.nightly.textfile import textfile
from gpuprof.report.forms import page
from gpuprof.report.stories import comparison
from gpuprof.report.stories.history import History, story
from gpuprof.report.story import Notice, Section, Story
from gpuprof.system.clock import utc_now
from gpuprof.system.files import to_file
from gpuprof.system.interrupts import terminate_as_interrupt


def run(
    plan: Plan, *, last: int = following.RECENT, least: float = following.LEAST,
    tell: Callable[[str], None] = lambda line: None,
) -> Night:  # fmt: skip
    """Raises LockedError while another night is at work in the same place. `tell` gets a line before each measurement.

    SIGTERM ends it as Ctrl-C does: the run at work keeps what it has, and is made anew when the night is run again.
    """
    with terminate_as_interrupt(), locked(plan.out) as lock:
        try:
            plan.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{plan.place}: cannot be made ({error.strerror}); name another with --out") from None
        night = Night(plan, [])
        night.measured = list(measure(plan, lock, tell, night.unwritten))
        with Sources(plan.store) as sources:
            told = _judge(night, sources.dated(None), last, least)
        _write(night, plan.place / "report.html", page.render(told))
        _write(night, plan.out / "gpuprof_nightly.prom", textfile(night))
        return night


def _write(night: Night, file: Path, text: str) -> None:
    try:
        to_file(file, text.encode())
    except GpuprofError as error:
        night.unwritten.append(str(error))


def _judge(night: Night, choice: Choice, last: int, least: float) -> Story:
    plan, tonight = night.plan, set(night.runs)
    # Tonight comes last, and of it what this plan names, whatever the clock says and whatever was measured since.
    place = {run: number for number, one in enumerate(night.measured, 1) for run in one.runs}
    runs = sorted(choice.runs, key=lambda run: place.get(run.brief.run_id, 0))
    series = following.history(runs, METRIC)
    night.judged = [one for one in series if one.points[-1].run_id in tonight]
    seen = {point.run_id for one in night.judged for point in one.points}
    night.measured = [
        one if one.fault or seen & set(one.runs) else replace(one, fault="the store has no readable record of it")
        for one in night.measured
    ]
    night.worse = following.regressions(night.judged, last=last, least=least, tonight=True)
    now = utc_now()
    told = story(History(str(plan.store), METRIC, night.judged, night.worse, choice.skipped, last), now)
    others = [
        Section(f"against-{number}", f"Against {one.baseline.device}", _verdict(one, now))
        for number, one in enumerate(_against(runs, tonight))
    ]
    faults = [Notice(f"{one.config}: {one.fault}", "bad", banner=True) for one in night.failed]
    failed = [Section("failed", "Not measured", faults)] if faults else []
    return Story(
        title=f"Night of {plan.night} on {socket.gethostname()}",
        headline=told.headline if night.judged else "Nothing was measured.",
        tone="bad" if night.exit_code else "good",
        banners=told.banners,
        sections=[*failed, *(s for s in told.sections[:-1] if night.judged), *others, *told.sections[-1:]],
        made=told.made,
    )


def _verdict(found: comparing.Comparison, now: str) -> list[Any]:
    told = comparison.story(found, now)
    return [Notice(f"{told.headline} {told.detail}".strip(), told.tone), *told.sections[0].blocks]


def _against(runs: Sequence[Chosen], tonight: set[str]) -> Iterator[comparing.Comparison]:
    """Tonight's runs on each GPU over the newest runs on each model of another vendor."""
    ours: dict[tuple[str, bool], list[Chosen]] = {}
    theirs: dict[tuple[str, bool], list[Chosen]] = {}
    vendors = {run.brief.head.data["vendor"] for run in runs if run.brief.run_id in tonight} - {None}
    for run in runs:
        head = run.brief.head.data
        where = ours if run.brief.run_id in tonight else theirs if head["vendor"] not in vendors else None
        if where is not None and head["vendor"] is not None:
            where.setdefault((head["device"], head["simulated"]), []).append(run)
    for (device, simulated), mine in ours.items():
        for (model, other_simulated), other in theirs.items():
            if simulated == other_simulated:
                yield comparing.compare(_newest(model, other), _newest(device, mine))


def _newest(text: str, runs: Sequence[Chosen]) -> Evidence:
    """Of each case the newest run that measured it."""
    seen: set[Any] = set()
    kept: list[Chosen] = []
    for run in reversed(runs):
        cases = [static for static, _ in run.brief.cases]
        new = {static.text for static in cases if static.key not in seen and static.data["outcome"] == "ok"}
        seen |= {static.key for static in cases if static.text in new}
        if new:
            kept.append(run._replace(cases=new))
    return side(text, Choice(kept[::-1], EVERYTHING, []))
