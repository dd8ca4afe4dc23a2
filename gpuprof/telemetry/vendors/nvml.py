"""NVML itself: its calls by name, its errors, and what its raw answers mean. Only this file imports pynvml.

pynvml is the module of nvidia-ml-py; never the PyPI package pynvml.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuprof.telemetry.device import Lost, NoReading, Probe
from gpuprof.throttling import bits

LIBRARY = "NVML"
SONAME = "libnvidia-ml.so.1"
INSTALL = (
    "install NVIDIA's driver; in a container, pass in the GPU (--gpus all, NVIDIA_DRIVER_CAPABILITIES with utility)"
)
_PERMIT = "let this user read and write /dev/nvidiactl and /dev/nvidia0, 1, ... (`ls -l /dev/nvidia*`)"
_RESTART = "restart the machine"
_LOOKS = 200  # at a counter, every 5 ms, for it to move
# nvml.h: what each error means for a retry; others are transient.
_STATUS = {
    3: "unsupported", 13: "unsupported", 25: "unsupported",
    9: "unsupported", 12: "unsupported",  # of nvmlInit: no driver
    4: "no_permission",
    15: "lost", 16: "lost",
}  # fmt: skip

_SAID = {
    3: "not supported by this device", 13: "not in this driver", 25: "different version in this driver",
    4: "no permission", 15: "the GPU is lost", 16: "the GPU needs a reset",
}  # fmt: skip

# nvml.h, nvmlClocksEventReason*
_REASONS = (
    (0x1, "idle"), (0x2, "clocks_setting"), (0x4, "power_cap"), (0x8, "hw_slowdown"), (0x10, "sync_boost"),
    (0x20, "thermal"), (0x40, "thermal"), (0x80, "power_brake"), (0x100, "clocks_setting"),
)  # fmt: skip

# nvml.h, NVML_FI_DEV_*: one call reads several fields, each with its own return code.
_ENERGY, _MEMORY_TEMPERATURE, _AVERAGE, POWER_INSTANT = 83, 82, 185, 186
_ONES = 2**32 - 1
# Signal -> field, its unit in SI, its name in reasons, and the value that means "none".
FIELDS = {
    "power_instant_w": (POWER_INSTANT, 1e-3, "power", _ONES),
    "power_average_w": (_AVERAGE, 1e-3, "power", _ONES),
    "energy_j": (_ENERGY, 1e-3, "energy", 2**64 - 1),
    "temperature_memory_c": (_MEMORY_TEMPERATURE, 1.0, "memory temperature", _ONES),
}
POWER = ("power_instant_w", "power_average_w")
_NEVER_ZERO = ("power", "energy", "memory temperature")  # while the GPU answers at all
# nvml.h, nvmlValueType_t: the member of a field's union.
_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}


def connect() -> tuple[Nvml | NoReading, str]:
    """NVML, initialised; or why it cannot be used, and what may help."""
    try:
        import pynvml
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises
        fault = NoReading(f"pynvml cannot be imported ({type(error).__name__}: {error})", "unsupported")
        return fault, "pip install nvidia-ml-py"
    if not hasattr(pynvml, "nvmlInitWithFlags"):
        fault = NoReading("the installed module pynvml is not NVIDIA's", "unsupported")
        return fault, "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"
    nvml = Nvml(pynvml)
    opened = nvml("nvmlInit")
    return _fault(nvml.code, opened) if isinstance(opened, NoReading) else (nvml, "")


def _fault(code: int, opened: NoReading) -> tuple[NoReading, str]:
    """What nvmlInit's error means here, and what may help."""
    if code == 12:  # pynvml's, for whatever kept the linker from loading it
        reason, fix = unloadable(SONAME)
    elif code == 9:
        reason, fix = not_loaded(Path("/"))
    elif code == 4:
        reason, fix = "no permission to talk to the NVIDIA driver", _PERMIT
    elif code == 18:
        reason = "the NVIDIA driver was updated: kernel module and library differ until the machine is restarted"
        fix = f"{_RESTART}; in a container, start it anew: it holds the library of the driver before"
    else:
        reason, fix = opened.reason, INSTALL
    return NoReading(reason, opened.status), fix


def unloadable(soname: str) -> tuple[str, str]:
    """(reason, fix) of a library that the linker does not load: not there, or there and without what it needs."""
    try:
        ctypes.CDLL(soname)
    except OSError as error:
        text = str(error)
        if text.startswith(f"{soname}: cannot open shared object file"):
            return f"{soname} was not found: no NVIDIA driver here", INSTALL
        needed = text.partition(": cannot open shared object file")[0]
        if needed != text:
            return f"{soname} is there, but not {needed}, which it needs", f"install what has {needed}, or {INSTALL}"
        return f"{soname} is there and cannot be loaded ({text})", f"replace it: {INSTALL}"
    return f"{soname} can be loaded, and was not a moment ago", "try again"


