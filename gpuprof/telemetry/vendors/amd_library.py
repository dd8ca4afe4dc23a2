"""The C library of AMD SMI through the wrapper's own types: where it is found, its calls, what its numbers mean.

The Python package `amdsmi` is a wrapper that fits one ROCm release: its ctypes structures are those of that release's
C library. gpuprof calls the wrapper's C functions itself, into buffers with room to spare, and checks how much the
library wrote; a structure that does not fit is not used. Only this file imports amdsmi.
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
    10: "no permission (are you in groups render and video?)", 11: "interrupted", 30: "busy", 31: "the device is gone",
    32: "the library was shut down", 34: "the amdgpu driver is not loaded", 40: "no data",
    42: "data of unexpected size", 43: "unexpected data",
}  # fmt: skip

# The accumulator counts 2^-16 J. The library calls that 15.3 uJ, which is 0.27% too much.
ENERGY_UNIT_J = 2.0**-16
ROOM = 1 << 16  # bytes of a buffer that the library fills: more than any of its structures
_PATIENCE = 3  # tries, so that a device that is busy at first is not given up
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
_DIE_CLOCKS = "current_gfxclks"  # MHz of each compute die, where there are several; behind all fields of SIGNALS
_CODES = {2: "H", 4: "I", 8: "Q"}  # bytes of an unsigned field -> its letter in a struct format


def _candidates() -> Iterator[tuple[Path | None, str]]:
    """(folder to import amdsmi from, its origin in words): ROCm's own first, since only that one is sure to fit."""
    roots = [Path(os.environ[name]) for name in ("ROCM_HOME", "ROCM_PATH") if os.environ.get(name)]
    sdk = Path(sysconfig.get_paths()["purelib"]) / "_rocm_sdk_core"
    releases = sorted(Path("/opt/rocm").glob("core-*"), key=_numbers, reverse=True)
    for root in (*roots, sdk, Path("/opt/rocm"), *releases):
        folder = root / "share" / "amd_smi"
        if (folder / "amdsmi" / "__init__.py").is_file():
            yield folder, f"amdsmi from {root}"
    yield None, "amdsmi in this Python"


