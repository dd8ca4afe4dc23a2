"""AMD through AMD SMI. The only room that knows amdsmi.

The Python package `amdsmi` is a wrapper that fits one ROCm release: its ctypes structures are those of that release's
C library. gpuprof calls the wrapper's C functions itself, into buffers with room to spare, and looks how much the
library really wrote; a structure that does not fit is not believed.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpuprof.telemetry.device import LASTING, Absent, Backend, Device, Lost, Power, Probe, ThrottleCounters
from gpuprof.telemetry.quantities import bits

VENDOR = "amd"
LIBRARY = "AMD SMI"
INSTALL = (
    "install ROCm (libamd_smi.so and its Python package amdsmi); pip's amdsmi only fits the ROCm of its own version"
)

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
_ROOM = 1 << 16
# No lock in /dev/shm shared with other processes, where one that died would block us. Read when the library starts.
_MUTEX = "RSMI_MUTEX_THREAD_ONLY"
_PATIENCE = 3  # a device that is busy when it is first looked at is not judged by that
_HOTSPOT, _EDGE, _VRAM = (
    "AMDSMI_TEMPERATURE_TYPE_HOTSPOT",
    "AMDSMI_TEMPERATURE_TYPE_EDGE",
    "AMDSMI_TEMPERATURE_TYPE_VRAM",
)

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
_SIGNALS = {
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
_PACKAGE = ("power_instant_w", "power_average_w", "energy_j")
_DIES = "current_gfxclks"  # of each compute die, where there are several
_RESIDENCIES = (
    ("ppt_residency_acc", "power_cap"), ("socket_thm_residency_acc", "thermal"), ("vr_thm_residency_acc", "thermal"),
    ("hbm_thm_residency_acc", "thermal"), ("prochot_residency_acc", "hw_slowdown"),
)  # fmt: skip


def open_backend() -> Backend:
    """Open AMD SMI and list its GPUs; what went wrong is in `fault`, with the fix."""
    before = os.environ.get(_MUTEX)
    os.environ.setdefault(_MUTEX, "1")
    try:
        return _open()
    finally:
        if before is None:  # it is none of the business of the programs that we start
            del os.environ[_MUTEX]


def _open() -> Backend:
    wrapper, origin, faults = _import()
    if wrapper is None:
        return Backend(VENDOR, LIBRARY, fault=Absent("unsupported", "; ".join(faults)), fix=INSTALL)
    smi = _Smi(wrapper, origin)
    gpus = 2  # AMDSMI_INIT_AMD_GPUS
    opened = smi.call("amdsmi_init", gpus)
    if isinstance(opened, Absent):
        return Backend(VENDOR, LIBRARY, version=origin, fault=opened, fix=INSTALL)
    handles = list(smi.handles())
    groups = _Sockets(smi, handles)
    devices = tuple(AmdDevice(smi, handle, index, groups) for index, handle in enumerate(handles))
    fault = None if devices else Absent("unsupported", "AMD SMI lists no GPU")
    return Backend(VENDOR, LIBRARY, devices, f"library {smi.version()}, {origin}", fault, "" if devices else INSTALL)


def _candidates() -> Iterator[tuple[Path | None, str]]:
    """Where amdsmi may lie; ROCm's own before whatever pip installed, since only that one surely fits."""
    roots = [Path(os.environ[name]) for name in ("ROCM_HOME", "ROCM_PATH") if os.environ.get(name)]
    sdk = Path(sysconfig.get_paths()["purelib"]) / "_rocm_sdk_core"
    for root in (*roots, sdk, Path("/opt/rocm"), *sorted(Path("/opt/rocm").glob("core-*"), reverse=True)):
        place = root / "share" / "amd_smi"
        if (place / "amdsmi" / "__init__.py").is_file():
            yield place, f"amdsmi of {root}"
    yield None, "amdsmi of this Python"


