"""A night on one machine: measure each configuration once, compare, report.

    OUT/.lock                 held while a night runs; its text names the process
    OUT/<night>/night.json    what was measured: a configuration that is there is not measured again
    OUT/<night>/report.html   the machine's own history, and the other vendor's latest runs beside tonight's
    OUT/<night>/<n>-<config>.log    what `gpuprof run` said
    OUT/gpuprof_nightly.prom  OpenMetrics textfile of tonight

A suite is measured configuration by configuration. One that fails costs itself alone: it is reported, and tried again
when the night is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpuprof import environment, suite
from gpuprof import store as runs
from gpuprof.analysis import compare as comparing
from gpuprof.analysis import history as following
from gpuprof.analysis.evidence import Evidence, complete, fold
from gpuprof.analysis.history import Found
from gpuprof.errors import EXIT_OK, EXIT_REGRESSION, EXIT_RUN_FAILED, ConfigError, LockedError, UsageError
from gpuprof.export import openmetrics
from gpuprof.export.runs import one_line
from gpuprof.files import to_file
from gpuprof.report import comparison, page
from gpuprof.report.history import History, regression, story
from gpuprof.report.story import Notice, Section, Story
from gpuprof.report.telling import listed, plural
from gpuprof.sides import Sources


@dataclass(frozen=True)
class Plan:
    configs: Sequence[str]
    store: Path
    out: Path
    night: str
    options: Sequence[str] = ()  # for `gpuprof run`, as are the KEY=VALUE of `overrides`
    overrides: Sequence[str] = ()
    again: bool = False
    metric: str = comparing.HEADLINE
    last: int = following.RECENT
    least: float = following.LEAST
    timeout_s: float = 6 * 3600.0  # of one configuration

    @property
    def place(self) -> Path:
        return self.out / self.night


@dataclass(frozen=True)
class Item:
    """One configuration to measure. `signature` is of all that says what: another text is another measurement."""

    config: str
    options: Sequence[str]
    signature: str


@dataclass(frozen=True)
class Measured:
    """One configuration in one night. `fault` is empty where all of it was measured."""

    config: str
    signature: str
    runs: Sequence[str]
    fault: str = ""


@dataclass
class Night:
    plan: Plan
    measured: list[Measured]
    worse: list[following.Regression] = field(default_factory=list)
    judged: list[following.Series] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        return [run for one in self.measured for run in one.runs]

    @property
    def failed(self) -> list[Measured]:
        return [one for one in self.measured if one.fault]

    @property
    def exit_code(self) -> int:
        return EXIT_REGRESSION if self.worse else EXIT_RUN_FAILED if self.failed else EXIT_OK

    @property
    def line(self) -> str:
        """What a person reads in a mail."""
        parts = [f"REGRESSED: {regression(one)}" for one in self.worse]
        parts += [f"FAILED: {one.config}: {one.fault}" for one in self.failed]
        if not self.worse and self.judged:
            parts.append("nothing slower")
        alone = sum(series.newest is None for series in self.judged)
        firsts = f", {alone} for the first time" if alone else ""
        parts.append(f"{plural(len(self.judged), 'case')} measured{firsts}")
        parts.append(f"report {self.plan.place / 'report.html'}")
        return one_line(f"gpuprof {self.plan.night} on {socket.gethostname()}: {'; '.join(parts)}")


def run(plan: Plan) -> Night:
    """Raises LockedError while another night is at work in the same place."""
    with _locked(plan.out):
        try:
            plan.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{plan.place}: cannot be made ({error.strerror}); name another with --out") from None
        night = Night(plan, list(_measure(plan)))
        with Sources(plan.store) as sources:
            skipped: list[str] = []
            found = list(sources.dated(None, skipped))
            told = _judge(night, found, skipped)
        to_file(plan.place / "report.html", page.render(told).encode())
        to_file(plan.out / "gpuprof_nightly.prom", _textfile(night).encode())
        return night


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be used ({error.strerror}); name another with --out") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = one_line(file.read()) or "another process"
            raise LockedError(f"a nightly run is already at work ({holder} holds {out / '.lock'})") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} since {environment.utc_now()}")
        file.flush()
        yield


# ---- measuring


def _measure(plan: Plan) -> Iterator[Measured]:
    known = {one.signature: one for one in _remembered(plan.place / "night.json")}
    for number, item in enumerate(_items(plan)):
        before = known.get(item.signature)
        if before is None or plan.again or before.fault or not all((plan.store / r).is_dir() for r in before.runs):
            before = _run(plan, item, plan.place / f"{number}-{Path(item.config).stem}.log")
            known[item.signature] = before
            document = {"night": plan.night, "measured": [asdict(one) for one in known.values()]}
            to_file(plan.place / "night.json", (json.dumps(document, indent=1) + "\n").encode())
        yield before


def _items(plan: Plan) -> list[Item]:
    """What the configurations and suites name, each once. What is wrong with one is for `gpuprof run` to say."""
    found: dict[str, Item] = {}
    for config in plan.configs:
        try:
            wanted = [
                (s.record.file, s.record.sha256, s.record.overrides) for s in suite.load([Path(config)], plan.overrides)
            ]
        except ConfigError:
            wanted = [(config, "", [*plan.overrides])]
        for file, text, overrides in wanted:
            options = [*plan.options, *itertools.chain.from_iterable(("--set", one) for one in overrides)]
            signature = hashlib.sha256(json.dumps([str(Path(file).resolve()), text, options]).encode()).hexdigest()
            found.setdefault(signature, Item(file, options, signature))
    return list(found.values())


def _remembered(file: Path) -> list[Measured]:
    """Nothing where it cannot be read: what is not known is measured again."""
    try:
        return [Measured(**one) for one in json.loads(file.read_text("utf-8"))["measured"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _run(plan: Plan, item: Item, log: Path) -> Measured:
    config, signature = item.config, item.signature
    own = [sys.executable, "-m", "gpuprof"]
    command = [*own, "run", "--json", "--store", str(plan.store), *item.options, "--", config]
    with log.open("wb") as errors:
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=plan.timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return Measured(config, signature, [], f"not over after {plan.timeout_s:,.0f} s; see {log}")
    try:
        answer: Any = json.loads(done.stdout)
    except ValueError:
        return Measured(config, signature, [], f"gpuprof run ended with code {done.returncode}; see {log}")
    records = [one for one in (answer if isinstance(answer, list) else [answer]) if "run_id" in one]
    fault = "" if done.returncode == EXIT_OK else _fault(answer, records, done.returncode)
    # A rescued record lies elsewhere, and is no part of the history until it was put here.
    stored = [one["run_id"] for one in records if (plan.store / one["run_id"]).is_dir()]
    return Measured(config, signature, stored, one_line(fault))


def _fault(answer: Any, records: Sequence[dict[str, Any]], code: int) -> str:
    if isinstance(answer, dict) and "error" in answer:
        return str(answer["error"]["message"])
    bad = [
        f"{case['case_id']}: {case['reason'] or 'wrong results'}" for one in records for case in one["cases"]
        if case["outcome"] != "ok" or case["correctness"]["verdict"] == "wrong"
    ]  # fmt: skip
    return listed(bad) or f"gpuprof run ended with code {code}"


# ---- comparing


def _judge(night: Night, found: Sequence[Found], skipped: list[str]) -> Story:
    plan, tonight = night.plan, set(night.runs)
    series = following.history(found, plan.metric)
    night.judged = [one for one in series if one.points[-1].run_id in tonight]
    night.worse = following.regressions(night.judged, last=plan.last, least=plan.least, tonight=True)
    now = environment.utc_now()
    told = story(History(str(plan.store), plan.metric, night.judged, night.worse, skipped, plan.last), now)
    others = [
        Section(f"against-{number}", f"Against {one.baseline.device}", _verdict(one, now))
        for number, one in enumerate(_against(found, tonight))
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


def _against(found: Sequence[Found], tonight: set[str]) -> Iterator[comparing.Comparison]:
    """Tonight's runs on each GPU over the newest runs on each model of another vendor."""
    ours: dict[tuple[str, bool], list[Found]] = {}
    theirs: dict[tuple[str, bool], list[Found]] = {}
    vendors = {one.head.data["vendor"] for one, _, _ in found if one.run_id in tonight} - {None}
    for triple in found:
        head = triple[0].head.data
        side = ours if triple[0].run_id in tonight else theirs if head["vendor"] not in vendors else None
        if side is not None and head["vendor"] is not None:
            side.setdefault((head["device"], head["simulated"]), []).append(triple)
    for (device, simulated), mine in ours.items():
        for (model, other_simulated), other in theirs.items():
            if simulated == other_simulated:
                yield comparing.compare(_newest(model, other), _newest(device, mine))


