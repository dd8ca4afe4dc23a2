"""gpuprof devices"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gpuprof.cli.common import console, json_option, print_json
from gpuprof.errors import EXIT_OK

if TYPE_CHECKING:
    from gpuprof.telemetry.device import Device


@click.command(name="devices", short_help="List the GPUs that the vendor libraries see, and the CPU.")
@json_option
def command(as_json: bool) -> int:
    """List every GPU that NVML or AMD SMI sees, whether or not PyTorch can use it, and the CPU.

    \b
    Examples:
      gpuprof devices
      gpuprof devices --json

    With --json: a list of devices, each with its name, vendor, uuid, pci_bus_id and `metrics`. A metric has a value
    in SI units, or null with a status (unsupported, no_permission, transient, lost) and a reason.
    """
    from gpuprof import telemetry
    from gpuprof.report.views import sensors

    backends = telemetry.open_backends()
    listed = [_described(device) for device in telemetry.all_devices(backends)]
    if as_json:
        print_json(listed)
        return EXIT_OK
    out = console()
    faults = [f"{b.library}: {b.fault.reason}" for b in backends if b.fault is not None]
    faults += [f"{b.library}: {reason}" for b in backends for reason in b.unusable]
    for part in sensors.devices(listed, faults, out.width):
        out.print(part, soft_wrap=not out.is_terminal)
    return EXIT_OK


def _described(device: Device) -> dict[str, Any]:
    from gpuprof.telemetry.device import Lost, NoReading, reading
    from gpuprof.telemetry.patience import patiently

    metrics: dict[str, Any] = {}
    try:
        for read in (device.identity, device.facts):
            metrics |= {key: fact.model_dump() for key, fact in patiently(read)[0].items()}
        metrics |= {key: reading(signal).model_dump() for key, signal in patiently(device.signals)[0].items()}
    except Lost as error:
        from gpuprof.telemetry import quantities

        tables = (quantities.IDENTITY, quantities.FACTS, quantities.SIGNALS)
        gone = reading(NoReading(str(error), "lost")).model_dump()
        metrics = {key: gone for table in tables for key in quantities.keys(table, device.kind)} | metrics
    return {
        "id": device.id,
        **{key: metrics[key]["value"] if key in metrics else None for key in ("name", "uuid", "pci_bus_id")},
        "vendor": device.vendor,
        "kind": device.kind,
        "simulated": device.simulated,
        "scope": device.power.scope,
        "energy_scope": device.power.energy_covers,
        "shared_by": device.power.shared_by,
        "metrics": metrics,
    }
