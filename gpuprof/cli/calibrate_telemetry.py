"""gpuprof calibrate-telemetry"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gpuprof.cli.common import console, json_option, print_json, say
from gpuprof.errors import EXIT_OK, DeviceError, UsageError

if TYPE_CHECKING:
    from gpuprof.supervisor.machine import Machine
    from gpuprof.telemetry.device import Device


@click.command(
    name="calibrate-telemetry", short_help="Measure how a device's sensors behave.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)  # fmt: skip
@click.option("--device", "names", multiple=True, metavar="ID", help="As in `gpuprof monitor`; default: every GPU.")
@click.option("--seconds", type=click.FloatRange(2, 120), default=6.0, show_default=True, help="Duration of the load.")
@click.option("--trace", type=click.Path(dir_okay=False), metavar="FILE", help="Keep every reading, some 2 ms apart.")
@json_option
@click.argument("arguments", nargs=-1, metavar="[--] [COMMAND...]", type=click.UNPROCESSED)
def command(
    names: tuple[str, ...], seconds: float, trace: str | None, as_json: bool, arguments: tuple[str, ...]
) -> int:
    """Measure whether the energy counter can be believed, its tick and lag, and how the power sensor averages.

    The device should be idle. It is loaded with matrix products in PyTorch, first steadily, then in pulses of 50 in
    100 ms at every phase, which show a counter that sees a part of the time; or by COMMAND, which must keep it busy for
    several seconds, without pulses. No settings of the device are changed. The output also says which vendor device
    each PyTorch device is, and how they were matched. What was found is kept for the card, and later runs record it.

    \b
    Examples:
      gpuprof calibrate-telemetry
      gpuprof calibrate-telemetry --device nvidia:0 --json > calibration.json
      gpuprof calibrate-telemetry --trace readings.csv.gz
      gpuprof calibrate-telemetry --device amd:0 -- ./burn --seconds 8
    """
    import random
    from pathlib import Path

    from gpuprof import telemetry
    from gpuprof.supervisor import load
    from gpuprof.supervisor.machine import session
    from gpuprof.system.clock import utc_now
    from gpuprof.telemetry import calibration, kept, monitor
    from gpuprof.telemetry.device import Lost
    from gpuprof.text import unbroken

    devices = telemetry.all_devices(telemetry.open_backends())
    chosen = monitor.select(devices, names) if names else [d for d in devices if d.kind == "gpu"]
    if not chosen:
        raise DeviceError("no vendor library lists a GPU; `gpuprof doctor` says why")
    with session() as inspector:
        machine = inspector.machine()
    mapping = list(_mapping(machine, devices))
    results, readings = [], {}
    phases_s = [] if arguments else calibration.phases_s(random.SystemRandom())
    for device in chosen:
        say(console(stderr=True), f"{device.id}: about {seconds + 10 + 4.2 * len(phases_s):.0f} s", "dim")
        index = next((row["torch_index"] for row in mapping if row["device"] == device.id), None)
        if index is None and device.kind == "gpu" and not arguments:
            raise UsageError(f"PyTorch does not use {device.id}: give a COMMAND after -- that keeps it busy")
        try:
            with load.program(arguments) if arguments else load.products(index, seconds, phases_s) as begin:
                result, readings[device.id] = calibration.calibrate(device, begin)
            results.append(result)
            if not kept.keep(device, result, utc_now()):
                say(console(stderr=True), f"{device.id}: not kept for later runs (no UUID, or no room)", "yellow")
        except Lost as error:
            raise DeviceError(f"{device.id} was lost: {error}") from None
    if trace is not None:
        calibration.write(readings, Path(trace))
    document = calibration.document(results, mapping)
    if as_json:
        print_json(document)
    else:
        for result in results:
            _show(result)
        for row in mapping:
            sentence = f"torch cuda:{row['torch_index']} is {row['device'] or 'not identified'} ({row['by']})"
            click.echo(unbroken(sentence))
    return EXIT_OK


def _mapping(machine: Machine, devices: list[Device]) -> Iterator[dict[str, Any]]:
    from gpuprof.absent import Absent
    from gpuprof.telemetry.attribute import attribute

    for gpu in machine.gpus:
        match = attribute(devices, gpu)
        yield {
            "torch_index": gpu["index"],
            "torch": {key: gpu[key] for key in ("name", "uuid", "pci")},
            "device": None if isinstance(match, Absent) else match.device.id,
            "by": match.reason if isinstance(match, Absent) else match.by,
            "attributed": not isinstance(match, Absent),
        }


def _show(result: dict[str, Any]) -> None:
    out = console()
    name = result["identity"]["name"]["value"]
    say(out, f"{result['device']}  {name}" + ("   SIMULATED" if result["simulated"] else ""), "bold")
    tick, finding = result["counter"], result["finding"]
    kind = finding["means"] if finding["kind"] == "none" else f"{finding['kind']}: {finding['means']}"
    say(out, f"  energy counter   {kind}", "green" if finding["kind"] == "ideal" else "yellow")
    if "absent" not in tick:
        late = result["lag"].get("lag_s")
        old = "" if late is None else f", {max(0.0, late) * 1e3:.0f} ms late at most"
        say(out, f"                   ticks every {tick['tick_s'] * 1e3:.1f} ms{old}")
    for key, power in result["power"].items():
        if "absent" in power:
            say(out, f"  {key:<17}{power['absent']}")
            continue
        update = (
            f"updates every {power['update_s'] * 1e3:.0f} ms"
            if power["update_s"] is not None
            else power["absent_update"]
        )
        window = f"averages over {power['window_s']:.2f} s" if power["window_s"] is not None else power["absent_window"]
        say(out, f"  {key:<17}{update}, {window}")
    for key, ratio in result["agreement"].get("over_counter", {}).items():
        say(out, f"  {key:<17}{ratio:.3f} x the counter's mean power under load")
    for keys, took in result["calls_s"].items():
        say(out, f"  call of {keys}: p50 {took['p50'] * 1e6:.0f} µs, p99 {took['p99'] * 1e6:.0f} µs", "dim")
