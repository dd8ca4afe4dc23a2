"""What AMD's numbers mean: the fields of a snapshot, their units, what says "none", and which throttle bits count."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from gpuprof.telemetry.device import NoReading
from gpuprof.throttling import bits

# The accumulator counts 2^-16 J. The library calls that 15.3 uJ, which is 0.27% too much.
ENERGY_UNIT_J = 2.0**-16
# Linux, amdgpu_smu.h: SMU_THROTTLER_*_BIT of indep_throttle_status, (first bit, last bit, reason).
_THROTTLERS = (
    (0, 7, "power_cap"),
    (16, 23, "current_limit"),
    (32, 45, "thermal"),
    (46, 47, "hw_slowdown"),
    (48, 63, "other"),
)
# Signal -> field of gpu_metrics, its unit in SI, and the open interval of valid values: firmware reports "none" as all
# ones of the field's width or, in newer tables, as 0. A lower bound of -1 makes 0 a value. Each signal has a field of
# its own, since `snapshot` reads each field once.
SIGNALS = {
    "power_instant_w": ("current_socket_power", 1.0, 0, 0xFFFF),
    "power_average_w": ("average_socket_power", 1.0, 0, 0xFFFF),
    "energy_j": ("energy_accumulator", ENERGY_UNIT_J, 0, 2**64 - 1),
    "gpu_utilization_pct": ("average_gfx_activity", 1.0, -1, 101),
    "memory_utilization_pct": ("average_umc_activity", 1.0, -1, 101),
    "temperature_core_c": ("temperature_edge", 1.0, 0, 200),
    "temperature_hotspot_c": ("temperature_hotspot", 1.0, 0, 200),
    "temperature_memory_c": ("temperature_mem", 1.0, 0, 200),
    "core_clock_hz": ("current_gfxclk", 1e6, 0, 0xFFFF),
    "memory_clock_hz": ("current_uclk", 1e6, 0, 0xFFFF),
    "throttle": ("indep_throttle_status", 1.0, -1, 2**64 - 1),
}


def decoded(value: Any) -> str:
    """A C string's text, up to its first NUL and without blanks around it."""
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()


def named(value: Any, name: str) -> str | NoReading:
    """A C string that must not be empty or N/A; `name` is what the reason calls it, here and below."""
    text = decoded(value)
    return text if text and text != "N/A" else NoReading(f"the device reports no {name}", "unsupported")


def serial_number(value: Any) -> str | NoReading:
    """A serial, as a C string. Boards whose serial nobody wrote say 0, which is none that two could have in common."""
    text = named(value, "serial")
    if isinstance(text, NoReading) or text.removeprefix("0x").strip("0"):
        return text
    return NoReading(f"the device reports no serial ({text})", "unsupported")


# What an idle device may report as 0 for a while.
_SLEEPING = ("current_gfxclk", "current_uclk", "clock", "current_socket_power", "average_socket_power", "power")
# Firmware reports "none" as all ones of the field's width, and the library copies that into wider fields.
_ONES = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@functools.cache
def none(name: str, value: Any) -> NoReading:
    """Why a number that says "none" is no reading, or none for now."""
    if value == 0 and name in _SLEEPING:
        return NoReading(f"the device reported 0 for {name}, as sleeping devices do", "transient")
    return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")


def integer(value: int, name: str) -> int | NoReading:
    """A number that may be 0; all ones is none."""
    return none(name, value) if value in _ONES else int(value)


def positive(value: int, name: str) -> int | NoReading:
    """A number that is at least 1 on any device: the library leaves 0 where it has not filled it in."""
    return none(name, value) if value == 0 else integer(value, name)


def watts(value: int, name: str) -> float | NoReading:
    """Watts from watts; 0, and 0xFFFF or more, are none."""
    return none(name, value) if value >= 0xFFFF or value == 0 else float(value)


def microwatts(value: int, name: str) -> float | NoReading:
    """Watts from microwatts; the library leaves 0 for a limit that it cannot read."""
    return none(name, value) if value == 0 or value in _ONES else value * 1e-6


def joules(count: int, unit_j: float = ENERGY_UNIT_J) -> float | NoReading:
    """Joules from an accumulator's count of `unit_j`; 0 and 64 ones are none."""
    return none("energy", count) if count in (0, *_ONES[2:]) else count * unit_j


def percent(value: int, name: str) -> float | NoReading:
    """Percent; more than 100 is none."""
    return none(name, value) if value > 100 else float(value)


def celsius(value: int, name: str) -> float | NoReading:
    """Degrees Celsius below 200; newer tables report 0 for a sensor that does not exist."""
    return none(name, value) if not 0 < value < 200 else float(value)


def hertz(megahertz: int, name: str) -> float | NoReading:
    """Hertz from megahertz; 0, and 0xFFFF or more, are none."""
    return none(name, megahertz) if megahertz >= 0xFFFF or megahertz == 0 else megahertz * 1e6


def generation(megatransfers: int) -> int | NoReading:
    """PCIe generation from a lane's speed in MT/s; any other speed is none."""
    number = {2500: 1, 5000: 2, 8000: 3, 16000: 4, 32000: 5, 64000: 6}.get(int(megatransfers))
    return none("PCIe speed", megatransfers) if number is None else number


class Trust(NamedTuple):
    """What tells a bit of throttling that a device deserves from one that it always shows; None where it is unknown."""

    always_hot: bool = False  # the hotspot's bit is set whatever its temperature
    hotspot_limit_c: float | None = None
    power_limit_w: float | None = None


_HOTSPOT_BIT = 1 << 36  # SMU_THROTTLER_TEMP_HOTSPOT_BIT
_POWER_BITS = 0xFF
# So near to its limit, a hotspot's bit is believed. On RDNA3 and RDNA4 it is always set: ROCm/rocm-systems#11781 (R9700
# idle, 1 W, 37 C), Umio-Yasuno/libdrm-amdgpu-sys-rs#7 (Navi 31); MangoHud#1690 ignores it in the same way.
_NEAR_C = 10
# A board below half its limit is not held back by it, whatever its bits say: an RX 6700 XT shows them at low load
# (MangoHud#748). Limits of power are averages over some time, so a board need not be at the limit when it is held.
_HELD_FROM = 0.5


def believed(mask: int, trust: Trust, hotspot_c: int | None, power_w: int | None) -> int:
    """indep_throttle_status without the bits that this device does not deserve.

    `hotspot_c` and `power_w` are the raw fields of the same snapshot, None where it has none. A hotspot's bit that is
    always set is dropped where its temperature or its limit is unknown: nothing else bears it out.
    """
    if trust.always_hot:
        limit_c = trust.hotspot_limit_c
        if limit_c is None or hotspot_c is None or not limit_c - _NEAR_C <= hotspot_c < 200:
            mask &= ~_HOTSPOT_BIT
    if trust.power_limit_w is not None and power_w is not None and power_w < _HELD_FROM * trust.power_limit_w:
        mask &= ~_POWER_BITS
    return mask


@functools.cache
def throttle(mask: int) -> float:
    """The signal `throttle` from indep_throttle_status: a mask of `throttling.REASONS`."""
    active = (reason for first, last, reason in _THROTTLERS if mask >> first & ((1 << (last - first + 1)) - 1))
    return float(bits(*active))