def _import() -> tuple[Any, str, list[str]]:
    """The module amdsmi_wrapper, where it came from, and what was wrong with the candidates before it."""
    faults: list[str] = []
    for place, origin in _candidates():
        before = list(sys.path)
        if place is not None:
            sys.path.insert(0, str(place))
        try:
            return importlib.import_module("amdsmi.amdsmi_wrapper"), origin, faults
        # An amdsmi without its library raises KeyError, one of another release AttributeError.
        except Exception as error:  # noqa: BLE001
            faults.append(f"{origin}: {_import_fault(error)}")
            for name in [name for name in sys.modules if name == "amdsmi" or name.startswith("amdsmi.")]:
                del sys.modules[name]
        finally:
            sys.path[:] = before
    return None, "", faults


def _import_fault(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "amdsmi":
        return "not installed"
    if isinstance(error, (KeyError, OSError)):
        return "libamd_smi.so was not found"
    if isinstance(error, AttributeError):
        return f"it does not fit the installed libamd_smi.so ({error})"
    return f"{type(error).__name__}: {error}"


class _Smi:
    """Calls of the C library through the wrapper's own types; an error is a value."""

    def __init__(self, wrapper: Any, origin: str) -> None:
        self._wrapper = wrapper
        self.origin = origin
        self.simulated = any(
            _has_symbol(library, "gpuprof_simulated_library") for library in wrapper._libraries.values()
        )
        self._fits: dict[str, str] = {}

    def constant(self, name: str) -> int:
        return int(getattr(self._wrapper, name))

    def call(self, name: str, *arguments: Any, patience: int = 1) -> Absent | None:
        """None when it went well. `patience` is how often it is tried while it says that it may work the next time."""
        function = getattr(self._wrapper, name, None)
        if function is None:
            return Absent("unsupported", f"{self.origin} has no {name}")
        try:
            for _ in range(patience):
                code = abs(function(*arguments))
                if code == 0 or _failed(code, name).status != "transient":
                    break
        except (OSError, AttributeError, ctypes.ArgumentError, TypeError) as error:  # found missing at its first call
            return Absent("unsupported", f"{name}: {error}")
        return None if code == 0 else _failed(code, name)

    def struct(
        self, name: str, type_name: str, handle: Any, *before: Any, whole: bool = False, patience: int = 1
    ) -> Any:
        """The structure that a function fills, or why it cannot be had or believed.

        `whole` says that the library always writes all of it, so that writing less is as telling as writing more.
        """
        kind = getattr(self._wrapper, type_name, None)
        if kind is None:
            return Absent("unsupported", f"{self.origin} does not know {type_name}")
        if name not in self._fits:
            fit = self._fit(name, kind, handle, before, whole)
            if isinstance(fit, Absent):  # nothing is known of the layout; the next call may tell
                return fit
            self._fits[name] = fit
        if self._fits[name]:
            return Absent("unsupported", self._fits[name])
        buffer = (ctypes.c_ubyte * _ROOM)()
        found = kind.from_buffer(buffer)
        return self.call(name, handle, *before, ctypes.byref(found), patience=patience) or found

    def snapshot(self, handle: Any, keys: Sequence[str]) -> Probe | None:
        """These signals from one call of gpu_metrics; None where wrapper and library do not agree about it.

        It is made ten times a second beside a measurement: one buffer, one unpacking instead of a look at each field.
        """
        name = "amdsmi_get_gpu_metrics_info"
        kind, function = getattr(self._wrapper, "amdsmi_gpu_metrics_t", None), getattr(self._wrapper, name, None)
        if kind is None or function is None or not all(hasattr(kind, _SIGNALS[key][0]) for key in keys):
            return None
        if isinstance(
            first := self.struct(name, "amdsmi_gpu_metrics_t", handle, whole=True, patience=_PATIENCE), Absent
        ):
            return None
        keys = sorted(keys, key=lambda key: getattr(kind, _SIGNALS[key][0]).offset)
        fields = [(getattr(kind, _SIGNALS[key][0]), {2: "H", 4: "I", 8: "Q"}) for key in keys]
        dies = "core_clock_hz" in keys and any(clock != 0xFFFF for clock in getattr(first, _DIES, ()))
        layout, at = "<", 0
        for field, codes in fields:
            layout, at = f"{layout}{field.offset - at}x{codes[field.size]}", field.offset + field.size
        if dies:
            clocks = getattr(kind, _DIES)
            layout = f"{layout}{clocks.offset - at}x{clocks.size // 2}H"
        buffer = (ctypes.c_ubyte * _ROOM)()
        pointer, unpack = ctypes.byref(kind.from_buffer(buffer)), struct.Struct(layout).unpack_from
        rows = [_SIGNALS[key] for key in keys]
        mask_at = keys.index("throttle") if "throttle" in keys else None
        core_at = keys.index("core_clock_hz") if dies else None

        def call() -> Sequence[float | Absent]:
            code = function(handle, pointer)
            if code:
                return (alive(_failed(abs(code), name)),) * len(rows)
            found = unpack(buffer)
            values: list[float | Absent] = []
            for raw, (field, factor, least, most) in zip(found, rows, strict=False):
                values.append(raw * factor if least < raw < most else _none(field, raw))
            if mask_at is not None and found[mask_at] < 2**64 - 1:
                values[mask_at] = _throttle(found[mask_at])
            if core_at is not None and (known := _clocks(found[len(rows) :])):
                values[core_at] = 1e6 * sum(known) / len(known)
            return values

        return Probe(tuple(keys), call)

    def _fit(self, name: str, kind: Any, handle: Any, before: tuple[Any, ...], whole: bool) -> str | Absent:
        """Empty when the library writes as much as the wrapper's structure holds; else what is wrong."""
        size, written = ctypes.sizeof(kind), 0
        for pattern in (0xA5, 0x5A):  # a byte that happens to equal one pattern differs from the other
            buffer = (ctypes.c_ubyte * _ROOM)()
            ctypes.memset(buffer, pattern, _ROOM)
            failed = self.call(name, handle, *before, ctypes.byref(kind.from_buffer(buffer)), patience=_PATIENCE)
            if failed is not None:
                return failed
            raw = bytes(buffer).rstrip(bytes([pattern]))
            written = max(written, len(raw))
        if written > size or (whole and written < size):
            return (
                f"{name}: libamd_smi {self.version()} writes {written} bytes where {self.origin} has {size}: they are "
                "of different releases; use the amdsmi that came with the installed ROCm"
            )
        return ""

    def number(self, name: str, handle: Any, *before: Any, kind: Any = ctypes.c_uint64) -> int | Absent:
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
        buffer = (ctypes.c_ubyte * _ROOM)()
        found = self._wrapper.amdsmi_version_t.from_buffer(buffer)
        failed = self.call("amdsmi_get_lib_version", ctypes.byref(found))
        return "of unknown version" if failed else f"{found.major}.{found.minor}.{found.release}"


def _clocks(each: Sequence[int]) -> list[int]:
    """MHz of the compute dies that report one."""
    return [clock for clock in each if 0 < clock < 0xFFFF]


def alive(value: Any) -> Any:
    """Raises Lost where the device is gone."""
    if isinstance(value, Absent) and value.status == "lost":
        raise Lost(value.reason)
    return value


def _failed(code: int, name: str) -> Absent:
    said = f"{name}: {_SAID.get(code, 'failed')} (AMD SMI error {code})"
    return Absent(_STATUS.get(code, "transient"), said)  # type: ignore[arg-type]


def _has_symbol(library: Any, name: str) -> bool:
    try:
        return hasattr(library, name)
    except Exception:  # noqa: BLE001 - newer wrappers put something in its place that raises what it likes
        return False


class _Sockets:
    """Which devices are parts of one package: only one of them reports the package's power and energy."""

    def __init__(self, smi: _Smi, handles: list[Any]) -> None:
        self.members: list[list[int]] = []
        self._reports = [self._power_reported(smi, handle) for handle in handles]
        keys: list[set[Any]] = []
        for index, handle in enumerate(handles):
            own = self._keys(smi, handle)
            place = next((i for i, key in enumerate(keys) if key & own), None)
            if place is None:
                keys.append(own)
                self.members.append([index])
            else:
                keys[place] |= own
                self.members[place].append(index)
        self.handles = handles

    def of(self, index: int) -> list[int]:
        return next(group for group in self.members if index in group)

    def reporter(self, index: int) -> int | None:
        """The device that reports for the whole package; None where none does.

        Up to ROCm 6.4.0 every partition does: then it is the first.
        """
        if len(self.of(index)) == 1:
            return index
        return next((member for member in self.of(index) if self._reports[member]), None)

    @staticmethod
    def _keys(smi: _Smi, handle: Any) -> set[Any]:
        """Names of the package: partitions share an address but for its function, the dies of an MI250 a serial."""
        keys: set[Any] = {("self", id(handle))}
        address = _address(smi, handle)
        if not isinstance(address, Absent):
            keys.add(("pci", *address[:3]))
        asic = smi.struct("amdsmi_get_gpu_asic_info", "amdsmi_asic_info_t", handle)
        board = smi.struct("amdsmi_get_gpu_board_info", "amdsmi_board_info_t", handle)
        if not isinstance(asic, Absent) and "MI2" in _text(asic.market_name):
            serial = _map(board, lambda b: _named(b.product_serial, "product serial"))
            if not isinstance(serial, Absent):
                keys.add(("board", serial))
        return keys

    @staticmethod
    def _power_reported(smi: _Smi, handle: Any) -> bool:
        info = smi.struct("amdsmi_get_power_info", "amdsmi_power_info_t", handle)
        if isinstance(info, Absent):
            return False
        return any(_watts(value, "") for value in (info.current_socket_power, info.average_socket_power)
                   if not isinstance(_watts(value, ""), Absent))  # fmt: skip


class AmdDevice(Device):
    def __init__(self, smi: _Smi, handle: Any, index: int, sockets: _Sockets) -> None:
        self._smi = smi
        self._handle = handle
        self._sockets = sockets
        # One device tells the power of its package: told by each of its partitions, it would be summed eight times.
        self._reporter = sockets.reporter(index)
        self._power_handle = handle if self._reporter in (index, None) else None
        address = _address(smi, handle)
        enumeration = smi.struct("amdsmi_get_gpu_enumeration_info", "amdsmi_enumeration_info_t", handle)
        hip = "" if isinstance(enumeration, Absent) else _text(enumeration.hip_uuid)
        hip_id = None if isinstance(enumeration, Absent) else int(enumeration.hip_id)
        own = self._uuid()
        names = {name.removeprefix("GPU-").lower() for name in (hip, "" if isinstance(own, Absent) else own)}
        shared = len(sockets.of(index))
        scope = "socket" if shared == 1 else f"socket, shared by {shared} devices"
        super().__init__(
            VENDOR, index, "gpu", LIBRARY, smi.simulated,
            power=Power(scope, shared, gain_source="nobody has published a comparison with an external meter"),
            uuids=frozenset(name for name in names if name and "xx" not in name),
            pci=None if isinstance(address, Absent) else address,
            framework_index=None if hip_id is None or hip_id >= 0xFFFF else hip_id,
        )  # fmt: skip

    def attributed(self) -> AmdDevice:
        if self._reporter in (self.index, None):
            return self
        other = AmdDevice(self._smi, self._handle, self.index, self._sockets)
        other._power_handle = self._sockets.handles[self._reporter]
        return other

    def _elsewhere(self) -> Absent:
        return Absent("unsupported", f"{VENDOR}:{self._reporter} reports power and energy for the whole package")

    def _struct(self, name: str, type_name: str, *before: Any) -> Any:
        return self._smi.struct(name, type_name, self._handle, *before)

    def _metrics(self, handle: Any) -> Any:
        """The snapshot of everything that changes, in one call of a few microseconds."""
        return self._smi.struct("amdsmi_get_gpu_metrics_info", "amdsmi_gpu_metrics_t", handle, whole=True)

    def _uuid(self) -> str | Absent:
        text, length = ctypes.create_string_buffer(256), ctypes.c_uint32(38)
        failed = self._smi.call("amdsmi_get_gpu_device_uuid", self._handle, ctypes.byref(length), text)
        return failed or _named(text.value, "UUID")

    def read_identity(self) -> dict[str, Any]:
        asic = self._struct("amdsmi_get_gpu_asic_info", "amdsmi_asic_info_t")
        board = self._struct("amdsmi_get_gpu_board_info", "amdsmi_board_info_t")
        driver = self._struct("amdsmi_get_gpu_driver_info", "amdsmi_driver_info_t")
        vbios = self._struct("amdsmi_get_gpu_vbios_info", "amdsmi_vbios_info_t")
        name = _map(asic, lambda a: _named(a.market_name, "market name"))
        if isinstance(name, Absent):
            name = _map(board, lambda b: _named(b.product_name, "product name"))
        serial = _map(board, lambda b: _named(b.product_serial, "product serial"))
        if isinstance(serial, Absent):
            serial = _map(asic, lambda a: _named(a.asic_serial, "serial"))
        graphics = _map(asic, lambda a: _positive(getattr(a, "target_graphics_version", 0), "graphics version"))
        return {
            "name": name,
            "uuid": self._uuid(),
            "pci_bus_id": _address(self._smi, self._handle) if self.pci is None else _bus_id(self.pci),
            "serial": serial,
            "architecture": _map(graphics, lambda g: f"gfx{g:x}"),
            "driver_version": _map(driver, lambda d: _named(d.driver_version, "driver version")),
            "library_version": self._smi.version(),
            "vbios_version": _map(vbios, lambda v: _named(v.version, "VBIOS version")),
            "partition": self._partition(),
        }

    def _partition(self) -> str | Absent:
        text = ctypes.create_string_buffer(256)
        failed = self._smi.call("amdsmi_get_gpu_compute_partition", self._handle, text, ctypes.c_uint32(256))
        if failed:
            return failed
        kfd = self._struct("amdsmi_get_gpu_kfd_info", "amdsmi_kfd_info_t")
        number = _map(kfd, lambda k: _integer(getattr(k, "current_partition_id", 0xFFFFFFFF), "partition number"))
        mode = _named(text.value, "partition")
        if isinstance(mode, Absent) or isinstance(number, Absent) or mode == "SPX":
            return mode
        return f"{mode} {number}"

    def read_facts(self) -> dict[str, Any]:
        vram = self._smi.constant("AMDSMI_MEM_TYPE_VRAM")
        cap = self._struct("amdsmi_get_power_cap_info", "amdsmi_power_cap_info_t", ctypes.c_uint32(0))
        graphics, memory = (
            self._struct("amdsmi_get_clock_info", "amdsmi_clk_info_t", self._smi.constant(f"AMDSMI_CLK_TYPE_{name}"))
            for name in ("GFX", "MEM")
        )
        pcie = self._struct("amdsmi_get_pcie_info", "amdsmi_pcie_info_t")
        errors = self._struct("amdsmi_get_gpu_total_ecc_count", "amdsmi_error_count_t")
        blocks = self._smi.number("amdsmi_get_gpu_ecc_enabled", self._handle)
        level = self._smi.number("amdsmi_get_gpu_perf_level", self._handle, kind=ctypes.c_uint32)
        return {
            "memory_total_bytes": _map(
                self._smi.number("amdsmi_get_gpu_memory_total", self._handle, vram), lambda n: _positive(n, "memory")
            ),
            "memory_used_bytes": _map(
                self._smi.number("amdsmi_get_gpu_memory_usage", self._handle, vram), lambda n: _integer(n, "memory")
            ),
            "power_limit_w": _map(cap, lambda c: _microwatts(c.power_cap, "power limit")),
            "power_limit_default_w": _map(cap, lambda c: _microwatts(c.default_power_cap, "default power limit")),
            "power_limit_min_w": _map(cap, lambda c: _microwatts(c.min_power_cap, "lowest power limit")),
            "power_limit_max_w": _map(cap, lambda c: _microwatts(c.max_power_cap, "highest power limit")),
            "core_clock_max_hz": _map(graphics, lambda g: _hertz(g.max_clk, "highest core clock")),
            "memory_clock_max_hz": _map(memory, lambda m: _hertz(m.max_clk, "highest memory clock")),
            "fan_pct": self._fan(),
            "pcie_generation": _map(pcie, lambda p: _generation(p.pcie_metric.pcie_speed)),
            "pcie_generation_max": _map(pcie, lambda p: _generation(p.pcie_static.max_pcie_speed)),
            "pcie_width": _map(pcie, lambda p: _positive(p.pcie_metric.pcie_width, "PCIe width")),
            "pcie_width_max": _map(pcie, lambda p: _positive(p.pcie_static.max_pcie_width, "largest PCIe width")),
            "ecc_enabled": _map(blocks, lambda b: _map(_integer(b, "ECC state"), lambda found: found != 0)),
            "ecc_corrected": _map(errors, lambda e: _integer(e.correctable_count, "error count")),
            "ecc_uncorrected": _map(errors, lambda e: _integer(e.uncorrectable_count, "error count")),
            "performance_state": _map(level, self._level),
            "processes": self._processes(),
        }

    def _level(self, value: int) -> str | Absent:
        names = getattr(self._smi._wrapper, "amdsmi_dev_perf_level_t__enumvalues", {})
        name = "auto" if value == 0 else names.get(value)  # the wrapper's table has FIRST, another name of 0
        if name is None or name.endswith("UNKNOWN"):
            return Absent("unsupported", f"the device reports no performance level ({value})")
        return str(name).removeprefix("AMDSMI_DEV_PERF_LEVEL_").lower()

    def _fan(self) -> float | Absent:
        speed = self._smi.number("amdsmi_get_gpu_fan_speed", self._handle, 0, kind=ctypes.c_int64)
        most = self._smi.number("amdsmi_get_gpu_fan_speed_max", self._handle, 0)
        if isinstance(speed, Absent):
            return speed
        if isinstance(most, Absent):
            return most
        if not 0 <= speed <= most < 0xFFFF or most == 0:
            return Absent("unsupported", f"the device reports no fan (speed {speed} of {most})")
        return 100.0 * speed / most

    def _processes(self) -> Any:
        kind = getattr(self._smi._wrapper, "amdsmi_proc_info_t", None)
        if kind is None:
            return Absent("unsupported", f"{self._smi.origin} has no process list")
        most = 256
        # Twice the room: where the library's structure is larger than the wrapper's it must not write beyond.
        size = ctypes.sizeof(kind)
        buffer = (ctypes.c_ubyte * (2 * most * size))()
        count, first = ctypes.c_uint32(most), kind.from_buffer(buffer)
        failed = self._smi.call("amdsmi_get_gpu_process_list", self._handle, ctypes.byref(count), ctypes.byref(first))
        if failed:
            return failed
        if len(bytes(buffer).rstrip(b"\0")) > count.value * size:
            return Absent("unsupported", f"the process list of libamd_smi is not laid out as in {self._smi.origin}")
        listed = (kind * most).from_buffer(buffer)
        return [
            {"pid": int(entry.pid), "memory_bytes": int(entry.memory_usage.vram_mem)}
            for entry in listed[: min(count.value, most)]
        ]

    def probes(self) -> list[Probe]:
        handles = {key: self._power_handle if key in _PACKAGE else self._handle for key in _SIGNALS}
        probes = []
        for handle in (self._power_handle, self._handle):
            if handle is None or not (keys := [key for key, own in handles.items() if own is handle]):
                continue
            probe = self._smi.snapshot(handle, keys)
            if probe is None:
                return self._call_by_call()
            # What it does not have now it will not have: the loop is spared it.
            gone = {
                k: v
                for k, v in zip(probe.keys, probe.call(), strict=True)
                if isinstance(v, Absent) and v.status in LASTING
            }
            probes += [self._smi.snapshot(handle, [key for key in keys if key not in gone]), _constant(gone)]
            handles = {key: own for key, own in handles.items() if own is not handle}
        if self._power_handle is None:
            probes.append(_constant(dict.fromkeys(_PACKAGE, self._elsewhere())))
        return [probe for probe in probes if probe is not None and probe.keys]

    def _call_by_call(self) -> list[Probe]:
        """Where wrapper and library disagree about the snapshot: numbers, which have no layout, small structures."""
        celsius = {
            "temperature_core_c": (_EDGE, "edge temperature"),
            "temperature_hotspot_c": (_HOTSPOT, "hotspot temperature"),
            "temperature_memory_c": (_VRAM, "memory temperature"),
        }

        def one(key: str, ask: Callable[[], float | Absent]) -> Probe:
            return Probe((key,), lambda: (ask(),))

        return [
            Probe(("power_instant_w", "power_average_w"), self._power_info),
            one("energy_j", self.energy_j),
            Probe(("gpu_utilization_pct", "memory_utilization_pct"), self._activity),
            *(one(key, lambda s=sensor, w=what: self._temperature(s, w)) for key, (sensor, what) in celsius.items()),  # type: ignore[misc]
            one("core_clock_hz", lambda: self._clock("GFX")),
            one("memory_clock_hz", lambda: self._clock("MEM")),
        ]

    def _power_info(self) -> Sequence[float | Absent]:
        if self._power_handle is None:
            return (self._elsewhere(),) * 2
        info = alive(self._smi.struct("amdsmi_get_power_info", "amdsmi_power_info_t", self._power_handle))
        if isinstance(info, Absent):
            return (info, info)
        return (
            _watts(info.current_socket_power, "power"),
            _watts(info.average_socket_power, "power"),
        )

    def energy_j(self) -> float | Absent:
        if self._power_handle is None:
            return self._elsewhere()
        count, resolution, stamp = ctypes.c_uint64(), ctypes.c_float(), ctypes.c_uint64()
        outputs = (ctypes.byref(count), ctypes.byref(resolution), ctypes.byref(stamp))
        failed = self._smi.call("amdsmi_get_energy_count", self._power_handle, *outputs)
        if failed:
            return alive(failed)
        # A unit far from 2^-16 J is another table's, and then the library knows better than this file.
        microjoules = resolution.value
        known = 15.2 <= microjoules <= 15.35
        return _joules(count.value, ENERGY_UNIT_J if known or microjoules <= 0 else microjoules * 1e-6)

    def _activity(self) -> Sequence[float | Absent]:
        usage = alive(self._struct("amdsmi_get_gpu_activity", "amdsmi_engine_usage_t"))
        if isinstance(usage, Absent):
            return (usage, usage)
        return _percent(usage.gfx_activity, "GPU utilisation"), _percent(usage.umc_activity, "memory utilisation")

    def _temperature(self, sensor: str, what: str) -> float | Absent:
        # The library answers in degrees, whatever the kernel below it uses.
        value = self._smi.number(
            "amdsmi_get_temp_metric", self._handle, self._smi.constant(sensor), 0, kind=ctypes.c_int64
        )
        return _map(alive(value), lambda degrees: _celsius(degrees, what))

    def _clock(self, name: str) -> float | Absent:
        kind = self._smi.constant(f"AMDSMI_CLK_TYPE_{name}")
        info = alive(self._struct("amdsmi_get_clock_info", "amdsmi_clk_info_t", kind))
        return _map(info, lambda i: _hertz(getattr(i, "clk", getattr(i, "cur_clk", 0)), "clock"))

    def throttle_counters(self) -> ThrottleCounters | Absent:
        gm = alive(self._metrics(self._handle))
        if isinstance(gm, Absent):
            return gm
        base = getattr(gm, "accumulation_counter", 2**64 - 1)
        counts = tuple(
            (name, float(getattr(gm, field)))
            for field, name in _RESIDENCIES
            if getattr(gm, field, 2**64 - 1) < 2**64 - 1
        )
        if base in (0, 2**64 - 1) or not counts:
            return Absent("unsupported", "this device's firmware counts no throttling (MI300 and newer do)")
        return ThrottleCounters(float(base), counts)


def _address(smi: _Smi, handle: Any) -> tuple[int, int, int, int] | Absent:
    found = smi.struct("amdsmi_get_gpu_device_bdf", "amdsmi_bdf_t", handle)
    if isinstance(found, Absent):
        return found
    parts = getattr(found, "struct_amdsmi_bdf_t", None) or found.bdf
    return int(parts.domain_number), int(parts.bus_number), int(parts.device_number), int(parts.function_number)


def _bus_id(address: tuple[int, int, int, int]) -> str:
    domain, bus, device, function = address
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def _text(value: Any) -> str:
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()


def _named(value: Any, what: str) -> str | Absent:
    text = _text(value)
    return text if text and text != "N/A" else Absent("unsupported", f"the device reports no {what}")


# What an idle device may say 0 for and have none the less.
_SLEEPING = ("current_gfxclk", "current_uclk", "clock", "current_socket_power", "average_socket_power", "power")
# Firmware says "none" with all ones of the field's width, and the library hands wider fields on unchanged.
_ONES = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@functools.cache
def _none(what: str, value: Any) -> Absent:
    if value == 0 and what in _SLEEPING:
        return Absent("transient", f"the device said 0 for its {what}, as one that sleeps does")
    return Absent("unsupported", f"the device reports no {what} (sentinel {value})")


def _integer(value: int, what: str) -> int | Absent:
    return _none(what, value) if value in _ONES else int(value)


def _positive(value: int, what: str) -> int | Absent:
    """Of which a device has some: 0 is what the library has not filled in."""
    return _none(what, value) if value == 0 else _integer(value, what)


def _watts(value: int, what: str) -> float | Absent:
    return _none(what, value) if value >= 0xFFFF or value == 0 else float(value)


def _microwatts(value: int, what: str) -> float | Absent:
    # What it cannot read the library leaves zero.
    return _none(what, value) if value == 0 or value in _ONES else value * 1e-6


def _joules(count: int, unit_j: float = ENERGY_UNIT_J) -> float | Absent:
    return _none("energy", count) if count in (0, *_ONES[2:]) else count * unit_j


def _percent(value: int, what: str) -> float | Absent:
    return _none(what, value) if value > 100 else float(value)


def _celsius(value: int, what: str) -> float | Absent:
    # Newer tables say 0 for a sensor that is not there.
    return _none(what, value) if not 0 < value < 200 else float(value)


def _hertz(megahertz: int, what: str) -> float | Absent:
    return _none(what, megahertz) if megahertz >= 0xFFFF or megahertz == 0 else megahertz * 1e6


def _generation(megatransfers: int) -> int | Absent:
    """PCIe generation of a lane's speed in MT/s."""
    found = {2500: 1, 5000: 2, 8000: 3, 16000: 4, 32000: 5, 64000: 6}.get(int(megatransfers))
    return _none("PCIe speed", megatransfers) if found is None else found


@functools.cache
def _throttle(mask: int) -> float:
    named = (reason for first, last, reason in _THROTTLERS if mask >> first & ((1 << (last - first + 1)) - 1))
    return float(bits(*named))


def _constant(absent: dict[str, Absent]) -> Probe:
    return Probe(tuple(absent), lambda: list(absent.values()))


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    return value if isinstance(value, Absent) else function(value)
