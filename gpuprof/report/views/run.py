"""A run's record in a terminal."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpuprof import case_keys
from gpuprof.absent import NOT_FINITE, Absent
from gpuprof.case_keys import NAMED, Role
from gpuprof.metrics import BY_KEY, METRICS, Reading
from gpuprof.report.views.sensors import unsampled
from gpuprof.text import cleaned, shortened, unbroken
from gpuprof.throttling import throttled
from gpuprof.units import digits, show, show_interval

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from gpuprof.record.case import Case
    from gpuprof.record.run import RunRecord, TelemetrySource

_VERDICTS = {"pass": "green", "drift": "yellow", "wrong": "bold red"}
_OUTCOMES = {"ok": "green", "partial": "yellow", "interrupted": "yellow"}
# Metrics of sensors; their rows are left out where they are absent, since the row of the energy says why.
_SENSED = ("energy_above_idle_j_per_sample", "power_mean_w", "temperature_max_c")
# What a card shows unless all is asked for.
_FIRST = ("throughput_per_s", "latency_p50_s", "energy_j_per_sample", "power_mean_w", "peak_memory_bytes")
_IMPRECISE = 2.0  # between the ends of an interval
_METHODS = {"counter": "energy counter", "power_trapezoid": "integrated power"}
_MOST_CARDS = 2  # cases
NARROW = 110  # columns below which a table leaves out some
_COLUMNS = {
    "throughput_per_s": "samples/s",
    "latency_p50_s": "latency p50",
    "latency_p99_s": "p99",
    "peak_memory_bytes": "memory",
    "energy_j_per_sample": "J/sample",
}


def render(record: RunRecord, width: int = 132, *, verbose: bool = True) -> Iterator[RenderableType]:
    """A card for each case of up to two, else a row for each; then warnings, outcome and run id.

    `width` is the terminal's, in columns. Unless it is `verbose`, cards have what matters most, and warnings are one
    line a kind.
    """
    from rich.text import Text

    record = type(record).model_validate(cleaned(record.model_dump(mode="json", by_alias=True), unbroken))
    device = record.device
    threads = _threads(sorted({case.threads for case in record.cases}))
    where = f"{device.name}, {threads}" if device.kind == "cpu" else device.name
    build = f"torch {record.environment.torch}" if record.environment.torch else "no torch"
    part = "" if record.config.shard == "1/1" else f"   shard {record.config.shard}"
    yield Text.assemble((where, "bold"), f"   {build}   {record.protocol.name} protocol{part}")
    if record.simulated:
        yield Text("SIMULATED: these numbers come from a simulator, not from hardware", "bold red")
    if len(record.cases) <= _MOST_CARDS:
        for case, name in zip(record.cases, _headings(record.cases)[1], strict=True):
            yield _card(case, name, record, verbose=verbose)
    else:
        yield _table(record, narrow=width < NARROW)
    yield from _warnings(record) if verbose else _kinds(record, width)
    style = _OUTCOMES.get(record.outcome, "bold red")
    reason = f": {record.reason}" if record.reason else ""
    if record.outcome == "ok" and (wide := _imprecise(record)):
        style, reason = "yellow", f", but imprecise: {wide}"
    yield Text.assemble((record.outcome, style), f"{reason}   run {record.run_id}")


def title(case: Case) -> list[str]:
    """The case in words, one item each: workload, keys, parameters; "" for a key that it lacks."""
    return [
        case.workload,
        *_words(case, "work", "shape"),
        *_words(case, "setting", "unseen"),
        *(f"{key} {value}" for key, value in sorted(case.params.items())),
        "" if case.fallback_of is None else "fallback",
    ]


def _words(case: Case, *roles: Role) -> list[str]:
    """The keys of these roles in words; the precision is the one asked for."""
    values = case_keys.values(case) | {"precision": case.precision.requested}
    return [key.said(values[key.name]) for key in NAMED if key.role in roles]


def _headings(cases: list[Case]) -> tuple[str, list[str]]:
    """What all cases share, and for each a name of what is left; case ids where that is not unique."""
    titles = [title(case) for case in cases]
    if len({len(words) for words in titles}) != 1:
        return "", [_joined(words) for words in titles]
    differs = [len(set(column)) > 1 for column in zip(*titles, strict=True)]
    shared = _joined([word for word, different in zip(titles[0], differs, strict=True) if not different])
    names = [_joined(list(itertools.compress(words, differs))) for words in titles]
    return shared, names if len(set(names)) == len(names) else [case.case_id for case in cases]


def _grouped(warnings: list[str]) -> Iterator[str]:
    """The warnings, with one line for those of several repeats that differ in their figures alone."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for warning in warnings:
        repeat, colon, message = warning.partition(": ")
        if not (colon and repeat.startswith("repeat ")):
            repeat, message = "", warning
        groups.setdefault(re.sub(r"[-+0-9.]+", "#", message), []).append((repeat.removeprefix("repeat "), message))
    for members in groups.values():
        (first, message), *further = members
        figures = (f"{number}: {_figure(text)}" if _figure(text) else number for number, text in further)
        also = f"   (also repeat {', '.join(figures)})" if further and first else ""
        yield (f"repeat {first}: " if first else "") + message + also


