"""gpuprof monitor"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from gpuprof.cli.common import console, json_option, print_json, say, verbose_option
from gpuprof.errors import EXIT_OK, EXIT_RUN_FAILED

if TYPE_CHECKING:
    from gpuprof.telemetry.device import Device
    from gpuprof.telemetry.sampler import Sampler


@click.command(
    name="monitor", short_help="Energy, power and temperature while any command runs.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)  # fmt: skip
@click.option("--device", "names", multiple=True, metavar="ID",
              help="Device to watch: an id from `gpuprof devices`, a UUID, a PCI address or part of a name. "
                   "May be repeated; default: all devices.")  # fmt: skip
@click.option("--hz", type=click.FloatRange(1, 50), default=10.0, show_default=True, help="Samples per second.")
@verbose_option
@json_option
@click.argument("arguments", nargs=-1, metavar="[--] [COMMAND...]", type=click.UNPROCESSED)
def command(names: tuple[str, ...], hz: float, verbose: bool, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Run COMMAND and report the energy, power, temperature and utilisation of the devices while it runs.

    COMMAND can be anything, such as a training script in any language. Its exit code is passed on. Without COMMAND, a
    live table is shown until Ctrl-C. The report goes to stderr; with --json it goes to stdout, and the command's own
    stdout goes to stderr.

    \b
    Examples:
      gpuprof monitor python train.py --epochs 1
      gpuprof monitor --device nvidia:0 --json -- ./train.sh > energy.json
      gpuprof monitor

    Exit codes: that of COMMAND; 127 if it is not found, 126 if it cannot be run, 2 for bad usage.
    """
    from gpuprof import telemetry
    from gpuprof.report.views import sensors
    from gpuprof.telemetry import monitor as monitoring

    if arguments and not arguments[0]:
        raise click.UsageError("COMMAND is empty")
    if arguments and arguments[0].startswith("-"):
        raise click.UsageError(f"no such option: {arguments[0]}; put COMMAND after --")
    devices = monitoring.select(telemetry.all_devices(telemetry.open_backends()), names)

    def run(sampler: Sampler) -> int | None:
        if arguments:
            return monitoring.run_command(arguments, output_to_stderr=as_json)
        _live(sampler, quiet=as_json)
        return None

    document: dict[str, Any] = {"command": list(arguments), **monitoring.monitor(devices, hz, run)}
    try:
        if as_json:
            print_json(document)
            sys.stdout.flush()
        else:
            out = console(stderr=True)
            for part in sensors.monitored(document, verbose=verbose):
                out.print(part, soft_wrap=not out.is_terminal)
    except OSError as error:  # the command's own exit code counts
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1 if as_json else 2)
        say(console(stderr=True), f"gpuprof: the report could not be written ({error.strerror})")
        return document["exit_code"] or EXIT_RUN_FAILED
    return document["exit_code"] or EXIT_OK


def _live(sampler: Sampler, *, quiet: bool) -> None:
    """Show a table that renews itself until Ctrl-C or SIGTERM; without a terminal only wait for them."""
    from rich.live import Live

    from gpuprof.report.views import sensors
    from gpuprof.telemetry import monitor as monitoring

    stopped = []
    before = {n: signal.signal(n, lambda *_: stopped.append(True)) for n in (signal.SIGINT, signal.SIGTERM)}
    out = console(stderr=True)
    names = {name: monitoring.title(sampler, feed.device) for name, feed in sampler.feeds.items()}
    try:
        with Live(console=out, auto_refresh=False, transient=True) as table:

            def show(rows: list[tuple[Device, dict[str, float]]]) -> None:
                if out.is_terminal and not quiet:
                    listed = [(device.id, names[device.id], values) for device, values in rows]
                    table.update(sensors.live(listed), refresh=True)

            monitoring.live(sampler, show, stop=lambda: bool(stopped))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
