"""Devices, a monitored command and the live table in a terminal. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuprof.text import printable, unbroken
from gpuprof.throttling import against_its_will, reasons, throttled
from gpuprof.units import show

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_NONE = "–"
# Heading, unit, and the signals for it: the first that has a value is shown.
_COLUMNS = (
    ("power", "W", ("power_instant_w", "power_average_w")),
    ("temp", "°C", ("temperature_core_c", "temperature_hotspot_c")),
    ("util", "%", ("gpu_utilization_pct", "cpu_utilization_pct")),
    ("used", "B", ("memory_used_bytes",)),
    ("total", "B", ("memory_total_bytes",)),
)
_WIDE = (
    ("limit", "W", ("power_limit_w",)),
    ("clock", "Hz", ("core_clock_hz",)),
)
_LIVE = (*_COLUMNS[:3], ("clock", "Hz", ("core_clock_hz",)), ("so far", "J", ("energy_so_far_j",)))
WIDE = 110  # columns of a terminal from which on _WIDE is shown
_SUMMARIES = (
    ("power", "W", ("power_instant_w", "power_average_w")),
    ("temperature", "°C", ("temperature_core_c", "temperature_hotspot_c")),
    ("memory temperature", "°C", ("temperature_memory_c",)),
    ("utilisation", "%", ("gpu_utilization_pct", "cpu_utilization_pct")),
    ("core clock", "Hz", ("core_clock_hz",)),
)
_NO_GAIN = "nobody has published how far off this sensor's scale is: the error is that of counting alone"
SIMULATED = "SIMULATED: these readings come from a simulator, not from hardware"


def devices(devices: Sequence[Mapping[str, Any]], faults: Sequence[str], width: int = 132) -> Iterator[RenderableType]:
    """A row for each device (as `gpuprof devices --json` has it), its addresses, then `faults` of vendors' libraries.

    `width` is the terminal's, in columns.
    """
    from rich.text import Text

    if any(device["simulated"] for device in devices):
        yield Text(SIMULATED, "bold red")
    wide = width >= WIDE
    columns = (*_COLUMNS, *(_WIDE if wide else ()))
    table = _table("device", "name", *(heading for heading, _, _ in columns), *(("driver",) if wide else ()))
    for device in devices:
        metrics = device["metrics"]
        cells = [_first(metrics, keys, unit) for _, unit, keys in columns]
        if wide:
            cells.append(str(metrics.get("driver_version", {}).get("value") or _NONE))
        table.add_row(*_texts(device["id"], device["name"] or _NONE, *cells))
    yield table
    for device in devices:
        where = [str(device[key]) for key in ("uuid", "pci_bus_id") if device[key]]
        partition = device["metrics"].get("partition", {}).get("value")
        if partition not in (None, "none"):
            where.append(f"partition {partition}")
        if where:
            yield Text(printable(f"  {device['id']:<10}{'   '.join(where)}"), "dim")
    for fault in faults:
        yield Text(printable(fault), "dim")
    if any(reading["value"] is None for device in devices for reading in device["metrics"].values()):
        yield Text(f"{_NONE} means not measured; `gpuprof devices --json` says why", "dim")


def _first(metrics: Mapping[str, Any], keys: Sequence[str], unit: str) -> str:
    value = next((metrics[k]["value"] for k in keys if metrics.get(k, {}).get("value") is not None), None)
    return _NONE if value is None else _value(value, unit)


def _value(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if unit in ("W", "°C", "%") else show(value, unit)


def monitored(document: Mapping[str, Any], *, verbose: bool = True) -> Iterator[RenderableType]:
    """For each device its energy, then the range of each signal. `document` is that of `gpuprof monitor --json`.

    Of several devices a row each, unless it is `verbose`.
    """
    from rich.table import Table
    from rich.text import Text

    if document["simulated"]:
        yield Text(SIMULATED, "bold red")
    code = document["exit_code"]
    ended = "" if code is None else f"   exit code {code}"
    yield Text.assemble((f"{document['duration_s']:.3f} s", "bold"), ended)
    if not verbose and len(document["devices"]) > 1:
        yield from _rows(document["devices"])
        return
    for device in document["devices"]:
        yield Text("\n" + unbroken(f"{device['id']}  {device['name'] or ''}"), "bold")
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", min_width=20)
        table.add_row("energy", _energy(device))
        for title, unit, keys in _SUMMARIES:
            if (row := _range(device["metrics"], keys, unit)) is not None:
                table.add_row(title, row)
        if device["throttled_share"] is not None:
            slow = _throttled(device["throttled_share"])
            told = Text(slow, "yellow" if slow != "no" else "")
            table.add_row("throttled", told.append(unsampled(device["throttle_unsampled"]), "dim"))
        yield table
        for check in device["checks"]:
            if check.startswith("throttled"):  # has its row
                continue
            yield Text(printable(f"warning: {device['id']}: {check}"), "yellow")


def _rows(devices: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """A row a device; what is wrong with them, a line a kind."""
    from rich.text import Text

    table = _table("device", "name", "energy", "mean", "peak", "util", "throttled")
    notes: dict[str, list[str]] = {}
    for device in devices:
        metrics, joules = device["metrics"], device["energy_j"]
        energy = _NONE if joules is None else f"{show(joules, 'J')} ± {show(_error(device), 'J', 2)}"
        mean = _NONE if joules is None else _value(device["power_mean_w"], "W")
        heat = next((_value(metrics[k]["max"], "°C") for k in _SUMMARIES[1][2] if "max" in metrics.get(k, {})), _NONE)
        util = next((_value(metrics[k]["mean"], "%") for k in _SUMMARIES[3][2] if "mean" in metrics.get(k, {})), _NONE)
        slow = _NONE if device["throttled_share"] is None else _throttled(device["throttled_share"])
        table.add_row(*_texts(device["id"], device["name"] or _NONE, energy, mean, heat, util, slow))
        own = [device["absent"]["energy_j"]] if joules is None else [] if device["gain_error"] else [_NO_GAIN]
        for note in (*own, *(check for check in device["checks"] if not check.startswith("throttled"))):
            notes.setdefault(note, []).append(device["id"])
    yield table
    for note, ids in notes.items():
        yield Text(unbroken(f"{', '.join(ids)}: {note}"), "yellow")
    yield Text("all signals: -v", "dim")


def _error(device: Mapping[str, Any]) -> float:
    """Standard error of the energy, of counting and of the sensor's gain together."""
    return math.hypot(device["energy_error_j"], (device["gain_error"] or 0.0) * device["energy_j"])


