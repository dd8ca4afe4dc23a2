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
@json_option
@click.argument("arguments", nargs=-1, metavar="[--] [COMMAND...]", type=click.UNPROCESSED)
def command(names: tuple[str, ...], seconds: float, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Measure the tick of the energy counter, the averaging time of the power sensor and the time of each call.

    The device should be idle. It is loaded with matrix products in PyTorch, or by COMMAND, which must keep it busy for
    several seconds. No settings of the device are changed. The output also says which vendor device each PyTorch
    device is, and how they were matched.

    \b
    Examples:
      gpuprof calibrate-telemetry
      gpuprof calibrate-telemetry --device nvidia:0 --json > calibration.json
      gpuprof calibrate-telemetry --device amd:0 -- ./burn --seconds 8
    """
    from gpuprof import telemetry
    from gpuprof.supervisor import load
    from gpuprof.supervisor.machine import session
    from gpuprof.telemetry import calibration, monitor
    from gpuprof.telemetry.device import Lost
    from gpuprof.text import unbroken

    devices = telemetry.all_devices(telemetry.open_backends())
    chosen = monitor.select(devices, names) if names else [d for d in devices if d.kind == "gpu"]
    if not chosen:
        raise DeviceError("no vendor library lists a GPU; `gpuprof doctor` says why")
    with session() as inspector:
        machine = inspector.machine()
    mapping = list(_mapping(machine, devices))
    results = []
    for device in chosen:
        say(console(stderr=True), f"{device.id}: about {2 * seconds + 8:.0f} s", "dim")
        index = next((row["torch_index"] for row in mapping if row["device"] == device.id), None)
        if index is None and device.kind == "gpu" and not arguments:
            raise UsageError(f"PyTorch does not use {device.id}: give a COMMAND after -- that keeps it busy")
        try:
            with load.program(arguments) if arguments else load.products(index, seconds) as begin:
                results.append(calibration.calibrate(device, begin))
        except Lost as error:
            raise DeviceError(f"{device.id} was lost: {error}") from None
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
    tick = result["counter"]
    say(out, "  energy counter   " + (tick.get("absent") or f"ticks every {tick['tick_s'] * 1e3:.1f} ms"))
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
