"""gpuprof calibrate-telemetry"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gpuprof.cli.common import console, json_option, print_json, say
from gpuprof.errors import EXIT_OK, DeviceError, UsageError

if TYPE_CHECKING:
    from gpuprof.supervisor.machine import Machine
    from gpuprof.telemetry.device import Device

Load = Callable[[], tuple[Callable[[], bool], int]]


@click.command(
    name="calibrate-telemetry", short_help="Measure how a device's sensors behave.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)  # fmt: skip
@click.option("--device", "wanted", multiple=True, metavar="ID", help="As for monitor; every GPU by default.")
@click.option("--seconds", type=click.FloatRange(2, 120), default=6.0, show_default=True, help="Length of the load.")
@json_option
@click.argument("arguments", nargs=-1, metavar="[--] [COMMAND...]", type=click.UNPROCESSED)
def command(wanted: tuple[str, ...], seconds: float, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Measure the tick of the energy counter, the averaging time of the power sensor and the time of each call.

    The device should be idle. It is loaded with matrix products in PyTorch, or with COMMAND where one is given, which
    must keep that device busy for some seconds. Nothing is changed on the device. It also says which vendor device each
    of PyTorch's devices is, and by what that was told.

    \b
    Examples:
      gpuprof calibrate-telemetry
      gpuprof calibrate-telemetry --device nvidia:0 --json > calibration.json
      gpuprof calibrate-telemetry --device amd:0 -- ./burn --seconds 8
    """
    from gpuprof import telemetry
    from gpuprof.supervisor.machine import session
    from gpuprof.telemetry import calibration as calibrate
    from gpuprof.telemetry import monitor
    from gpuprof.telemetry.device import Lost
    from gpuprof.text import unbroken

    devices = telemetry.all_devices(telemetry.open_backends())
    chosen = monitor.select(devices, wanted) if wanted else [d for d in devices if d.kind == "gpu"]
    if not chosen:
        raise DeviceError("no vendor library lists a GPU here; `gpuprof doctor` says why")
    with session() as inspector:
        machine = inspector.machine()
    mapping = list(_mapping(machine, devices))
    results = []
    for device in chosen:
        say(console(stderr=True), f"{device.id}: about {2 * seconds + 8:.0f} s", "dim")
        index = next((row["torch_index"] for row in mapping if row["device"] == device.id), None)
        if index is None and device.kind == "gpu" and not arguments:
            raise UsageError(f"PyTorch does not use {device.id}: give a COMMAND after -- that loads it")
        try:
            with _command(arguments) if arguments else _matrices(index, seconds) as load:
                results.append(calibrate.calibrate(device, load))
        except Lost as error:
            raise DeviceError(f"{device.id} was lost: {error}") from None
    document = calibrate.document(results, mapping)
    if as_json:
        print_json(document)
    else:
        for result in results:
            _show(result)
        for row in mapping:
            said = f"torch cuda:{row['torch_index']} is {row['device'] or 'not told apart'} ({row['by']})"
            click.echo(unbroken(said))
    return EXIT_OK


def _mapping(machine: Machine, devices: list[Device]) -> Iterator[dict[str, Any]]:
    from gpuprof.telemetry.attribute import Match, attribute

    for gpu in machine.gpus:
        found = attribute(devices, gpu)
        good = isinstance(found, Match)
        yield {
            "torch_index": gpu["index"],
            "torch": {key: gpu[key] for key in ("name", "uuid", "pci")},
            "device": found.device.id if isinstance(found, Match) else None,
            "by": found.by if isinstance(found, Match) else found,
            "attributed": good,
        }


@contextmanager
def _command(arguments: tuple[str, ...]) -> Iterator[Load]:
    import subprocess

    running: list[subprocess.Popen[bytes]] = []

    def load() -> tuple[Callable[[], bool], int]:
        try:
            process = subprocess.Popen(arguments, stdout=2)  # our stdout is for the result
        except OSError as error:
            raise UsageError(f"{arguments[0]}: {error.strerror}; name a program and its arguments after --") from None
        running.append(process)
        return lambda: process.poll() is None, time.monotonic_ns()

    try:
        yield load
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def _matrices(index: int | None, seconds: float) -> Iterator[Load]:
    """A worker that waits, with its context on the device, until the load is wanted."""
    import tempfile
    import threading
    from pathlib import Path

    from gpuprof.supervisor.worker_process import WorkerFailed, WorkerProcess
    from gpuprof.system.procfs import physical_cores

    ready, go, began = threading.Event(), threading.Event(), threading.Event()

    def at_pause(_: dict[str, Any]) -> dict[str, Any]:
        ready.set()
        go.wait()
        began.set()
        return {}

    with tempfile.TemporaryDirectory(prefix="gpuprof-cache-") as cache:
        worker = WorkerProcess(physical_cores(), Path(cache))
        request = {"do": "load", "device": index, "seconds": seconds}
        failed: list[WorkerFailed] = []

        def ask() -> None:
            try:
                worker.ask(request, 600.0, at_pause)
            except WorkerFailed as error:
                failed.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while thread.is_alive() and not ready.wait(0.1):
            continue

        def load() -> tuple[Callable[[], bool], int]:
            go.set()
            while thread.is_alive() and not began.wait(0.1):
                continue
            return thread.is_alive, time.monotonic_ns()

        try:
            yield load
            if failed:
                raise DeviceError(f"the load could not be run: {failed[0].reason}")
        finally:
            go.set()
            worker.kill()


def _show(result: dict[str, Any]) -> None:
    out = console()
    name = result["identity"]["name"]["value"]
    say(out, f"{result['device']}  {name}" + ("   SIMULATED" if result["simulated"] else ""), "bold")
    tick = result["counter"]
    say(out, "  energy counter   " + (tick.get("absent") or f"moves every {tick['tick_s'] * 1e3:.1f} ms"))
    for key, found in result["power"].items():
        if "absent" in found:
            say(out, f"  {key:<17}{found['absent']}")
            continue
        update = (
            f"renewed every {found['update_s'] * 1e3:.0f} ms"
            if found["update_s"] is not None
            else found["absent_update"]
        )
        window = f"averages over {found['window_s']:.2f} s" if found["window_s"] is not None else found["absent_window"]
        say(out, f"  {key:<17}{update}, {window}")
    for key, ratio in result["agreement"].get("over_counter", {}).items():
        say(out, f"  {key:<17}{ratio:.3f} x the counter's mean power under load")
    for keys, took in result["calls_s"].items():
        say(out, f"  call of {keys}: p50 {took['p50'] * 1e6:.0f} µs, p99 {took['p99'] * 1e6:.0f} µs", "dim")