def _numbers(folder: Path) -> list[int]:
    """A release's numbers, to sort by: 10.0 comes after 9.1."""
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def find_wrapper() -> tuple[Any, str] | NoReading:
    """The module amdsmi_wrapper and its origin in words, or what is wrong with each of the candidates."""
    faults: list[str] = []
    for folder, origin in _candidates():
        before = list(sys.path)
        if folder is not None:
            sys.path.insert(0, str(folder))
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
    """Calls of the C library through the wrapper's own types; an error is returned as a NoReading, not raised."""

    def __init__(self, wrapper: Any, origin: str) -> None:
        self._wrapper = wrapper
        self.origin = origin
        self.simulated = any(
            _has_symbol(library, "gpuprof_simulated_library") for library in wrapper._libraries.values()
        )
        self._misfits: dict[str, NoReading | None] = {}

    def constant(self, name: str) -> int:
        """A constant of amdsmi.h by its name. Raises AttributeError where this release has none."""
        return int(getattr(self._wrapper, name))

    def call(self, name: str, *arguments: Any, patience: int = 1) -> NoReading | None:
        """None when it went well. A call that fails with a transient error is tried `patience` times in all."""
        function = getattr(self._wrapper, name, None)
        if function is None:
            return NoReading(f"{self.origin} has no {name}", "unsupported")
        try:
            for _ in range(patience):
                code = abs(function(*arguments))
                if code == 0 or failed(code, name).status != "transient":
                    break
        # A function that the library lacks is missed at its first call.
        except (OSError, AttributeError, ctypes.ArgumentError, TypeError) as error:
            return NoReading(f"{name}: {error}", "unsupported")
        return None if code == 0 else failed(code, name)

    def struct(
        self, name: str, type_name: str, handle: Any, *before: Any, whole: bool = False, patience: int = 1
    ) -> Any:
        """The structure that a function fills, or why there is none, or none that can be trusted.

        `before` are the arguments between handle and structure. `whole` says that the library always writes all of it:
        then writing less than the wrapper's size is a misfit, as writing more always is.
        """
        kind = getattr(self._wrapper, type_name, None)
        if kind is None:
            return NoReading(f"{self.origin} does not know {type_name}", "unsupported")
        if name not in self._misfits:
            written = self._written(name, kind, handle, before)
            if isinstance(written, NoReading):  # the layout is still unknown; the next call may show it
                return written
            self._misfits[name] = self._misfit(name, ctypes.sizeof(kind), written, whole=whole)
        if (misfit := self._misfits[name]) is not None:
            return misfit
        buffer = (ctypes.c_ubyte * ROOM)()
        filled = kind.from_buffer(buffer)
        return self.call(name, handle, *before, ctypes.byref(filled), patience=patience) or filled

    def snapshot(self, handle: Any, keys: Sequence[str]) -> Probe | None:
        """A probe of these signals with one call of gpu_metrics; None where wrapper and library do not agree about it.

        It is made ten times a second beside a measurement. So one buffer serves all calls (the pointer keeps it alive,
        unpacking copies, one thread calls), and one struct format reads all fields: in the order of their offsets,
        unaligned, with the gaps between them as padding, and the clocks of the compute dies at the end.
        """
        name = "amdsmi_get_gpu_metrics_info"
        kind, function = getattr(self._wrapper, "amdsmi_gpu_metrics_t", None), getattr(self._wrapper, name, None)
        if kind is None or function is None or not all(hasattr(kind, SIGNALS[key][0]) for key in keys):
            return None
        metrics = self.struct(name, "amdsmi_gpu_metrics_t", handle, whole=True, patience=_PATIENCE)
        if isinstance(metrics, NoReading):
            return None
        keys = sorted(keys, key=lambda key: getattr(kind, SIGNALS[key][0]).offset)
        has_dies = "core_clock_hz" in keys and any(clock != 0xFFFF for clock in getattr(metrics, _DIE_CLOCKS, ()))
        layout, at = "<", 0
        for descriptor in (getattr(kind, SIGNALS[key][0]) for key in keys):
            gap, code = descriptor.offset - at, _CODES[descriptor.size]
            layout, at = f"{layout}{gap}x{code}", descriptor.offset + descriptor.size
        if has_dies:
            clocks = getattr(kind, _DIE_CLOCKS)
            layout = f"{layout}{clocks.offset - at}x{clocks.size // 2}H"
        buffer = (ctypes.c_ubyte * ROOM)()
        pointer, unpack = ctypes.byref(kind.from_buffer(buffer)), struct.Struct(layout).unpack_from
        specs = [SIGNALS[key] for key in keys]
        mask_at = keys.index("throttle") if "throttle" in keys else None
        core_at = keys.index("core_clock_hz") if has_dies else None

        def fetch() -> tuple[int, ...] | NoReading:
            code = function(handle, pointer)
            return alive(failed(abs(code), name)) if code else unpack(buffer)

        def decode(numbers: tuple[int, ...]) -> Sequence[float | NoReading]:
            values: list[float | NoReading] = []
            # Behind the signals' numbers are the dies' clocks: a core clock is the mean of those that report one.
            for number, (field, factor, least, most) in zip(numbers, specs, strict=False):
                values.append(number * factor if least < number < most else _none(field, number))
            if mask_at is not None and numbers[mask_at] < 2**64 - 1:
                values[mask_at] = throttle(numbers[mask_at])
            if core_at is not None and (known := _clocks(numbers[len(specs) :])):
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
                f"{name}: libamd_smi {self.version()} writes {written} bytes where {self.origin} expects {size}: they "
                "come from different releases; use the amdsmi that came with the installed ROCm",
                "unsupported",
            )
        return None

    def number(self, name: str, handle: Any, *before: Any, kind: Any = ctypes.c_uint64) -> int | NoReading:
        """The number of C type `kind` that a function fills, as the library gives it: unscaled, sentinels included."""
        answer = kind()
        return self.call(name, handle, *before, ctypes.byref(answer)) or int(answer.value)

    def handles(self) -> Iterator[Any]:
        """Every processor of every socket, in AMD SMI's order; none where the lists cannot be read."""
        for socket in self._list("amdsmi_get_socket_handles", "amdsmi_socket_handle"):
            yield from self._list("amdsmi_get_processor_handles", "amdsmi_processor_handle", socket)

    def _list(self, name: str, type_name: str, *before: Any) -> list[Any]:
        """A list of handles, asked for its length first; empty where it cannot be read."""
        kind, count = getattr(self._wrapper, type_name), ctypes.c_uint32(0)
        if self.call(name, *before, ctypes.byref(count), ctypes.POINTER(kind)()) is not None:
            return []
        listed = (kind * count.value)()
        if self.call(name, *before, ctypes.byref(count), listed) is not None:
            return []
        return [kind(listed[index]) for index in range(count.value)]

    def version(self) -> str:
        """The C library's version, as in 26.0.2; "of unknown version" where it does not say."""
        buffer = (ctypes.c_ubyte * ROOM)()
        numbers = self._wrapper.amdsmi_version_t.from_buffer(buffer)
        failed = self.call("amdsmi_get_lib_version", ctypes.byref(numbers))
        return "of unknown version" if failed else f"{numbers.major}.{numbers.minor}.{numbers.release}"