def not_loaded(root: Path) -> tuple[str, str]:
    """(reason, fix) where the library is there and finds no driver. Without its devices a container looks like that."""
    if (root / "sys/module/nvidia").exists() and not (root / "dev/nvidiactl").exists():
        reason = "the NVIDIA driver is loaded, but its device files are not here: a container without a GPU"
        return reason, "start the container with the GPU (--gpus all, or --device nvidia.com/gpu=all)"
    return "the NVIDIA driver is not loaded", INSTALL


def none_usable(refusals: Sequence[NoReading]) -> tuple[NoReading, str]:
    """(fault, fix) of a machine none of whose GPUs can be opened; `refusals` has one for each of them."""
    if not refusals:
        return NoReading("NVML lists no GPU", "unsupported"), INSTALL
    first = refusals[0]
    fix = {"lost": f"{_RESTART}; `sudo dmesg` says why (Xid)", "no_permission": _PERMIT}.get(first.status, INSTALL)
    return NoReading(f"NVML can open none of {len(refusals)} GPUs: {first.reason}", first.status), fix


class Nvml:
    """Calls by name; an error is returned as a NoReading, since nearly every call fails on some device."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.code = 0  # of the newest error

    @property
    def simulated(self) -> bool:
        """Whether the library is the tests' own."""
        return hasattr(self.module.nvmlLib, "gpuprof_simulated_library")

    def __call__(self, name: str, *arguments: Any) -> Any:
        function = getattr(self.module, name, None)
        if function is None:
            return NoReading(f"this version of nvidia-ml-py has no {name}", "unsupported")
        try:
            return function(*arguments)
        except self.module.NVMLError as error:
            self.code = error.value
            return absent(self.code, name, str(error))
        except (UnicodeDecodeError, ValueError) as error:
            return NoReading(f"{name}: {error}", "transient")


@functools.cache
def absent(code: int, name: str, text: str = "") -> NoReading:
    """The reading of a call that returned this error; `text` is NVML's own, for codes that are not known here."""
    status = _STATUS.get(code, "transient")
    return NoReading(f"{name}: {_SAID.get(code, text or 'failed')} (NVML error {code})", status)  # type: ignore[arg-type]


class Handle:
    """One GPU's calls. `ask` returns errors as a NoReading; all others raise Lost where the GPU is."""

    def __init__(self, nvml: Nvml, handle: Any) -> None:
        self.nvml = nvml
        self._handle = handle

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of pynvml's function of this name, or why there is none; of a lost GPU too."""
        return self.nvml(name, self._handle, *arguments)

    def need(self, name: str, *arguments: Any) -> Any:
        """The same; raises Lost."""
        return alive(self.ask(name, *arguments))

    def raw(self, names: tuple[str, ...], out: Any, *before: Any) -> Callable[[], bytes | NoReading]:
        """A `fetch` that calls the first of these C functions that the driver has, and returns the bytes of `out`.

        `before` are the arguments between handle and `out`.
        """
        function = name = None
        for name in names:
            try:
                function = getattr(self.nvml.module.nvmlLib, name)
                break
            except AttributeError:
                continue
        if function is None:
            missing = absent(13, names[0])
            return lambda: missing
        arguments = (self._handle, *before, ctypes.byref(out))

        def fetch() -> bytes | NoReading:
            code = function(*arguments)
            return alive(absent(code, str(name))) if code else bytes(out)

        return fetch

    def field_probe(self, keys: Sequence[str], scopes: Mapping[str, int], every: int = 1) -> tuple[Probe, Any]:
        """A probe of these fields with one call into an array that is filled anew each time, and the array."""
        kind = self.nvml.module.c_nvmlFieldValue_t * len(keys)
        fields = kind()
        for item, key in zip(fields, keys, strict=True):
            item.fieldId, item.scopeId = FIELDS[key][0], scopes[key]
        specs = [FIELDS[key][1:] for key in keys]

        def decode(raw: bytes) -> Sequence[float | NoReading]:
            items = kind.from_buffer_copy(raw)
            return [
                scaled(self._field(item), factor, name, limit)
                for item, (factor, name, limit) in zip(items, specs, strict=True)
            ]

        return Probe(tuple(keys), self.raw(("nvmlDeviceGetFieldValues",), fields, len(keys)), every, decode), fields

    def fields(self, *pairs: tuple[int, int]) -> list[float | NoReading]:
        """The values of these (field, scope) pairs. The call may succeed while a field has an error of its own."""
        values = self.ask("nvmlDeviceGetFieldValues", list(pairs))
        if isinstance(values, NoReading):
            return [alive(values)] * len(pairs)
        return [self._field(value) for value in values]

    def _field(self, item: Any) -> float | NoReading:
        """The member of the union that `valueType` names (nvml.h, nvmlValueType_t)."""
        if item.nvmlReturn:
            return alive(absent(item.nvmlReturn, f"field {item.fieldId}"))
        member = _MEMBERS.get(item.valueType)
        if member is None:
            return NoReading(f"field {item.fieldId} has unknown type {item.valueType}", "unsupported")
        return getattr(item.value, member)


