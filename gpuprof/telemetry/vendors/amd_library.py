"""The C library of AMD SMI through the wrapper's own types: which one, its calls, and what its numbers mean.

The Python package `amdsmi` is a wrapper that fits one ROCm release: its ctypes structures are those of that release's
C library. gpuprof calls the wrapper's C functions itself, into buffers with room to spare, and looks how much the
library really wrote; a structure that does not fit is not believed. This room and no other imports amdsmi.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import re
import struct
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpuprof.telemetry.device import Lost, NoReading, Probe
from gpuprof.throttling import bits

# amdsmi.h, amdsmi_status_t.
_STATUS = {
    2: "unsupported", 3: "unsupported", 40: "unsupported", 42: "unsupported", 43: "unsupported", 49: "unsupported",
    52: "unsupported", 55: "unsupported", 10: "no_permission", 31: "lost", 34: "unsupported",
}  # fmt: skip
_SAID = {
    2: "not supported by this device", 3: "not implemented in this release", 8: "timed out", 9: "try again",
    10: "no permission (groups render and video?)", 11: "interrupted", 30: "busy", 31: "the device is gone",
    32: "the library was shut down", 34: "the amdgpu driver is not loaded", 40: "no data",
    42: "data of unexpected size", 43: "unexpected data",
}  # fmt: skip

# The accumulator counts 2^-16 J. The library calls that 15.3 uJ, which is 0.27% too much.
ENERGY_UNIT_J = 2.0**-16
ROOM = 1 << 16
_PATIENCE = 3  # a device that is busy when it is first looked at is not judged by that
# Linux, amdgpu_smu.h: SMU_THROTTLER_*_BIT of indep_throttle_status, (first bit, last bit, reason).
_THROTTLERS = (
    (0, 7, "power_cap"),
    (16, 23, "current_limit"),
    (32, 45, "thermal"),
    (46, 47, "hw_slowdown"),
    (48, 63, "other"),
)
# Signal -> field of gpu_metrics, its unit in SI, and the open interval of values that mean something: firmware says
# "none" with all ones of the field's width or, in newer tables, with 0.
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
_DIES = "current_gfxclks"  # of each compute die, where there are several


def _candidates() -> Iterator[tuple[Path | None, str]]:
    """Where amdsmi may lie; ROCm's own before whatever pip installed, since only that one surely fits."""
    roots = [Path(os.environ[name]) for name in ("ROCM_HOME", "ROCM_PATH") if os.environ.get(name)]
    sdk = Path(sysconfig.get_paths()["purelib"]) / "_rocm_sdk_core"
    releases = sorted(Path("/opt/rocm").glob("core-*"), key=_numbers, reverse=True)
    for root in (*roots, sdk, Path("/opt/rocm"), *releases):
        place = root / "share" / "amd_smi"
        if (place / "amdsmi" / "__init__.py").is_file():
            yield place, f"amdsmi of {root}"
    yield None, "amdsmi of this Python"


def _numbers(place: Path) -> list[int]:
    """Of a release, to sort by: 10.0 comes after 9.1."""
    return [int(number) for number in re.findall(r"\d+", place.name)]


def find_wrapper() -> tuple[Any, str] | NoReading:
    """The module amdsmi_wrapper and where it came from, or what is wrong with each of the candidates."""
    faults: list[str] = []
    for place, origin in _candidates():
        before = list(sys.path)
        if place is not None:
            sys.path.insert(0, str(place))
        try:
            return importlib.import_module("amdsmi.amdsmi_wrapper"), origin
        # An amdsmi without its library raises KeyError, one of another release AttributeError.
        except Exception as error:  # noqa: BLE001
            faults.append(f"{origin}: {_import_fault(error)}")
            for name in [name for name in sys.modules if name == "amdsmi" or name.startswith("amdsmi.")]:
                del sys.modules[name]
        finally:
            sys.path[:] = before
    return NoReading("; ".join(faults), "unsupported")


