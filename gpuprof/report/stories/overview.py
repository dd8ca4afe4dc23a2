"""The story of one run or of a whole store: what was measured on which device. It gives no verdicts; `compare` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gpuprof
from gpuprof.absent import Absent
from gpuprof.analysis import effect, titles
from gpuprof.analysis.compare import HEADLINE, Side, side
from gpuprof.analysis.evidence import CaseEvidence, Evidence, Key
from gpuprof.case_keys import SELECTED, SETTINGS
from gpuprof.index.digest import CaseDigest
from gpuprof.metrics import BY_KEY, METRICS
from gpuprof.report.charts import pictures
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.sections.cases import CONDITIONS
from gpuprof.report.sections.method import METHOD
from gpuprof.report.story import Block, Bullets, Cell, Notice, Section, Story, Table, Tone, without_empty
from gpuprof.report.wording import NONE, SIMULATED, number, samples_a_joule, times, times_interval
from gpuprof.text import listed, plural, shortened

_SHOWN = (HEADLINE, "latency_p50_s", "energy_j_per_sample", "power_mean_w", "peak_memory_bytes")
_MOST_RUNS = 100
_MOST_CASES = 40  # in a chart: more cannot be read
_JOULES = "energy_j_per_sample"


@dataclass(frozen=True)
class Overview:
    what: str
    devices: Sequence[Evidence]
    skipped: Sequence[str]
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def runs(self) -> int:
        return sum(len(device.runs) for device in self.devices)

    @property
    def names(self) -> list[str]:
        return [_name(device) for device in self.devices]

    @property
    def simulated(self) -> bool:
        return any(True in device.simulated for device in self.devices)


def _name(device: Evidence) -> str:
    return device.device + (" (simulated)" if True in device.simulated else "")


@dataclass(frozen=True)
class _Row:
    """One case with every device that has it."""

    title: str
    devices: dict[str, CaseEvidence]


def story(found: Overview, now: str) -> Story:
    rows = _rows(found)
    simulated = " and ".join(sorted({device.device for device in found.devices if True in device.simulated}))
    sections = [Section(key, title, list(tell(found, rows))) for key, title, tell in SECTIONS]
    return Story(
        title=f"gpuprof report: {shortened(found.what)}",
        headline=headline(found, rows),
        tone="plain",
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from {plural(found.runs, 'run')}",
        facts=[(name, _facts(device)) for name, device in zip(found.names, found.devices, strict=True)][:4],
    )


def headline(found: Overview, rows: Sequence[_Row]) -> str:
    counts = (plural(found.runs, "run"), plural(len(found.devices), "device model"), plural(len(rows), "case"))
    return f"{counts[0]} on {counts[1]}, {counts[2]}: {listed(found.names)}."


def _facts(device: Evidence) -> str:
    days = sorted(start[:10] for _, start, _ in device.runs)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    torch = listed(sorted(device.facts.get("torch", {})))
    parts = [plural(len(device.runs), "run"), plural(len(device.machines), "machine"), f"torch {torch}", when]
    return " · ".join(parts)


def _rows(found: Overview) -> list[_Row]:
    cases: dict[Key, dict[str, CaseEvidence]] = {}
    for name, device in zip(found.names, found.devices, strict=True):
        for key, case in device.cases.items():
            # Settings are the host's; on a GPU they make no other case of the same work, but where both ran.
            work = key if "cpu" in device.kinds else (*key[: -len(SETTINGS)], *[""] * len(SETTINGS))
            cases.setdefault(key if name in cases.get(work, {}) else work, {})[name] = case
    named = titles.short([next(iter(members.values())).newest for members in cases.values()])
    rows = [_Row(title, members) for title, members in zip(named, cases.values(), strict=True)]
    return sorted(rows, key=lambda row: _order(next(iter(row.devices.values()))))


def _order(case: CaseEvidence) -> tuple[Any, ...]:
    c = case.newest
    return (c.workload, *(getattr(c, key.name) or ("" if key.words else 0) for key in SELECTED))


def _side(case: CaseEvidence, metric: str) -> Side:
    return side(case, BY_KEY[metric])


def _glance(found: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
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
            table.append([*cells, samples_a_joule(_side(case, _JOULES).value), _checks(case)])
    heads = ("case", "device", *(BY_KEY[metric].title for metric in _SHOWN), "samples a joule", "checks")
    if table:
        yield without_empty(Table("Every case on every device that ran it", heads, table))
    yield Notice(
        "Differences between rows are not tested here: `gpuprof compare` does that, with a fairness audit.", "dim"
    )
    if found.skipped:
        yield Notice(f"{plural(len(found.skipped), 'record')} could not be read and were left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(found.skipped)[:20]])


def _checks(case: CaseEvidence) -> Cell:
    """The worst that any run said, in a word."""
    verdicts = case.said["correctness"]
    words: list[str] = ["wrong" if "wrong" in verdicts else "drift" if "drift" in verdicts else "pass"]
    tone: Tone = "bad" if "wrong" in verdicts else "warn" if "drift" in verdicts else "plain"
    if None in verdicts:
        words, tone = ["unchecked"], "warn"
    if case.newest.precision not in (None, case.newest.requested):
        words.append(f"ran {case.newest.precision}")
    if False in case.said["steady"]:
        words.append("not steady")
    return Cell(", ".join(words), tone if len(words) == 1 or tone == "bad" else "warn")


def _against_cpu(found: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    """The claim of many an article: how much faster than the CPU."""
    hosts = [name for name, device in zip(found.names, found.devices, strict=True) if "cpu" in device.kinds]
    if not hosts or len(hosts) == len(found.devices):
        return
    simulated = {name: True in device.simulated for name, device in zip(found.names, found.devices, strict=True)}
    by_work: dict[tuple[Any, ...], list[tuple[str, CaseEvidence]]] = {}
    for row in rows:
        for name, case in row.devices.items():
            fields = case.fields | dict.fromkeys(SETTINGS, "")
            # A simulator measures no hardware, and arithmetic that nobody knows is not the same as any other.
            work = (simulated[name], case.newest.workload, case.newest.mode, *map(str, fields.values()))
            sound = "wrong" not in case.said["correctness"] and case.newest.precision is not None
            if case.level(HEADLINE) is not None and sound:
                by_work.setdefault(work, []).append((name, case))
    table: list[list[Cell]] = []
    said: list[CaseDigest] = []
    for members in by_work.values():
        for name, case in members:
            for host, base in members:
                if name in hosts or host not in hosts:
                    continue
                levels = (base.level(HEADLINE), case.level(HEADLINE))
                if levels[0] is None or levels[1] is None:
                    continue
                ratio = effect.between(levels[0], levels[1])
                bar = (ratio.ci95[0], ratio.ratio, ratio.ci95[1]) if ratio.ci95 else None
                over = Cell(times(ratio.ratio), "strong", number=True, note=times_interval(ratio.ci95), bar=bar)
                said.append(case.newest)
                table.append([Cell(name), Cell(f"{host}, {plural(base.newest.threads, 'thread')}"), over])
    if table:
        table = [[Cell(title), *row] for title, row in zip(titles.full(said, but=SETTINGS), table, strict=True)]
        yield Table("Throughput of each GPU over the CPU", ("case", "GPU", "CPU", "ratio, 95%"), table)


def _cells(found: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    """Everything that is known of each case, where there are few."""
    if len(rows) > _MOST_CASES:
        yield Notice(f"{len(rows)} cases: name fewer runs to see each in full.", "dim")
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
        for title, tell in CONDITIONS:
            texts = [tell(case) for case in row.devices.values()]
            if any(texts):
                lines.append([Cell(title), *(Cell(text or NONE, number=True) for text in texts)])
        yield Table(row.title, ("", *names), lines, folded=len(rows) > 2)


def _charts(found: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    names, shown = found.names, rows[:_MOST_CASES]
    if len(rows) > _MOST_CASES:
        yield Notice(f"The first {_MOST_CASES} of {len(rows)} cases are drawn.", "dim")
    cases = [(row.title, name, case) for row in shown for name, case in row.devices.items()]
    yield from pictures.of_cases(cases, names, found.timeline, "each device's")


def _raw(found: Overview, rows: Sequence[_Row]) -> Iterable[Block]:
    runs = sorted(((start, run, name, where) for name, device in zip(found.names, found.devices, strict=True)
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
