"""Which vendor device torch uses: found by UUID or PCI address as the worker reports them, never by index alone.

torch's order, NVML's and AMD SMI's are three different orders, and visibility variables shift the first one only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof.absent import Absent
from gpuprof.telemetry.device import Device

VISIBILITY = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")


@dataclass(frozen=True)
class Match:
    """A device, and by what it was recognised: a word for the record."""

    device: Device
    by: str


def simulated(name: str, match: Match | Absent | None = None) -> bool:
    """Whether a simulator stands for the device, which says so in its name, or for its sensors."""
    return "simulated" in name.casefold().split() or (isinstance(match, Match) and match.device.simulated)


def attribute(
    devices: Sequence[Device], identity: Mapping[str, Any], variables: Mapping[str, str] = os.environ
) -> Match | Absent:
    """The device with this identity (fields of `record.run.Device`), or why none can be named.

    UUID first, then PCI address. Partitions of one GPU share both: HIP's index tells them apart, but only where none of
    the VISIBILITY `variables` is set.
    """
    if identity["kind"] == "cpu":
        cpu = next((device for device in devices if device.kind == "cpu"), None)
        if cpu is None:
            return Absent("the CPU's sensors were not opened")
        return Match(cpu, "this machine has one CPU complex")
    candidates = [device for device in devices if device.vendor == identity["vendor"]]
    if not candidates:
        return Absent(f"no {identity['vendor']} GPU is listed by its vendor library")
    uuid, address = spellings(identity["uuid"]), _address(identity["pci"])
    by_uuid = [device for device in candidates if uuid & device.uuids]
    by_address = [device for device in candidates if address is not None and (device.pci or ())[:3] == address]
    if len(by_uuid) == 1 and (not by_address or by_uuid[0] in by_address):
        return Match(by_uuid[0], "UUID")
    if by_uuid and by_address:
        both = [device for device in by_uuid if device in by_address]
        if not both:
            return _cannot(identity, "its UUID and PCI address belong to different devices")
        if len(both) == 1:
            return Match(both[0], "UUID and PCI address")
        by_address = both  # partitions with one UUID between them
    if len(by_address) == 1:
        return Match(by_address[0], "PCI address")
    hidden = [name for name in VISIBILITY if name in variables]
    same_index = [device for device in by_address or candidates if device.framework_index == identity["index"]]
    if len(same_index) == 1 and not hidden and identity["vendor"] == same_index[0].vendor and by_address:
        return Match(same_index[0], "PCI address and HIP index")
    problem = (
        f"{len(by_address)} devices share its PCI address" if by_address else "no device has its UUID or PCI address"
    )
    return _cannot(identity, problem + (f", and {', '.join(hidden)} may change the device order" if hidden else ""))


def _cannot(identity: Mapping[str, Any], reason: str) -> Absent:
    device = f"{identity['name']} ({identity['uuid'] or identity['pci'] or 'no identity'})"
    return Absent(f"cannot identify the sensors of {device}: {reason}")


def spellings(uuid: str | None) -> set[str]:
    """A framework's UUID as the vendor libraries may spell it; empty for None.

    NVIDIA: the same text. HIP fills the 16 bytes with 16 ASCII hex digits, and those digits are AMD SMI's UUID.
    """
    if not uuid:
        return set()
    names = {uuid.lower(), uuid}
    try:
        digits = bytes.fromhex(uuid.replace("-", "")).decode("ascii")
        if len(digits) == 16:
            int(digits, 16)
            names.add(digits.lower())
    except ValueError:
        pass
    return names


def _address(text: str | None) -> tuple[int, int, int] | None:
    """(domain, bus, device) of a PCI address, without its function: partitions differ in it. None for other text."""
    if not text:
        return None
    try:
        domain, bus, rest = text.split(":")
        return int(domain, 16), int(bus, 16), int(rest.split(".")[0], 16)
    except ValueError:
        return None
