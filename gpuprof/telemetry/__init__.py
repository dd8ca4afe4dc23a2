"""Vendor libraries behind one protocol: what a GPU's or CPU's sensors report, sampled and folded into energy.

Runs in the supervisor or in `monitor`, never in the process that computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuprof.telemetry.device import Backend, Device, NoReading, Stuck
from gpuprof.telemetry.patience import patiently
from gpuprof.telemetry.vendors import amd, linux, nvidia

# A vendor is one file and one row here.
VENDORS = {"nvidia": nvidia.open_backend, "amd": amd.open_backend, "cpu": linux.open_backend}


def open_backends() -> list[Backend]:
    """A Backend for every vendor, the CPU last; one that could not be opened has a `fault`. Never raises or prints."""
    return [_opened(vendor, open_backend) for vendor, open_backend in VENDORS.items()]


def _opened(vendor: str, open_backend: Callable[[], Backend]) -> Backend:
    try:
        backend, printed = patiently(open_backend)
    except Stuck as error:
        fault = NoReading(str(error), "transient")
        return Backend(
            vendor,
            vendor,
            fault=fault,
            fix="a GPU may have hung: check the kernel log (dmesg), then restart the machine",
        )
    except Exception as error:  # noqa: BLE001 - no fault of a vendor's library may keep a CPU from being measured
        fault = NoReading(f"the vendor library failed ({type(error).__name__}: {error})", "unsupported")
        return Backend(vendor, vendor, fault=fault, fix="install a current release of the vendor's Python package")
    return replace(backend, noise=printed)


def all_devices(backends: list[Backend]) -> list[Device]:
    """The devices of all backends, in their order: GPUs by vendor and index, the CPU last."""
    return [device for backend in backends for device in backend.devices]