def _figure(message: str) -> str:
    """Its first percentage, or ""."""
    match = re.search(r"[-+]?[0-9][0-9.]*%", message)
    return match[0] if match else ""


def _threads(counts: list[int]) -> str:
    return f"{'/'.join(map(str, counts))} thread{'' if counts == [1] else 's'}"


def _joined(words: list[str]) -> str:
    return " · ".join(word for word in words if word)


def _card(case: Case, name: str, record: RunRecord, *, verbose: bool) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    source, planned = record.telemetry, record.protocol.repeats
    words = [case.workload, *_words(case, "work", "shape"), title(case)[-1]]
    # What tells it from the other card, where that is a setting.
    heading = _joined([*words, *(word for word in name.split(" · ") if word not in words)])
    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    if case.outcome != "ok":
        table.add_row("result", Text(f"{case.outcome.replace('_', ' ')}: {case.reason}", "yellow"))
    for metric in METRICS if case.outcome == "ok" else ():
        if not verbose and metric.key not in _FIRST:
            continue
        reading = metric.read(case)
        if metric.key == "device_span_s" and isinstance(reading, Absent) and case.regime == "cpu":
            continue
        if metric.key in _SENSED and isinstance(reading, Absent):
            continue  # one line says that there is no energy
        text = _value(reading, metric.unit)
        if not isinstance(reading, Absent) and (more := _beside(metric.key, case, source)):
            text.append(f"   {more}", "dim")
        if metric.key == "latency_p99_s" and case.latency_s is not None and case.latency_s.p99_upper95 is not None:
            text.append(f"   95% upper bound {show(case.latency_s.p99_upper95, 's')} (worst process)", "dim")
        if metric.key == "peak_memory_bytes" and (memory := next((r.memory for r in case.repeats if r.memory), None)):
            work = memory.workspace_bytes
            of_it = f"; {show(work, 'B')} of it for products to work in" if work else ""
            text.append(f"   {memory.scope}{of_it}", "dim")
        table.add_row(metric.title, text)
    if verbose and case.throughput_per_s is not None and case.flops_per_sample is not None:
        rate = case.throughput_per_s.value * case.flops_per_sample
        table.add_row(
            "FLOP rate", Text.assemble(show(rate, "FLOP/s"), (f"   {case.flops_per_sample:,} FLOPs per sample", "dim"))
        )
    if verbose and case.trainable_parameters is not None and case.parameters is not None:
        more = "" if case.parameters == case.trainable_parameters else f" of {case.parameters:,}"
        table.add_row("parameters", f"{case.trainable_parameters:,} trainable{more}")
    ran = case.precision.effective or "unknown"
    same = ran == case.precision.requested
    asked = f"requested {case.precision.requested}, effective "
    if case.outcome == "ok" and (verbose or not same):
        table.add_row("precision", Text.assemble(asked, (ran, "" if same else "yellow")))
    if case.outcome != "unsupported":
        table.add_row("correctness", _verdict(case))
    if case.throttled_share is not None and (verbose or throttled(case.throttled_share)):
        slow = _throttled(case)
        row = Text(slow, "yellow" if slow != "no" else "")
        table.add_row("throttled", row.append(unsampled(_unsampled(case)), "dim"))
    if case.outcome == "ok":
        table.add_row("regime", f"{case.regime}, {'steady' if case.steady else 'not steady'}")
    if verbose or _good(case) != planned:
        table.add_row("repeats", _repeats(case, planned))
    return table