def _clocks(each: Sequence[int]) -> list[int]:
    """MHz of the compute dies that report one."""
    return [clock for clock in each if 0 < clock < 0xFFFF]


def alive(value: Any) -> Any:
    """The value, or a NoReading that is not final. Raises Lost where the device is gone."""
    if isinstance(value, NoReading) and value.status == "lost":
        raise Lost(value.reason)
    return value


def failed(code: int, name: str) -> NoReading:
    """The reading of a call that returned this positive status; unknown ones count as transient."""
    reason = f"{name}: {_SAID.get(code, 'failed')} (AMD SMI error {code})"
    return NoReading(reason, _STATUS.get(code, "transient"))  # type: ignore[arg-type]


def _has_symbol(library: Any, name: str) -> bool:
    try:
        return hasattr(library, name)
    except Exception:  # noqa: BLE001 - newer wrappers put an object in its place that raises anything
        return False


def decoded(value: Any) -> str:
    """A C string's text, up to its first NUL and without blanks around it."""
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()


def named(value: Any, name: str) -> str | NoReading:
    """A C string that must not be empty or N/A; `name` is what the reason calls it, here and below."""
    text = decoded(value)
    return text if text and text != "N/A" else NoReading(f"the device reports no {name}", "unsupported")


# What an idle device may report as 0 for a while.
_SLEEPING = ("current_gfxclk", "current_uclk", "clock", "current_socket_power", "average_socket_power", "power")
# Firmware reports "none" as all ones of the field's width, and the library copies that into wider fields.
_ONES = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@functools.cache
def _none(name: str, value: Any) -> NoReading:
    if value == 0 and name in _SLEEPING:
        return NoReading(f"the device reported 0 for {name}, as sleeping devices do", "transient")
    return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")


def integer(value: int, name: str) -> int | NoReading:
    """A number that may be 0; all ones is none."""
    return _none(name, value) if value in _ONES else int(value)


def positive(value: int, name: str) -> int | NoReading:
    """A number that is at least 1 on any device: the library leaves 0 where it has not filled it in."""
    return _none(name, value) if value == 0 else integer(value, name)


def watts(value: int, name: str) -> float | NoReading:
    """Watts from watts; 0, and 0xFFFF or more, are none."""
    return _none(name, value) if value >= 0xFFFF or value == 0 else float(value)


def microwatts(value: int, name: str) -> float | NoReading:
    """Watts from microwatts; the library leaves 0 for a limit that it cannot read."""
    return _none(name, value) if value == 0 or value in _ONES else value * 1e-6


def joules(count: int, unit_j: float = ENERGY_UNIT_J) -> float | NoReading:
    """Joules from an accumulator's count of `unit_j`; 0 and 64 ones are none."""
    return _none("energy", count) if count in (0, *_ONES[2:]) else count * unit_j


def percent(value: int, name: str) -> float | NoReading:
    """Percent; more than 100 is none."""
    return _none(name, value) if value > 100 else float(value)


def celsius(value: int, name: str) -> float | NoReading:
    """Degrees Celsius below 200; newer tables report 0 for a sensor that does not exist."""
    return _none(name, value) if not 0 < value < 200 else float(value)


def hertz(megahertz: int, name: str) -> float | NoReading:
    """Hertz from megahertz; 0, and 0xFFFF or more, are none."""
    return _none(name, megahertz) if megahertz >= 0xFFFF or megahertz == 0 else megahertz * 1e6


def generation(megatransfers: int) -> int | NoReading:
    """PCIe generation from a lane's speed in MT/s; any other speed is none."""
    number = {2500: 1, 5000: 2, 8000: 3, 16000: 4, 32000: 5, 64000: 6}.get(int(megatransfers))
    return _none("PCIe speed", megatransfers) if number is None else number


@functools.cache
def throttle(mask: int) -> float:
    """The signal `throttle` from indep_throttle_status: a mask of `throttling.REASONS`."""
    active = (reason for first, last, reason in _THROTTLERS if mask >> first & ((1 << (last - first + 1)) - 1))
    return float(bits(*active))


def constant(absent: dict[str, NoReading]) -> Probe:
    """A probe that makes no call, for signals that will never have a value."""
    return Probe(tuple(absent), lambda: list(absent.values()))
