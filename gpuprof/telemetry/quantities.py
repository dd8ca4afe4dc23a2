"""THE table of what telemetry reads. Every backend answers for each row of its kind of device, or gives a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gpu", "cpu"]
BOTH: tuple[Kind, ...] = ("gpu", "cpu")
GPU: tuple[Kind, ...] = ("gpu",)
CPU: tuple[Kind, ...] = ("cpu",)


@dataclass(frozen=True)
class Quantity:
    """One row: `key` ends in its SI unit, `title` and `unit` are shown, `kinds` are the devices that answer for it.

    Identity is read once, facts before and after a process; signals are sampled inside timed windows.
    """

    key: str
    title: str
    unit: str
    kinds: tuple[Kind, ...] = GPU


IDENTITY = (
    Quantity("name", "name", "", BOTH),
    Quantity("uuid", "UUID", ""),
    Quantity("pci_bus_id", "PCI", ""),
    Quantity("serial", "serial", ""),
    Quantity("architecture", "architecture", "", BOTH),
    Quantity("driver_version", "driver", ""),
    Quantity("library_version", "library", ""),
    Quantity("vbios_version", "VBIOS", ""),
    Quantity("partition", "partition", ""),
)
FACTS = (
    Quantity("memory_total_bytes", "memory", "B", BOTH),
    Quantity("memory_used_bytes", "memory used", "B", BOTH),
    Quantity("power_limit_w", "power limit", "W", BOTH),
    Quantity("power_limit_default_w", "default power limit", "W"),
    Quantity("power_limit_min_w", "minimum power limit", "W"),
    Quantity("power_limit_max_w", "maximum power limit", "W"),
    Quantity("core_clock_max_hz", "maximum core clock", "Hz"),
    Quantity("memory_clock_max_hz", "maximum memory clock", "Hz"),
    Quantity("fan_pct", "fan", "%"),
    Quantity("pcie_generation", "PCIe generation", ""),
    Quantity("pcie_generation_max", "maximum PCIe generation", ""),
    Quantity("pcie_width", "PCIe lanes", ""),
    Quantity("pcie_width_max", "maximum PCIe lanes", ""),
    Quantity("ecc_enabled", "ECC", ""),
    Quantity("ecc_corrected", "corrected ECC errors", ""),
    Quantity("ecc_uncorrected", "uncorrected ECC errors", ""),
    Quantity("performance_state", "performance state", ""),
    Quantity("processes", "processes", ""),
)
SIGNALS = (
    Quantity("power_instant_w", "power", "W", BOTH),
    Quantity("power_average_w", "power, averaged by the sensor", "W"),
    Quantity("energy_j", "energy counter", "J", BOTH),
    Quantity("gpu_utilization_pct", "GPU utilisation", "%"),
    Quantity("memory_utilization_pct", "memory-controller utilisation", "%"),
    Quantity("cpu_utilization_pct", "CPU utilisation", "%", CPU),
    Quantity("temperature_core_c", "core temperature", "°C", BOTH),
    Quantity("temperature_hotspot_c", "hotspot temperature", "°C"),
    Quantity("temperature_memory_c", "memory temperature", "°C"),
    Quantity("core_clock_hz", "core clock", "Hz"),
    Quantity("memory_clock_hz", "memory clock", "Hz"),
    Quantity("throttle", "throttle reasons", ""),
)


def keys(table: tuple[Quantity, ...], kind: Kind) -> list[str]:
    """The keys of a table that a device of this kind answers for, in the table's order."""
    return [quantity.key for quantity in table if kind in quantity.kinds]