def _energy(device: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    if device["energy_j"] is None:
        return Text(printable(f"unavailable: {device['absent']['energy_j']}"), "dim")
    text = Text().append(show(device["energy_j"], "J"), "bold")
    text.append(f" ± {show(_error(device), 'J', 2)}   mean {show(device['power_mean_w'], 'W')}")
    counting = f"± {show(device['energy_error_j'], 'J', 2)}"
    known = f"± {device['gain_error']:.0%}" if device["gain_error"] else "unknown"
    gain = f": counting {counting}, gain {known}"
    how = {"counter": "energy counter", "power_trapezoid": "integrated power"}[device["energy_method"]]
    covers = device["energy_scope" if device["energy_method"] == "counter" else "scope"]
    return text.append(printable(f"   {how}{gain}; covers {covers}"), "dim")


def _range(metrics: Mapping[str, Any], keys: Sequence[str], unit: str) -> str | None:
    signal = next((metrics[key] for key in keys if "mean" in metrics.get(key, {})), None)
    if signal is None:
        return None
    low, mean, high = (_value(signal[name], unit) for name in ("min", "mean", "max"))
    if unit == "°C":
        return f"{_value(signal['start'], unit)} at start, {_value(signal['end'], unit)} at end, peak {high}"
    return f"mean {mean}, {low} to {high}"


def _throttled(shares: Mapping[str, float]) -> str:
    slow = throttled(shares)
    shown = (f"{n.replace('_', ' ')} {s:.0%}" for n, s in sorted(slow.items(), key=lambda item: -item[1]))
    return ", ".join(shown) or "no"


def unsampled(shares: Mapping[str, float]) -> str:
    """What stands beside the reasons of throttling: others that were counted while no sample has them; "" for none."""
    named = ", ".join(f"{name.replace('_', ' ')} counted in {s:.0%}" for name, s in shares.items() if s >= 0.01)
    return printable(f"   {named} of the time and in no sample") if named else ""


def live(rows: Sequence[tuple[str, str, Mapping[str, float]]]) -> Table:
    """The live table, a row a device: its id and name, and its newest values by signal, absent ones left out.

    "energy_so_far_j" among them is what it drew since the table began.
    """
    table = _table("device", "name", *(heading for heading, _, _ in _LIVE), "throttled")
    for name, title, values in rows:
        cells = [next((_value(values[key], unit) for key in keys if key in values), _NONE) for _, unit, keys in _LIVE]
        table.add_row(*_texts(name, title, *cells, _now_throttled(values)))
    return table


def _texts(*cells: str) -> list[Text]:
    """Cells as plain text: rich would read markup in a name."""
    from rich.text import Text

    return [Text(unbroken(cell)) for cell in cells]


def _now_throttled(values: Mapping[str, float]) -> str:
    if "throttle" not in values:
        return _NONE
    return ", ".join(r.replace("_", " ") for r in against_its_will(reasons(int(values["throttle"])))) or "no"


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title_style="bold")
    for position, heading in enumerate(headings):
        name = position == 1
        table.add_column(
            heading, justify="left" if position < 2 else "right", no_wrap=not name, min_width=12 if name else None
        )
    return table