def empty(item: Any) -> bool:
    """Whether a field's value may be none: its error, 0 or all ones. Made for a call that must be short."""
    return item.nvmlReturn or item.value.uiVal in (0, _ONES)


def alive(value: Any) -> Any:
    """The value or NoReading itself. Raises Lost for that of a lost GPU."""
    if isinstance(value, NoReading) and value.status == "lost":
        raise Lost(value.reason)
    return value


def counted_w(
    read_j: Callable[[], float | NoReading], clock: Callable[[], int], wait: Callable[[float], None]
) -> float | NoReading:
    """What an energy counter says is drawn now, between two of its moves that are a quarter of a second apart.

    `wait` takes seconds, `clock` counts nanoseconds. Raises Lost.
    """
    first = moved = last = None
    for _ in range(_LOOKS):
        joules, now = read_j(), clock()
        if isinstance(joules, NoReading):
            return joules
        if last is not None and joules != last:
            moved = now, joules
            first = first or moved
            if moved[0] - first[0] > 0.25e9:
                return (moved[1] - first[1]) / ((moved[0] - first[0]) / 1e9)
        last = joules
        wait(0.005)
    return NoReading("the energy counter did not move", "transient")


def integer(raw: bytes) -> int:
    """A C number of any size."""
    return int.from_bytes(raw, sys.byteorder)


def clock(raw: bytes) -> Sequence[float | NoReading]:
    """A clock in Hz from nvmlDeviceGetClockInfo's number, as a probe decodes it."""
    return (scaled(integer(raw), 1e6, "clock"),)


def shares(kind: Any, raw: bytes) -> Sequence[float | NoReading]:
    """(GPU, memory) utilisation in percent; `kind` is the struct of nvmlDeviceGetUtilizationRates."""
    rates = kind.from_buffer_copy(raw)
    return percent(rates.gpu, "GPU utilisation"), percent(rates.memory, "memory utilisation")


def reasons(raw: bytes) -> Sequence[float | NoReading]:
    """The signal `throttle` from the driver's bits, as a probe decodes it."""
    return (unified(integer(raw)),)


@functools.cache
def unified(mask: int) -> float:
    """NVML's bits as a mask of `throttling.REASONS`, as the signal `throttle` has it."""
    known = bits(*(name for bit, name in _REASONS if mask & bit))
    return float(known | (bits("other") if mask & ~sum(bit for bit, _ in _REASONS) else 0))


def scaled(value: Any, factor: float, name: str, limit: float = _ONES) -> Any:
    """The value times `factor`; from `limit` on, or below 0, it is none. `name` is what the reason calls it."""
    if isinstance(value, NoReading):
        return value
    if value == 0 and name in _NEVER_ZERO:  # some drivers report 0 when asked again too soon
        return NoReading(f"the device reported 0 for {name}", "transient")
    # Firmware reports "none" as all ones; no device draws 4.3 MW or runs at 4.3 PHz.
    if value >= limit or value < 0:
        return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")
    return float(value * factor)


def fan(value: Any) -> Any:
    """An H200 has no fan and calls fan 0 an invalid argument, which elsewhere counts as transient: there is no fan."""
    if isinstance(value, NoReading) and value.reason.endswith("(NVML error 2)"):
        return NoReading(f"NVML knows no fan on this device: {value.reason}", "unsupported")
    return value


def counted(value: Any, name: str) -> Any:
    """A number that may be 0; all ones is none."""
    if isinstance(value, NoReading) or value not in (_ONES, 2**64 - 1):
        return value if isinstance(value, NoReading) else int(value)
    return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")


def named(value: Any, name: str) -> Any:
    """A text that is not empty and does not say that there is none."""
    if isinstance(value, NoReading) or value not in ("", "N/A"):
        return value
    return NoReading(f"the device reports no {name}", "unsupported")


def state(value: int) -> str | NoReading:
    """A performance state as NVIDIA writes it, P0 being the fastest."""
    # nvml.h: NVML_PSTATE_15 is the last, 32 is NVML_PSTATE_UNKNOWN.
    return f"P{value}" if value < 16 else NoReading(f"the device reports no state (sentinel {value})", "unsupported")


def celsius(value: int) -> float | NoReading:
    """A core temperature that a running GPU can have."""
    return (
        float(value)
        if 0 < value < 200
        else NoReading(f"the device reports no core temperature (sentinel {value})", "unsupported")
    )


def percent(value: int, name: str) -> float | NoReading:
    """A share of time in percent."""
    return (
        float(value) if value <= 100 else NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")
    )


def process(process: Any) -> dict[str, Any]:
    """An entry of the list of compute processes; in a container and on Windows their memory is not told."""
    used = process.usedGpuMemory
    return {"pid": int(process.pid), "memory_bytes": None if used is None else int(used)}
