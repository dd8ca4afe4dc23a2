"""Which of AMD's devices share a package, as partitions and the dies of an MI250 do; and what its power covers."""

from __future__ import annotations

from typing import Any

from gpuprof.telemetry.device import NoReading, mapped
from gpuprof.telemetry.vendors.amd_library import Smi
from gpuprof.telemetry.vendors.amd_numbers import serial_number, watts

# PCI device ids (the kernel's amdgpu_drv.c and the PCI ID repository). An MI210, 0x740f, is one die.
_TWO_DIES = (0x7408, 0x740C)  # MI250X, MI250
_WITH_CPU = (0x74A0, 0x1586)  # MI300A, Strix Halo: one package with the CPU's cores, whose power counts them as well
# RDNA3 (Navi 31, 32, 33) and RDNA4 (Navi 48, 44), for wrappers before ROCm 6.3, which do not tell the gfx version.
_RDNA3_ON = (range(0x7440, 0x74A0), range(0x7550, 0x75A0))


class Packages:
    """Which devices are parts of one package: only one of them reports the package's power and energy.

    Devices are named by their index in AMD SMI's order; `members` holds the devices of each package.
    """

    def __init__(self, smi: Smi, handles: list[Any]) -> None:
        self.handles = handles
        self.members: list[list[int]] = []
        self._reports = [_power_reported(smi, handle) for handle in handles]
        slots: dict[tuple[int, ...], list[int]] = {}  # partitions share an address but for its function
        boards: dict[tuple[int, str | None], list[int]] = {}  # the dies of an MI250 share a board's serial
        for index, handle in enumerate(handles):
            slot, board = _slot(smi, handle), _board(smi, handle)
            package = slots.get(slot) if slot else None
            if package is None and board:
                package = self._other_die(boards.get(board, []), index)
            if package is None:
                self.members.append(package := [])
            package.append(index)
            if slot:
                slots[slot] = package
            if board:
                boards[board] = package

    def _other_die(self, package: list[int], index: int) -> list[int] | None:
        """The package that this die of an MI250 completes: where two dies report power, they are two boards."""
        alone = len(package) == 1 and not (self._reports[index] and self._reports[package[0]])
        # Dies without a serial are known by their order alone: the second one, without power, follows the first.
        return package if alone and (self._reports[index] or self._reports[package[0]]) else None

    def of(self, index: int) -> list[int]:
        """The devices of this one's package, itself included."""
        return next(group for group in self.members if index in group)

    def reporter(self, index: int) -> int | None:
        """The device that reports for the whole package; None where none does.

        Up to ROCm 6.4.0 every partition does: then it is the first.
        """
        if len(self.of(index)) == 1:
            return index
        return next((member for member in self.of(index) if self._reports[member]), None)


def _slot(smi: Smi, handle: Any) -> tuple[int, ...]:
    address = pci_address(smi, handle)
    return () if isinstance(address, NoReading) else address[:3]


def _board(smi: Smi, handle: Any) -> tuple[int, str | None] | None:
    """(device id, serial or None) of a die of an MI250, None for any other device."""
    kind = device_id(smi, handle)
    if kind not in _TWO_DIES:
        return None
    board = smi.struct("amdsmi_get_gpu_board_info", "amdsmi_board_info_t", handle)
    serial = mapped(board, lambda b: serial_number(b.product_serial))
    return kind, None if isinstance(serial, NoReading) else serial


def _power_reported(smi: Smi, handle: Any) -> bool:
    """Whether the device tells a power other than 0, which second dies of an MI250 say in place of none."""
    info = smi.struct("amdsmi_get_power_info", "amdsmi_power_info_t", handle)
    if isinstance(info, NoReading):
        return False
    both = (info.current_socket_power, info.average_socket_power)
    return any(not isinstance(watts(value, ""), NoReading) for value in both)


def pci_address(smi: Smi, handle: Any) -> tuple[int, int, int, int] | NoReading:
    """(domain, bus, device, function): bits of one number, whose parts have other names in each release."""
    address = smi.struct("amdsmi_get_gpu_device_bdf", "amdsmi_bdf_t", handle)
    if isinstance(address, NoReading):
        return address
    number = int.from_bytes(bytes(address)[:8], "little")
    return number >> 16, number >> 8 & 0xFF, number >> 3 & 0x1F, number & 0x7


def device_id(smi: Smi, handle: Any) -> int | None:
    """The PCI device id, None where it cannot be read."""
    asic = smi.struct("amdsmi_get_gpu_asic_info", "amdsmi_asic_info_t", handle)
    return None if isinstance(asic, NoReading) else int(asic.device_id)


def scope(smi: Smi, handle: Any, shared: int) -> str:
    """What the device's power covers, in words; `shared` devices have it in common."""
    cores = ", CPU cores included" if device_id(smi, handle) in _WITH_CPU else ""
    return f"socket{cores}" + (f", shared by {shared} devices" if shared > 1 else "")


def is_rdna3_on(smi: Smi, handle: Any) -> bool:
    """Whether this is RDNA3 or newer: gfx11xx, gfx12xx."""
    asic = smi.struct("amdsmi_get_gpu_asic_info", "amdsmi_asic_info_t", handle)
    if isinstance(asic, NoReading):
        return False
    graphics = int(getattr(asic, "target_graphics_version", 0))
    if 0 < graphics < 0xFFFF:
        return graphics >= 0x1100
    return any(int(asic.device_id) in ids for ids in _RDNA3_ON)
