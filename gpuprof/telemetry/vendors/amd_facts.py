"""What an AMD device is set to and has at the moment: memory, limits, clocks, fan, link, ECC, processes."""

from __future__ import annotations

import ctypes
from typing import Any

from gpuprof.telemetry.device import NoReading, mapped
from gpuprof.telemetry.vendors.amd_library import Smi
from gpuprof.telemetry.vendors.amd_numbers import generation, hertz, integer, microwatts, positive


def read(smi: Smi, handle: Any) -> dict[str, Any]:
    """Values or NoReadings by key of `quantities.FACTS`, as they are now."""
    vram = smi.constant("AMDSMI_MEM_TYPE_VRAM")
    cap = smi.struct("amdsmi_get_power_cap_info", "amdsmi_power_cap_info_t", handle, ctypes.c_uint32(0))
    graphics, memory = (
        smi.struct("amdsmi_get_clock_info", "amdsmi_clk_info_t", handle, smi.constant(f"AMDSMI_CLK_TYPE_{name}"))
        for name in ("GFX", "MEM")
    )
    pcie = smi.struct("amdsmi_get_pcie_info", "amdsmi_pcie_info_t", handle)
    blocks = smi.number("amdsmi_get_gpu_ecc_enabled", handle)
    errors = mapped(blocks, lambda b: _errors(smi, handle, b))
    level = smi.number("amdsmi_get_gpu_perf_level", handle, kind=ctypes.c_uint32)
    return {
        "memory_total_bytes": mapped(
            smi.number("amdsmi_get_gpu_memory_total", handle, vram), lambda n: positive(n, "memory")
        ),
        "memory_used_bytes": mapped(
            smi.number("amdsmi_get_gpu_memory_usage", handle, vram), lambda n: integer(n, "memory")
        ),
        "power_limit_w": mapped(cap, lambda c: microwatts(c.power_cap, "power limit")),
        "power_limit_default_w": mapped(cap, lambda c: microwatts(c.default_power_cap, "default power limit")),
        "power_limit_min_w": mapped(cap, lambda c: microwatts(c.min_power_cap, "minimum power limit")),
        "power_limit_max_w": mapped(cap, lambda c: microwatts(c.max_power_cap, "maximum power limit")),
        "core_clock_max_hz": mapped(graphics, lambda g: hertz(g.max_clk, "maximum core clock")),
        "memory_clock_max_hz": mapped(memory, lambda m: hertz(m.max_clk, "maximum memory clock")),
        "fan_pct": _fan(smi, handle),
        "pcie_generation": mapped(pcie, lambda p: generation(p.pcie_metric.pcie_speed)),
        "pcie_generation_max": mapped(pcie, lambda p: generation(p.pcie_static.max_pcie_speed)),
        "pcie_width": mapped(pcie, lambda p: positive(p.pcie_metric.pcie_width, "PCIe width")),
        "pcie_width_max": mapped(pcie, lambda p: positive(p.pcie_static.max_pcie_width, "maximum PCIe width")),
        "ecc_enabled": mapped(blocks, lambda b: mapped(integer(b, "ECC state"), lambda mask: mask != 0)),
        "ecc_corrected": mapped(errors, lambda e: integer(e.correctable_count, "error count")),
        "ecc_uncorrected": mapped(errors, lambda e: integer(e.uncorrectable_count, "error count")),
        "performance_state": mapped(level, lambda n: _level(smi, n)),
        "processes": _processes(smi, handle),
    }


def _errors(smi: Smi, handle: Any, blocks: int) -> Any:
    """Counts of memory errors. Without any block that corrects them the library answers 0, and nobody counts."""
    if not blocks:
        return NoReading("no block of this device has ECC, so that nobody counts errors", "unsupported")
    return smi.struct("amdsmi_get_gpu_total_ecc_count", "amdsmi_error_count_t", handle)


def _level(smi: Smi, value: int) -> str | NoReading:
    names = getattr(smi._wrapper, "amdsmi_dev_perf_level_t__enumvalues", {})
    name = "auto" if value == 0 else names.get(value)  # the wrapper's table has FIRST, another name of 0
    if name is None or name.endswith("UNKNOWN"):
        return NoReading(f"the device reports no performance level ({value})", "unsupported")
    return str(name).removeprefix("AMDSMI_DEV_PERF_LEVEL_").lower()


def _fan(smi: Smi, handle: Any) -> float | NoReading:
    speed = smi.number("amdsmi_get_gpu_fan_speed", handle, 0, kind=ctypes.c_int64)
    most = smi.number("amdsmi_get_gpu_fan_speed_max", handle, 0)
    if isinstance(speed, NoReading):
        return speed
    if isinstance(most, NoReading):
        return most
    if not 0 <= speed <= most < 0xFFFF or most == 0:
        return NoReading(f"the device reports no fan (speed {speed} of {most})", "unsupported")
    return 100.0 * speed / most


def _processes(smi: Smi, handle: Any) -> Any:
    kind = getattr(smi._wrapper, "amdsmi_proc_info_t", None)
    if kind is None:
        return NoReading(f"{smi.origin} has no process list", "unsupported")
    most = 256
    # Twice the room: a library whose structure is larger than the wrapper's must not write beyond it.
    size = ctypes.sizeof(kind)
    buffer = (ctypes.c_ubyte * (2 * most * size))()
    count, first = ctypes.c_uint32(most), kind.from_buffer(buffer)
    failed = smi.call("amdsmi_get_gpu_process_list", handle, ctypes.byref(count), ctypes.byref(first))
    if failed:
        return failed
    if len(bytes(buffer).rstrip(b"\0")) > count.value * size:
        return NoReading(f"libamd_smi lays out its process list differently from {smi.origin}", "unsupported")
    listed = (kind * most).from_buffer(buffer)
    return [
        {"pid": int(entry.pid), "memory_bytes": int(entry.memory_usage.vram_mem)}
        for entry in listed[: min(count.value, most)]
    ]
