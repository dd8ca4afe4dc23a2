"""A night on one machine: measure each configuration once (`measure`), compare, report.

OUT/<night>/report.html   this machine's own history, and tonight's runs over the other vendor's newest
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
from gpuprof.report.story import Block, Notice, Section, Story
from gpuprof.system.clock import utc_now
from gpuprof.system.files import to_file
from gpuprof.system.interrupts import terminate_as_interrupt


def run(
    plan: Plan, *, last: int = following.RECENT, least: float = following.LEAST,
    tell: Callable[[str], None] = lambda line: None,
) -> Night:  # fmt: skip
    """Measure, judge and write the reports of one night. `tell` gets a line before each measurement.

    A regression is a change by more than `least` (relative) within the `last` runs of a series.

    Raises LockedError while another night is at work in the same directory, UsageError where it cannot be made, and
    KeyboardInterrupt on SIGTERM as on Ctrl-C: the run at work keeps what it has, and is repeated when the night is run
    again.
    """
    with terminate_as_interrupt(), locked(plan.out) as lock:
        try:
            plan.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{plan.directory}: cannot be created ({error.strerror}); choose another --out") from None
        night = Night(plan, [])
        night.measured = list(measure(plan, lock, tell, night.unwritten))
        with Sources(plan.store) as sources:
            report = _judge(night, sources.dated(None), last, least)
        _write(night, plan.directory / "report.html", page.render(report))
        _write(night, plan.out / "gpuprof_nightly.prom", textfile(night))
        return night


def _write(night: Night, file: Path, text: str) -> None:
    try:
        to_file(file, text.encode())
    except GpuprofError as error:
        night.unwritten.append(str(error))


def _judge(night: Night, choice: Choice, last: int, least: float) -> Story:
    """Fill in what is `judged` and `worse`; gives the report. `choice` has all runs of the store, oldest first."""
    plan, tonight = night.plan, set(night.runs)
    # Tonight's runs are the newest of their series, in the order of `measured` (this plan's last), whatever the clock
    # says and whatever else was measured since. The sort is stable: all others keep their order before them.
    rank = {run: number for number, measured in enumerate(night.measured, 1) for run in measured.runs}
    runs = sorted(choice.runs, key=lambda run: rank.get(run.brief.run_id, 0))
    measured = [series for series in following.history(runs, METRIC) if series.points[-1].run_id in tonight]
    night.judged = following.together(measured, tonight=True)
    judged = {point.run_id for series in night.judged for point in series.points}
    night.measured = [
        m if m.fault or judged & set(m.runs) else replace(m, fault="no readable record in the store")
        for m in night.measured
    ]
    night.worse = following.regressions(night.judged, last=last, least=least, tonight=True)
    now = utc_now()
    own = story(History(str(plan.store), METRIC, night.judged, night.worse, choice.skipped, last), now)
    against = [
        Section(f"against-{number}", f"Against {compared.baseline.device}", _verdict(compared, now))
        for number, compared in enumerate(_against(runs, tonight))
    ]
    faults = [Notice(f"{measured.config}: {measured.fault}", "bad", banner=True) for measured in night.failed]
    failed = [Section("failed", "Not measured", faults)] if faults else []
    return Story(
        title=f"Night of {plan.night} on {socket.gethostname()}",
        headline=own.headline if night.judged else "Nothing was measured.",
        tone="bad" if night.exit_code else "good" if all(s.can_tell() for s in night.judged) else "plain",
        banners=own.banners,
        sections=[*failed, *(s for s in own.sections[:-2] if night.judged), *against, *own.sections[-2:]],
        made=own.made,
    )


def _verdict(compared: comparing.Comparison, now: str) -> list[Block]:
    """The headline of a comparison as a sentence, and the blocks of its first section."""
    whole = comparison.story(compared, now)
    trust = whole.glance.trust if whole.glance is not None else ""
    return [Notice(f"{whole.headline} {whole.detail} {trust}".strip(), whole.tone), *whole.sections[0].blocks]


def _against(runs: Sequence[Chosen], tonight: set[str]) -> Iterator[comparing.Comparison]:
    """Tonight's runs on each GPU over the newest runs on each model of another vendor.

    Simulated GPUs are compared with simulated ones alone.
    """
    candidates: dict[tuple[str, bool], list[Chosen]] = {}  # by model, and whether it is simulated
    baselines: dict[tuple[str, bool], list[Chosen]] = {}
    vendors = {run.brief.head.data["vendor"] for run in runs if run.brief.run_id in tonight} - {None}
    for run in runs:
        head = run.brief.head.data
        if head["vendor"] is None:  # a CPU
            continue
        if run.brief.run_id in tonight:
            candidates.setdefault((head["device"], head["simulated"]), []).append(run)
        elif head["vendor"] not in vendors:
            baselines.setdefault((head["device"], head["simulated"]), []).append(run)
    for (device, simulated), ours in candidates.items():
        for (model, also_simulated), theirs in baselines.items():
            if simulated == also_simulated:
                yield comparing.compare(_newest(model, theirs), _newest(device, ours))


def _newest(text: str, runs: Sequence[Chosen]) -> Evidence:
    """A side named `text` with, for each case, the newest of `runs` (oldest first) that measured it."""
    measured: set[Any] = set()
    kept: list[Chosen] = []
    for run in reversed(runs):
        cases = [static for static, _ in run.brief.cases]
        new = {static.text for static in cases if static.key not in measured and static.data["outcome"] == "ok"}
        measured |= {static.key for static in cases if static.text in new}
        if new:
            kept.append(run._replace(cases=new))
    return side(text, Choice(kept[::-1], EVERYTHING, []))
