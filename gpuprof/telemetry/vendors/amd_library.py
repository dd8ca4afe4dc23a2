"""The C library of AMD SMI through the wrapper's own types: its calls, and the snapshot that a sample takes.

The Python package `amdsmi` is a wrapper that fits one ROCm release: its ctypes structures are those of that release's
C library. gpuprof calls the wrapper's C functions itself, into buffers with room to spare, and checks how much the
library wrote; a structure that does not fit is not used.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gpuprof.telemetry.device import Lost, NoReading, Probe
from gpuprof.telemetry.vendors.amd_numbers import SIGNALS, Trust, believed, none, throttle

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

ROOM = 1 << 16  # bytes of a buffer that the library fills: more than any of its structures
_PATIENCE = 3  # tries, so that a device that is busy at first is not given up
_DIE_CLOCKS = "current_gfxclks"  # MHz of each compute die, where there are several; behind all fields of SIGNALS
_CLOCK = "system_clock_counter"  # ns, stamped by the driver when it reads
_STALE_NS = 20_000_000  # the library keeps a snapshot for 1 ms, and the kernel for one tick of up to 10 ms
STALE = NoReading("the library gives the same snapshot again (its clock stands still)", "transient")
_CODES = {2: "H", 4: "I", 8: "Q"}  # bytes of an unsigned field -> its letter in a struct format


class Smi:
    """Calls of the C library through the wrapper's own types; an error is returned as a NoReading, not raised."""

    def __init__(self, wrapper: Any, origin: str) -> None:
        self._wrapper = wrapper
        self.origin = origin
        self.simulated = any(
            isinstance(library, ctypes.CDLL) and _has_symbol(library, "gpuprof_simulated_library")
            for library in wrapper._libraries.values()  # in ROCm 6.1 and 6.2 also a stub that has every symbol
        )
        self._misfits: dict[str, NoReading | None] = {}

    def constant(self, name: str) -> int | NoReading:
        """A constant of amdsmi.h by its name, which some lacked the prefix of in ROCm 6.0 and 6.1."""
        for each in (name, name.removeprefix("AMDSMI_")):
            if hasattr(self._wrapper, each):
                return int(getattr(self._wrapper, each))
        return NoReading(f"{self.origin} has no {name}", "unsupported")

    def call(self, name: str, *arguments: Any, patience: int = 1) -> NoReading | None:
        """None when it went well. A call that fails with a transient error is tried `patience` times in all.

        A NoReading among the arguments, for a constant that this release lacks, is the answer.
        """
        if (lacking := next((each for each in arguments if isinstance(each, NoReading)), None)) is not None:
            return lacking
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

    def snapshot(self, handle: Any, keys: Sequence[str], trust: Trust = Trust()) -> Probe | None:  # noqa: B008 - frozen
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
        has_dies = "core_clock_hz" in keys and any(clock != 0xFFFF for clock in getattr(metrics, _DIE_CLOCKS, ()))
        fields = sorted(_fields(kind, keys), key=lambda field: getattr(kind, field).offset)
        buffer = (ctypes.c_ubyte * ROOM)()
        pointer, unpack = ctypes.byref(kind.from_buffer(buffer)), _unpacker(kind, fields, has_dies)
        repeated = Repeated(_has_clock(getattr(metrics, _CLOCK, 0)))

        def fetch() -> tuple[int, ...] | NoReading:
            code = function(handle, pointer)
            return alive(failed(abs(code), name)) if code else repeated(unpack(buffer))

        def decode(numbers: tuple[int, ...]) -> Sequence[float | NoReading]:
            said = dict(zip(fields, numbers, strict=False))  # behind the fields are the dies' clocks
            values: list[float | NoReading] = []
            for key in keys:
                field, factor, least, most = SIGNALS[key]
                number = said[field]
                if not least < number < most:
                    values.append(none(field, number))
                elif key == "throttle":
                    power_w = next((said[each] for each in _POWERS if said.get(each, 0xFFFF) < 0xFFFF), None)
                    values.append(throttle(believed(number, trust, said.get("temperature_hotspot"), power_w)))
                else:
                    values.append(number * factor)
            # Of several dies, the clock is the mean of those that report one.
            if has_dies and (known := _clocks(numbers[len(fields) :])):
                values[list(keys).index("core_clock_hz")] = 1e6 * sum(known) / len(known)
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


_POWERS = ("current_socket_power", "average_socket_power")


def _fields(kind: Any, keys: Sequence[str]) -> set[str]:
    """Fields of gpu_metrics for these signals, and those which tell whether they can be believed."""
    others = {_CLOCK} | ({"temperature_hotspot", *_POWERS} if "throttle" in keys else set())
    return {SIGNALS[key][0] for key in keys} | {field for field in others if hasattr(kind, field)}


def _unpacker(kind: Any, fields: Sequence[str], has_dies: bool) -> Any:
    """A function that reads these fields, which are in the order of their offsets, out of a buffer."""
    layout, at = "<", 0
    for descriptor in (getattr(kind, field) for field in fields):
        gap, code = descriptor.offset - at, _CODES[descriptor.size]
        layout, at = f"{layout}{gap}x{code}", descriptor.offset + descriptor.size
    if has_dies:
        clocks = getattr(kind, _DIE_CLOCKS)
        layout = f"{layout}{clocks.offset - at}x{clocks.size // 2}H"
    return struct.Struct(layout).unpack_from


def _has_clock(stamp: int) -> bool:
    return 0 < stamp < 2**64 - 1


class Repeated:
    """Passes on what a device says; STALE from when it has said the very same for longer than any cache keeps it.

    It is what came with a clock of the driver's own, so that two readings are never equal. Seen on an MI210 with ROCm
    6.1.0 (rocm_smi_lib#180: one process gets the first snapshot for ever) and on MI100 (amdsmi#22).
    """

    def __init__(self, has_clock: bool = True) -> None:
        self._has_clock = has_clock
        self._last: tuple[int, ...] = ()
        self._since_ns = 0

    def __call__(self, said: tuple[int, ...]) -> tuple[int, ...] | NoReading:
        now_ns = time.monotonic_ns()
        if said != self._last:
            self._last, self._since_ns = said, now_ns
        elif self._has_clock and now_ns - self._since_ns > _STALE_NS:
            return STALE
        return said


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


def constant(absent: dict[str, NoReading]) -> Probe:
    """A probe that makes no call, for signals that will never have a value."""
    return Probe(tuple(absent), lambda: list(absent.values()))
