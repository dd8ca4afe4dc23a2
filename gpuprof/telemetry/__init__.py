"""Vendor libraries behind one protocol: what a GPU or CPU says of itself, sampled and folded into energy.

Runs in the supervisor or in `monitor`, never in the process that computes.
"""

from __future__ import annotations

from gpuprof.telemetry import amd, host, nvidia
from gpuprof.telemetry.device import Backend, Device

# A vendor is one file and one row here.
VENDORS = {"nvidia": nvidia.open_backend, "amd": amd.open_backend, "cpu": host.open_backend}


def open_backends() -> list[Backend]:
    """Every vendor's library, opened where it is there; the CPU comes last. Never raises, prints nothing."""
    return [open_backend() for open_backend in VENDORS.values()]


def all_devices(backends: list[Backend]) -> list[Device]:
    return [device for backend in backends for device in backend.devices]