def _newest(text: str, found: Sequence[Found]) -> Evidence:
    """Of each case the newest run that measured it."""
    seen: set[Any] = set()
    kept = []
    for one, _, find in reversed(found):
        new = {static.text for static, _ in one.cases if static.key not in seen and static.data["outcome"] == "ok"}
        seen |= {static.key for static, _ in one.cases if static.text in new}
        if new:
            kept.append((one, new, find))
    side = Evidence(text)
    for one, wanted, find in reversed(kept):
        fold(side, one, wanted, find)
    complete(side)
    return side


# ---- for the monitoring


def _textfile(night: Night) -> str:
    read = [(runs.read(night.plan.store / name), dict) for name in night.runs]
    lines = openmetrics.render(read).removesuffix("# EOF\n").splitlines()
    families = (
        ("gpuprof_nightly_regressions", "cases that became worse", [("", len(night.worse))]),
        ("gpuprof_nightly_failed", "configurations that were not measured", [("", len(night.failed))]),
        ("gpuprof_nightly_ratio", f"newest {night.plan.metric} over the nights before", [
            (f'{{case="{openmetrics.escape(s.title)}",model="{openmetrics.escape(s.device)}"}}', s.newest.ratio)
            for s in night.judged if s.newest is not None
        ]),
        ("gpuprof_nightly_finished_timestamp_seconds", "end of the last night", [("", round(time.time(), 3))]),
    )  # fmt: skip
    for name, about, samples in families:
        if samples:
            unit = [f"# UNIT {name} seconds"] if name.endswith("_seconds") else []
            lines += [f"# TYPE {name} gauge", *unit, f"# HELP {name} {about}"]
            lines += [f"{name}{labels} {value!r}" for labels, value in samples]
    return "".join(f"{line}\n" for line in (*lines, "# EOF"))
