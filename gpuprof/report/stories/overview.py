"""The story of one run or of a whole store: all that was measured, by device. Verdicts are left to `compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gpuprof
from gpuprof.absent import Absent
from gpuprof.analysis import effect, titles
from gpuprof.analysis.compare import HEADLINE, Side, side
from gpuprof.analysis.evidence import CaseEvidence, Evidence
from gpuprof.analysis.names import shorts
from gpuprof.case_keys import SELECTED, SETTINGS, WORK
from gpuprof.index.brief import as_text
from gpuprof.index.digest import CaseDigest
from gpuprof.metrics import BY_KEY, METRICS
from gpuprof.report.charts import pictures
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.hues import hues
from gpuprof.report.sections.details import CONDITIONS
from gpuprof.report.sections.method import METHOD
from gpuprof.report.story import Block, Bullets, Cell, Notice, Section, Story, Table, Tone, without_empty
from gpuprof.report.terms import glossary
from gpuprof.report.wording import NONE, SIMULATED, number, samples_per_joule, times, times_interval
from gpuprof.text import listed, plural, shortened

_SHOWN = (HEADLINE, "latency_p50_s", "energy_j_per_sample", "power_mean_w", "peak_memory_bytes")
_MOST_RUNS = 100
_MOST_CASES = 40  # in a chart: more cannot be read
_JOULES = "energy_j_per_sample"


@dataclass(frozen=True)
class Overview:
    """Runs by device model."""

    what: str  # the run, selector or store that they come from
    devices: Sequence[Evidence]  # GPUs first; a simulated device is one of its own
    skipped: Sequence[str]  # records that could not be read, and why
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def runs(self) -> int:
        """Number of runs on all devices."""
        return sum(len(device.runs) for device in self.devices)

    @property
    def names(self) -> list[str]:
        """Short names of `devices`, in their order; simulated ones are marked."""
        names = shorts([device.device for device in self.devices])
        return [name + _mark(device) for name, device in zip(names, self.devices, strict=True)]

    @property
    def colours(self) -> dict[str, str]:
        """By name, as `hues` has them."""
        vendors = [next(iter(sorted(map(str, device.vendors))), "") for device in self.devices]
        return dict(zip(self.names, hues(vendors), strict=True))

    @property
    def simulated(self) -> bool:
        """Whether any device is a simulated one."""
        return any(True in device.simulated for device in self.devices)


def _mark(device: Evidence) -> str:
    return " (simulated)" if True in device.simulated else ""


@dataclass(frozen=True)
class _Row:
    """One case on every device of a kind (GPU, CPU) that ran it, by the device's name."""

    title: str
    devices: dict[str, CaseEvidence]


def story(overview: Overview, now: str) -> Story:
    """An overview as a report, made at the time `now` (ISO 8601)."""
    rows = _rows(overview)
    simulated = " and ".join(sorted({device.device for device in overview.devices if True in device.simulated}))
    sections = [Section(key, title, list(blocks(overview, rows))) for key, title, blocks in SECTIONS]
    return Story(
        title=f"gpuprof report: {shortened(overview.what)}",
        headline=headline(overview, rows),
        tone="plain",
        left_out=sorted(overview.skipped),
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[*(section for section in sections if section.blocks), glossary()],
        made=f"gpuprof {gpuprof.__version__}, {now}, from {plural(overview.runs, 'run')}",
        facts=[(name, _facts(device)) for name, device in zip(overview.names, overview.devices, strict=True)][:4],
    )


def headline(overview: Overview, rows: Sequence[_Row]) -> str:
    """Counts of runs, devices and cases (`rows`) in one sentence."""
    counts = (plural(overview.runs, "run"), plural(len(overview.devices), "device model"), plural(len(rows), "case"))
    return f"{counts[0]} on {counts[1]}, {counts[2]}: {listed(overview.names)}."


def _facts(device: Evidence) -> str:
    days = sorted(start[:10] for _, start, _ in device.runs)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    torch = listed(sorted(device.facts.get("torch", {})))
    parts = [
        device.device,
        plural(len(device.runs), "run"),
        plural(len(device.machines), "machine"),
        f"torch {torch}",
        when,
    ]
    return " · ".join(parts)