def _beside(key: str, case: Case, source: TelemetrySource | None) -> str:
    """What a reader must know beside a value: its items, its error, its scope, its range; "" for other metrics."""
    if key == "throughput_per_s" and case.throughput_per_s is not None and case.item != "sample":
        return f"= {show(case.throughput_per_s.value * case.items_per_sample, f'{case.item}s/s')}"
    error = case.energy_error_j_per_sample
    if key == "energy_j_per_sample" and source is not None and case.energy_method is not None and error is not None:
        gain = f", sensor gain ± {source.gain_error:.0%}" if source.gain_error is not None else ""
        estimate = case.energy_j_per_sample
        covers = (source.energy_scope if case.energy_method == "counter" else None) or source.scope
        each = "" if estimate is None else f", {show(estimate.value * case.batch_size, 'J')} per step"
        return f"± {show(error, 'J')}{each}; {_METHODS[case.energy_method]}{gain}; covers {covers}"
    if key == "energy_above_idle_j_per_sample" and case.idle_power_w is not None:
        return f"idle power {show(case.idle_power_w, 'W')}"
    if key == "power_mean_w" and case.power_w is not None:
        return f"peak {show(case.power_w.max, 'W')}"
    if key == "temperature_max_c" and case.temperature_c is not None:
        signal = None if source is None else source.temperature_signal
        sensor = "" if signal is None else signal.partition("_")[2].partition("_")[0] + ", "
        return f"{sensor}{case.temperature_c.start:.0f} °C at start, {case.temperature_c.end:.0f} °C at end"
    return ""


def _throttled(case: Case) -> str:
    """Shares of the throughput window in which each reason held the device back; "no" for none."""
    slow = throttled(case.throttled_share or {})
    return ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in slow.items()) or "no"


def _unsampled(case: Case) -> dict[str, float]:
    """Reasons of throttling that a device counted while no sample had them, in the process that had most of each."""
    parts = [repeat.telemetry.throttle_unsampled for repeat in case.repeats if repeat.telemetry is not None]
    return {name: max(part.get(name, 0.0) for part in parts) for name in sorted({n for part in parts for n in part})}