def _import_fault(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "amdsmi":
        return "not installed"
    if isinstance(error, (KeyError, OSError)):
        return "libamd_smi.so was not found"
    if isinstance(error, AttributeError):
        return f"it does not fit the installed libamd_smi.so ({error})"
    return f"{type(error).__name__}: {error}"


class Smi:
    """Calls of the C library through the wrapper's own types; an error is a value."""

    def __init__(self, wrapper: Any, origin: str) -> None:
        self._wrapper = wrapper
        self.origin = origin
        self.simulated = any(
            _has_symbol(library, "gpuprof_simulated_library") for library in wrapper._libraries.values()
        )
        self._misfits: dict[str, NoReading | None] = {}

    def constant(self, name: str) -> int:
        return int(getattr(self._wrapper, name))

    def call(self, name: str, *arguments: Any, patience: int = 1) -> NoReading | None:
        """None when it went well. `patience` is how often it is tried while it says that it may work the next time."""
        function = getattr(self._wrapper, name, None)
        if function is None:
            return NoReading(f"{self.origin} has no {name}", "unsupported")
        try:
            for _ in range(patience):
                code = abs(function(*arguments))
                if code == 0 or failed(code, name).status != "transient":
                    break
        except (OSError, AttributeError, ctypes.ArgumentError, TypeError) as error:  # found missing at its first call
            return NoReading(f"{name}: {error}", "unsupported")
        return None if code == 0 else failed(code, name)

    def struct(
        self, name: str, type_name: str, handle: Any, *before: Any, whole: bool = False, patience: int = 1
    ) -> Any:
        """The structure that a function fills, or why it cannot be had or believed.

        `whole` says that the library always writes all of it, so that writing less is as telling as writing more.
        """
        kind = getattr(self._wrapper, type_name, None)
        if kind is None:
            return NoReading(f"{self.origin} does not know {type_name}", "unsupported")
        if name not in self._misfits:
            written = self._written(name, kind, handle, before)
            if isinstance(written, NoReading):  # nothing is known of the layout; the next call may tell
                return written
            self._misfits[name] = self._misfit(name, ctypes.sizeof(kind), written, whole=whole)
        if (misfit := self._misfits[name]) is not None:
            return misfit
        buffer = (ctypes.c_ubyte * ROOM)()
        found = kind.from_buffer(buffer)
        return self.call(name, handle, *before, ctypes.byref(found), patience=patience) or found

    def snapshot(self, handle: Any, keys: Sequence[str]) -> Probe | None:
        """These signals from one call of gpu_metrics; None where wrapper and library do not agree about it.

        It is made ten times a second beside a measurement: one buffer, one unpacking instead of a look at each field.
        """
        name = "amdsmi_get_gpu_metrics_info"
        kind, function = getattr(self._wrapper, "amdsmi_gpu_metrics_t", None), getattr(self._wrapper, name, None)
        if kind is None or function is None or not all(hasattr(kind, SIGNALS[key][0]) for key in keys):
            return None
        if isinstance(
            first := self.struct(name, "amdsmi_gpu_metrics_t", handle, whole=True, patience=_PATIENCE), NoReading
        ):
            return None
        keys = sorted(keys, key=lambda key: getattr(kind, SIGNALS[key][0]).offset)
        fields = [(getattr(kind, SIGNALS[key][0]), {2: "H", 4: "I", 8: "Q"}) for key in keys]
        dies = "core_clock_hz" in keys and any(clock != 0xFFFF for clock in getattr(first, _DIES, ()))
        layout, at = "<", 0
        for field, codes in fields:
            layout, at = f"{layout}{field.offset - at}x{codes[field.size]}", field.offset + field.size
        if dies:
            clocks = getattr(kind, _DIES)
            layout = f"{layout}{clocks.offset - at}x{clocks.size // 2}H"
        buffer = (ctypes.c_ubyte * ROOM)()
        pointer, unpack = ctypes.byref(kind.from_buffer(buffer)), struct.Struct(layout).unpack_from
        rows = [SIGNALS[key] for key in keys]
        mask_at = keys.index("throttle") if "throttle" in keys else None
        core_at = keys.index("core_clock_hz") if dies else None

        def fetch() -> tuple[int, ...] | NoReading:
            code = function(handle, pointer)
            return alive(failed(abs(code), name)) if code else unpack(buffer)

        def decode(found: tuple[int, ...]) -> Sequence[float | NoReading]:
            values: list[float | NoReading] = []
            for raw, (field, factor, least, most) in zip(found, rows, strict=False):
                values.append(raw * factor if least < raw < most else _none(field, raw))
            if mask_at is not None and found[mask_at] < 2**64 - 1:
                values[mask_at] = throttle(found[mask_at])
            if core_at is not None and (known := _clocks(found[len(rows) :])):
                values[core_at] = 1e6 * sum(known) / len(known)
            return values

        return Probe(tuple(keys), fetch, decode=decode)

    def _written(self, name: str, kind: Any, handle: Any, before: tuple[Any, ...]) -> int | NoReading:
        """Bytes that the library writes into the structure, or what went wrong with the call."""
        written = 0
        for pattern in (0xA5, 0x5A):  # a byte that happens to equal one pattern differs from the other
            buffer = (ctypes.c_ubyte * ROOM)()
            ctypes.memset(buffer, pattern, ROOM)
            failed = self.call(name, handle, *before, ctypes.byref(kind.from_buffer(buffer)), patience=_PATIENCE)
            if failed is not None:
                return failed
            raw = bytes(buffer).rstrip(bytes([pattern]))
            written = max(written, len(raw))
        return written

    def _misfit(self, name: str, size: int, written: int, *, whole: bool) -> NoReading | None:
        """None when the library writes as much as the wrapper's structure of `size` bytes holds; else what is wrong."""
        if written > size or (whole and written < size):
            return NoReading(
                f"{name}: libamd_smi {self.version()} writes {written} bytes where {self.origin} has {size}: they are "
                "of different releases; use the amdsmi that came with the installed ROCm",
                "unsupported",
            )
        return None

    def number(self, name: str, handle: Any, *before: Any, kind: Any = ctypes.c_uint64) -> int | NoReading:
        found = kind()
        return self.call(name, handle, *before, ctypes.byref(found)) or int(found.value)

    def handles(self) -> Iterator[Any]:
        """Every processor of every socket; a count comes first, then the list."""
        for socket in self._list("amdsmi_get_socket_handles", "amdsmi_socket_handle"):
            yield from self._list("amdsmi_get_processor_handles", "amdsmi_processor_handle", socket)

    def _list(self, name: str, type_name: str, *before: Any) -> list[Any]:
        kind, count = getattr(self._wrapper, type_name), ctypes.c_uint32(0)
        if self.call(name, *before, ctypes.byref(count), ctypes.POINTER(kind)()) is not None:
            return []
        found = (kind * count.value)()
        if self.call(name, *before, ctypes.byref(count), found) is not None:
            return []
        return [kind(found[index]) for index in range(count.value)]

    def version(self) -> str:
        buffer = (ctypes.c_ubyte * ROOM)()
        found = self._wrapper.amdsmi_version_t.from_buffer(buffer)
        failed = self.call("amdsmi_get_lib_version", ctypes.byref(found))
        return "of unknown version" if failed else f"{found.major}.{found.minor}.{found.release}"


def _clocks(each: Sequence[int]) -> list[int]:
    """MHz of the compute dies that report one."""
    return [clock for clock in each if 0 < clock < 0xFFFF]


def alive(value: Any) -> Any:
    """Raises Lost where the device is gone."""
    if isinstance(value, NoReading) and value.status == "lost":
        raise Lost(value.reason)
    return value


def failed(code: int, name: str) -> NoReading:
    said = f"{name}: {_SAID.get(code, 'failed')} (AMD SMI error {code})"
    return NoReading(said, _STATUS.get(code, "transient"))  # type: ignore[arg-type]


def _has_symbol(library: Any, name: str) -> bool:
    try:
        return hasattr(library, name)
    except Exception:  # noqa: BLE001 - newer wrappers put something in its place that raises what it likes
        return False


def decoded(value: Any) -> str:
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()


def named(value: Any, what: str) -> str | NoReading:
    text = decoded(value)
    return text if text and text != "N/A" else NoReading(f"the device reports no {what}", "unsupported")


# What an idle device may say 0 for and have none the less.
_SLEEPING = ("current_gfxclk", "current_uclk", "clock", "current_socket_power", "average_socket_power", "power")
# Firmware says "none" with all ones of the field's width, and the library hands wider fields on unchanged.
_ONES = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@functools.cache
def _none(what: str, value: Any) -> NoReading:
    if value == 0 and what in _SLEEPING:
        return NoReading(f"the device said 0 for its {what}, as one that sleeps does", "transient")
    return NoReading(f"the device reports no {what} (sentinel {value})", "unsupported")


def integer(value: int, what: str) -> int | NoReading:
    return _none(what, value) if value in _ONES else int(value)


def positive(value: int, what: str) -> int | NoReading:
    """Of which a device has some: 0 is what the library has not filled in."""
    return _none(what, value) if value == 0 else integer(value, what)


def watts(value: int, what: str) -> float | NoReading:
    return _none(what, value) if value >= 0xFFFF or value == 0 else float(value)


def microwatts(value: int, what: str) -> float | NoReading:
    # What it cannot read the library leaves zero.
    return _none(what, value) if value == 0 or value in _ONES else value * 1e-6


def joules(count: int, unit_j: float = ENERGY_UNIT_J) -> float | NoReading:
    return _none("energy", count) if count in (0, *_ONES[2:]) else count * unit_j


def percent(value: int, what: str) -> float | NoReading:
    return _none(what, value) if value > 100 else float(value)


def celsius(value: int, what: str) -> float | NoReading:
    # Newer tables say 0 for a sensor that is not there.
    return _none(what, value) if not 0 < value < 200 else float(value)


def hertz(megahertz: int, what: str) -> float | NoReading:
    return _none(what, megahertz) if megahertz >= 0xFFFF or megahertz == 0 else megahertz * 1e6


def generation(megatransfers: int) -> int | NoReading:
    """PCIe generation of a lane's speed in MT/s."""
    found = {2500: 1, 5000: 2, 8000: 3, 16000: 4, 32000: 5, 64000: 6}.get(int(megatransfers))
    return _none("PCIe speed", megatransfers) if found is None else found


@functools.cache
def throttle(mask: int) -> float:
    named = (reason for first, last, reason in _THROTTLERS if mask >> first & ((1 << (last - first + 1)) - 1))
    return float(bits(*named))


def constant(absent: dict[str, NoReading]) -> Probe:
    return Probe(tuple(absent), lambda: list(absent.values()))