def _rows(overview: Overview) -> list[_Row]:
    """A row for each case, with every device of a kind that ran it.

    Settings (CPU threads) are the host's. They tell a CPU's cases apart. GPUs share a row whatever their hosts'
    settings, unless one of them ran the same work under several: then there is a row for each.
    """
    by_work: dict[tuple[Any, ...], list[tuple[str, CaseEvidence]]] = {}
    for name, device in zip(overview.names, overview.devices, strict=True):
        for case in device.cases.values():
            by_work.setdefault(("cpu" in device.kinds, *_work(case)), []).append((name, case))
    shared: list[dict[str, CaseEvidence]] = []
    for (on_cpu, *_), members in by_work.items():
        if not on_cpu and len({name for name, _ in members}) == len(members):
            shared.append(dict(members))
            continue
        by_settings: dict[tuple[Any, ...], dict[str, CaseEvidence]] = {}
        for name, case in members:
            by_settings.setdefault(tuple(case.fields[key] for key in SETTINGS), {})[name] = case
        shared += by_settings.values()
    newest = [[case.newest for case in devices.values()] for devices in shared]
    # A title must be true of every device of its row.
    unsaid = [[name for name in SETTINGS if len({getattr(c, name) for c in cases}) > 1] for cases in newest]
    named = titles.short([cases[0] for cases in newest], but=unsaid)
    rows = [_Row(title, devices) for title, devices in zip(named, shared, strict=True)]
    return sorted(rows, key=lambda row: _order(next(iter(row.devices.values())).newest))


def _work(case: CaseEvidence) -> tuple[str, ...]:
    """What a case computes and at which size: all that tells cases apart but the host's settings."""
    fields = [value for name, value in case.fields.items() if name not in SETTINGS]
    return case.newest.workload, *(getattr(case.newest, name) for name in WORK), *map(as_text, fields)


def _order(case: CaseDigest) -> tuple[Any, ...]:
    return (case.workload, *(getattr(case, key.name) or ("" if key.words else 0) for key in SELECTED))


def _joules(case: CaseEvidence) -> Cell:
    joules = _side(case, _JOULES)
    return samples_per_joule(joules.value, joules.ci95)


def _side(case: CaseEvidence, metric: str) -> Side:
    return side(case, BY_KEY[metric])