def _table(record: RunRecord, *, narrow: bool) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shared, names = _headings(record.cases)
    table = Table(title=shared, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("case", min_width=8)
    shown = ["throughput_per_s", "latency_p50_s", "latency_p99_s"]
    if not any(case.latency_s and case.latency_s.p99 for case in record.cases):
        shown.remove("latency_p99_s")
    shown += [] if narrow else ["first_step_s", "peak_memory_bytes"]
    if any(case.energy_j_per_sample for case in record.cases):
        shown.append("energy_j_per_sample")
    for key in shown:
        table.add_column(_COLUMNS.get(key, BY_KEY[key].title), justify="right", no_wrap=True)
        if key == "throughput_per_s":
            table.add_column("95%", no_wrap=True)
    table.add_column("checks", min_width=9)
    table.add_column("ok", justify="right", no_wrap=True)
    for case, name in zip(record.cases, names, strict=True):
        cells: list[RenderableType] = []
        for key in shown:
            reading = BY_KEY[key].read(case)
            cells.append(_value(reading, BY_KEY[key].unit, wide=False))
            if key == "throughput_per_s":
                cells.append(Text(_interval(reading), "dim"))
        table.add_row(name, *cells, _checks(case), f"{_good(case)}/{record.protocol.repeats}")
    return table


def _value(reading: Reading | Absent, unit: str, *, wide: bool = True) -> Text:
    from rich.text import Text

    if isinstance(reading, Absent):
        return Text(f"unavailable: {reading.reason}" if wide else "–", "dim")
    shown = show(reading.value, unit if wide or unit in ("s", "B") else "", digits(reading.ci95))
    text = Text().append(shown, "bold" if reading.ci95 else "")
    if wide and reading.ci95 is not None:
        text.append(f"   [{show_interval(reading.ci95, unit)}] 95%", "dim")
    return text


def _verdict(case: Case, *, wide: bool = True) -> RenderableType:
    from rich.text import Text

    correctness = case.correctness
    if correctness.verdict is None:
        return Text(f"unknown: {correctness.absent['verdict']}" if wide else "?", "yellow")
    text = Text().append(correctness.verdict, _VERDICTS[correctness.verdict])
    errors = (correctness.output_error, correctness.loss_curve_error, correctness.gradient_norm_error)
    wild = {name for name, why in correctness.absent.items() if why == NOT_FINITE}
    worst = max((e for e in errors if e is not None), default=None)
    if wide and (worst is not None or wild):
        size = "not finite" if wild - {"batch_error"} or worst is None else f"{worst:.1e}"
        limit = f"pass limit {correctness.tolerance:g}"
        text.append(f"   at batch {correctness.batch_size}: largest error {size} ({limit})", "dim")
    if wide and (correctness.batch_error is not None or "batch_error" in wild):
        size = "not finite" if correctness.batch_error is None else f"{correctness.batch_error:.1e}"
        text.append(f"; at batch {case.batch_size} against a few rows: {size}", "dim")
    return text


def _interval(reading: Reading | Absent) -> str:
    """The interval for a table cell; as one factor (×/÷) where its ends are a factor of four or more apart."""
    if isinstance(reading, Absent) or reading.ci95 is None:
        return ""
    low, high = reading.ci95
    return show_interval(reading.ci95, "") if high < 4 * low else f"×/÷ {(high / low) ** 0.5:.3g}"


def _checks(case: Case) -> Text:
    """The verdict on the results, and whatever is not as it should be, in a few words."""
    from rich.text import Text

    if case.outcome != "ok":
        return Text(case.outcome.replace("_", " "), "yellow")
    verdict = case.correctness.verdict
    text = Text().append(verdict or "unchecked", _VERDICTS.get(verdict or "", "yellow"))
    if case.precision.effective not in (None, case.precision.requested):
        text.append(f", ran in {case.precision.effective}", "yellow")
    if not case.steady:
        text.append(", not steady", "yellow")
    return text


def _good(case: Case) -> int:
    return sum(repeat.outcome == "ok" for repeat in case.repeats)


def _repeats(case: Case, planned: int) -> str:
    good = _good(case)
    return f"{good} ok" if good == planned else f"{good} of {planned} ok"


def _imprecise(record: RunRecord) -> str:
    """What is wrong with intervals that say little; "" where there are none."""
    estimates = [case.throughput_per_s for case in record.cases if case.throughput_per_s is not None]
    factors = [e.ci95[1] / e.ci95[0] for e in estimates if e.ci95 is not None and e.ci95[0] > 0]
    if not factors or max(factors) < _IMPRECISE:
        return ""
    return f"an interval of throughput spans a factor of {max(factors):.2g}; a quieter machine or more repeats help"


def _kinds(record: RunRecord, width: int) -> Iterator[RenderableType]:
    """The warnings, a line for those that differ in their figures alone, whichever case or repeat they are of."""
    from rich.text import Text

    messages = [*record.warnings, *(f"{case.outcome.replace('_', ' ')}: {case.reason}" for case in record.cases
                                    if case.outcome != "ok" and len(record.cases) > _MOST_CARDS)]  # fmt: skip
    for case in record.cases:
        if case.outcome != "unsupported":
            messages += [re.sub(r"^repeat [0-9]+: ", "", warning) for warning in case.warnings]
    groups: dict[str, list[str]] = {}
    for message in messages:
        groups.setdefault(re.sub(r"[-+0-9.]+", "#", message), []).append(message)
    cut = False
    for members in groups.values():
        times = f"   ({len(members)} times)" if len(members) > 1 else ""
        room = max(40, width - len("warning: ") - len(times))
        cut |= len(members) > 1 or len(members[0]) > room
        yield Text(f"warning: {shortened(members[0], room)}{times}", "yellow")
    if cut:
        yield Text("in full: gpuprof show -v " + record.run_id, "dim")


def _warnings(record: RunRecord) -> Iterator[RenderableType]:
    from rich.text import Text

    for warning in record.warnings:
        yield Text(f"warning: {warning}", "yellow")
    names = _headings(record.cases)[1]
    for case, name in zip(record.cases, names, strict=True):
        if case.outcome != "ok" and len(record.cases) > _MOST_CARDS:  # a card says it itself
            which = f"{name}: " if name else ""
            yield Text(f"{case.outcome.replace('_', ' ')}: {which}{case.reason}", "yellow")
        if case.outcome == "unsupported":
            continue
        for warning in _grouped(case.warnings):
            prefix = f"{name}: " if len(record.cases) > 1 else ""
            yield Text(f"warning: {prefix}{warning}", "yellow")