def _glance(overview: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    """A line for each case and device, without columns that are empty throughout."""
    table = []
    for row in rows:
        for position, (name, case) in enumerate(row.devices.items()):
            cells = [Cell(row.title if position == 0 else "", "strong"), Cell(name)]
            if "ok" not in case.said["outcome"]:
                reason = f"{case.newest.outcome.replace('_', ' ')}: {case.newest.reason}"
                table.append([*cells, Cell(NONE, "warn", note=reason), *[Cell("")] * (len(_SHOWN) + 1)])
                continue
            values = [_side(case, metric) for metric in _SHOWN]
            cells += [number(v.value, BY_KEY[m].unit, v.ci95, terse=True) for m, v in zip(_SHOWN, values, strict=True)]
            table.append([*cells, _joules(case), _checks(case)])
    heads = ("case", "device", *(BY_KEY[metric].title for metric in _SHOWN), "samples per joule", "checks")
    if table:
        yield without_empty(Table("Every case, by device", heads, table))
    yield Notice(
        "Differences between rows are not tested here; `gpuprof compare` tests them and audits their fairness.", "dim"
    )
    if overview.skipped:
        yield Notice(f"{plural(len(overview.skipped), 'record')} left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(overview.skipped)[:20]])


def _checks(case: CaseEvidence) -> Cell:
    """The worst correctness of any run, and whatever else is not as asked for."""
    verdicts = case.said["correctness"]
    words: list[str] = ["wrong" if "wrong" in verdicts else "drift" if "drift" in verdicts else "pass"]
    tone: Tone = "bad" if "wrong" in verdicts else "warn" if "drift" in verdicts else "plain"
    if None in verdicts:
        words, tone = ["unchecked"], "warn"
    if case.newest.precision not in (None, case.newest.requested):
        words.append(f"ran in {case.newest.precision}")
    if False in case.said["steady"]:
        words.append("not steady")
    return Cell(", ".join(words), tone if len(words) == 1 or tone == "bad" else "warn")


def _against_cpu(overview: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    """Each GPU over each CPU in the same work, as many articles have it; a simulated GPU over simulated CPUs alone.

    Rows hold GPUs or CPUs, so cases are matched by their work. Left out is what has no throughput of processes, wrong
    results or an unknown precision: of unknown arithmetic nobody can say that it is the same.
    """
    devices = dict(zip(overview.names, overview.devices, strict=True))
    cpus = {name for name, device in devices.items() if "cpu" in device.kinds}
    if not cpus or len(cpus) == len(devices):
        return
    by_work: dict[tuple[Any, ...], list[tuple[str, CaseEvidence]]] = {}
    for row in rows:
        for name, case in row.devices.items():
            sound = "wrong" not in case.said["correctness"] and case.newest.precision is not None
            if case.level(HEADLINE) is not None and sound:
                by_work.setdefault((True in devices[name].simulated, *_work(case)), []).append((name, case))
    table: list[list[Cell]] = []
    cases: list[CaseDigest] = []
    for members in by_work.values():
        for name, case in members:
            for cpu, base in members:
                if name in cpus or cpu not in cpus:
                    continue
                levels = (base.level(HEADLINE), case.level(HEADLINE))
                if levels[0] is None or levels[1] is None:
                    continue
                ratio = effect.between(levels[0], levels[1])
                bar = (ratio.ci95[0], ratio.ratio, ratio.ci95[1]) if ratio.ci95 else None
                over = Cell(times(ratio.ratio), "strong", number=True, note=times_interval(ratio.ci95), bar=bar)
                several = [member for member, _ in members].count(name) > 1  # one GPU under several settings
                gpu = f"{name}, {plural(case.newest.threads, 'thread')}" if several else name
                cases.append(case.newest)
                table.append([Cell(gpu), Cell(f"{cpu}, {plural(base.newest.threads, 'thread')}"), over])
    if table:
        table = [[Cell(title), *row] for title, row in zip(titles.full(cases, but=SETTINGS), table, strict=True)]
        yield Table("GPU throughput over CPU throughput", ("case", "GPU", "CPU", "ratio, 95% interval"), table)


def _cells(overview: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    """A table for each case with every metric and condition, unless there are too many cases."""
    if len(rows) > _MOST_CASES:
        yield Notice(f"{len(rows)} cases; narrow the selection to see each in full.", "dim")
        return
    for row in rows:
        names = list(row.devices)
        lines = []
        for metric in METRICS:
            values = [side(case, metric) for case in row.devices.values()]
            if not all(isinstance(v.value, Absent) for v in values):
                better = f"{metric.better} is better" if metric.ratio else ""
                cells = [number(v.value, metric.unit, v.ci95) for v in values]
                shorter = [replace(cell, note=shortened(cell.note)) for cell in cells]
                lines.append([Cell(metric.title, note=better), *shorter])
        for title, condition in CONDITIONS:
            texts = [condition(case) for case in row.devices.values()]
            if any(texts):
                lines.append([Cell(title), *(Cell(text or NONE, number=True) for text in texts)])
        yield Table(row.title, ("", *names), lines, folded=len(rows) > 2)


def _charts(overview: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    shown = rows[:_MOST_CASES]
    if len(rows) > _MOST_CASES:
        yield Notice(f"Charts show the first {_MOST_CASES} of {len(rows)} cases.", "dim")
    cases = [(row.title, name, case) for row in shown for name, case in row.devices.items()]
    yield from pictures.of_cases(cases, overview.colours, overview.timeline, "each device's")


def _raw(overview: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    runs = sorted(((start, run, name, where) for name, device in zip(overview.names, overview.devices, strict=True)
                   for run, start, where in device.runs), reverse=True)  # fmt: skip
    table = [[Cell(name), Cell(run), Cell(start), Cell(where)] for start, run, name, where in runs[:_MOST_RUNS]]
    older = f", the newest {_MOST_RUNS} of {len(runs):,}" if len(runs) > _MOST_RUNS else ""
    yield Table(f"Runs{older}", ("device", "run", "started", "record"), table, folded=True)
    yield Bullets([line for line in METHOD if "ratio" not in line])


SECTIONS: tuple[tuple[str, str, Callable[[Overview, Sequence[_Row]], Iterable[Block]]], ...] = (
    ("glance", "At a glance", _glance),
    ("cpu", "GPU against CPU", _against_cpu),
    ("charts", "Charts", _charts),
    ("cells", "Case by case", _cells),
    ("raw", "Runs and method", _raw),
)
