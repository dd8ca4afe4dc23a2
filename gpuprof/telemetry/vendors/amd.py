"""AMD's GPUs: what each answers, and which of them share a package. The library itself is in amd_library.py."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

from gpuprof.telemetry.device import LASTING, Backend, Device, NoReading, Power, Probe, ThrottleCounters, bus_id, mapped
from gpuprof.telemetry.vendors import amd_facts, amd_packages
from gpuprof.telemetry.vendors.amd_library import STALE, Repeated, Smi, alive, constant
from gpuprof.telemetry.vendors.amd_numbers import (
    ENERGY_UNIT_J,
    SIGNALS,
    Trust,
    celsius,
    decoded,
    hertz,
    integer,
    joules,
    microwatts,
    named,
    percent,
    positive,
    serial_number,
    watts,
)
from gpuprof.telemetry.vendors.amd_packages import Packages, pci_address
from gpuprof.telemetry.vendors.amd_wrapper import UNLOADABLE, find_wrapper

VENDOR = "amd"
LIBRARY = "AMD SMI"
INSTALL = (
    "install ROCm (libamd_smi.so and its Python package amdsmi); PyPI's amdsmi works only with its own ROCm version"
)
MISSING = "install the file that the loader names, with its package (libdrm.so.2: libdrm2, on Red Hat libdrm)"
# Read when the library starts, and kept from the programs that we start: no lock in /dev/shm shared with other
# processes, where one that died would block us; and no snapshot older than its sample, which some set.
_VARIABLES = {"RSMI_MUTEX_THREAD_ONLY": "1", "AMDSMI_GPU_METRICS_CACHE_MS": "0"}
# AMD publishes no averaging time of average_socket_power: firmware filters it, on an MI250X by some milliseconds (arXiv
# 2604.06056). A tenth of a second is a bound with a wide margin, and that of most other sensors; 1 s is NVIDIA's alone.
_AVERAGE_WINDOW_S = 0.1
_HOTSPOT, _EDGE, _VRAM = (
    "AMDSMI_TEMPERATURE_TYPE_HOTSPOT",
    "AMDSMI_TEMPERATURE_TYPE_EDGE",
    "AMDSMI_TEMPERATURE_TYPE_VRAM",
)
_PACKAGE = ("power_instant_w", "power_average_w", "energy_j")  # signals of the whole package
# Fields of gpu_metrics that count how long a reason held the device back.
_RESIDENCIES = (
    ("ppt_residency_acc", "power_cap"), ("socket_thm_residency_acc", "thermal"), ("vr_thm_residency_acc", "thermal"),
    ("hbm_thm_residency_acc", "thermal"), ("prochot_residency_acc", "hw_slowdown"),
)  # fmt: skip


def open_backend() -> Backend:
    """Open AMD SMI and list its GPUs; what went wrong is in `fault`, with the fix."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(_VARIABLES)
    try:
        return _open()
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _open() -> Backend:
    wrapper = find_wrapper()
    if isinstance(wrapper, NoReading):
        return Backend(VENDOR, LIBRARY, fault=wrapper, fix=MISSING if UNLOADABLE in wrapper.reason else INSTALL)
    module, origin = wrapper
    smi = Smi(module, origin)
    gpus = 2  # AMDSMI_INIT_AMD_GPUS
    opened = smi.call("amdsmi_init", gpus)
    if isinstance(opened, NoReading):
        return Backend(VENDOR, LIBRARY, version=origin, fault=opened, fix=INSTALL)
    handles = list(smi.handles())
    groups = Packages(smi, handles)
    devices = tuple(AmdDevice(smi, handle, index, groups) for index, handle in enumerate(handles))
    fault = None if devices else NoReading("AMD SMI lists no GPU", "unsupported")
    return Backend(VENDOR, LIBRARY, devices, f"library {smi.version()}, {origin}", fault, "" if devices else INSTALL)


class AmdDevice(Device):
    """A GPU, partition or die in AMD SMI's list; without power where another device reports its package's."""

    def __init__(self, smi: Smi, handle: Any, index: int, sockets: Packages) -> None:
        self._smi = smi
        self._handle = handle
        self._sockets = sockets
        # One device reports the power of its package: reported by each partition, it would be summed eight times.
        self._reporter = sockets.reporter(index)
        self._power_handle = handle if self._reporter in (index, None) else None
        address = pci_address(smi, handle)
        enumeration = smi.struct("amdsmi_get_gpu_enumeration_info", "amdsmi_enumeration_info_t", handle)
        hip = "" if isinstance(enumeration, NoReading) else decoded(enumeration.hip_uuid)
        hip_id = None if isinstance(enumeration, NoReading) else int(enumeration.hip_id)
        own = self._uuid()
        names = {name.removeprefix("GPU-").lower() for name in (hip, "" if isinstance(own, NoReading) else own)}
        shared = len(sockets.of(index))
        scope = amd_packages.scope(smi, handle, shared)
        self._repeated = Repeated()
        super().__init__(
            VENDOR, index, "gpu", LIBRARY, smi.simulated,
            power=Power(scope, shared, average_window_s=_AVERAGE_WINDOW_S,
                        gain_source="no published comparison with an external meter"),
            uuids=frozenset(name for name in names if name and "xx" not in name),
            pci=None if isinstance(address, NoReading) else address,
            framework_index=None if hip_id is None or hip_id >= 0xFFFF else hip_id,
        )  # fmt: skip

    def attributed(self) -> AmdDevice:
        """The device with the power and energy of its package; itself where it reports them, or where nobody does."""
        if self._reporter in (self.index, None):
            return self
        whole = AmdDevice(self._smi, self._handle, self.index, self._sockets)
        whole._power_handle = self._sockets.handles[self._reporter]
        return whole

    def _elsewhere(self) -> NoReading:
        return NoReading(f"{VENDOR}:{self._reporter} reports power and energy for the whole package", "unsupported")

    def _struct(self, name: str, type_name: str, *before: Any) -> Any:
        return self._smi.struct(name, type_name, self._handle, *before)

    def _metrics(self, handle: Any) -> Any:
        """The snapshot of everything that changes, in one call of a few microseconds."""
        return self._smi.struct("amdsmi_get_gpu_metrics_info", "amdsmi_gpu_metrics_t", handle, whole=True)

    def _uuid(self) -> str | NoReading:
        text, length = ctypes.create_string_buffer(256), ctypes.c_uint32(38)
        failed = self._smi.call("amdsmi_get_gpu_device_uuid", self._handle, ctypes.byref(length), text)
        return failed or named(text.value, "UUID")

    def read_identity(self) -> dict[str, Any]:
        asic = self._struct("amdsmi_get_gpu_asic_info", "amdsmi_asic_info_t")
        board = self._struct("amdsmi_get_gpu_board_info", "amdsmi_board_info_t")
        driver = self._struct("amdsmi_get_gpu_driver_info", "amdsmi_driver_info_t")
        vbios = self._struct("amdsmi_get_gpu_vbios_info", "amdsmi_vbios_info_t")
        name = mapped(asic, lambda a: named(a.market_name, "market name"))
        if isinstance(name, NoReading):
            name = mapped(board, lambda b: named(b.product_name, "product name"))
        serial = mapped(board, lambda b: serial_number(b.product_serial))
        if isinstance(serial, NoReading):
            serial = mapped(asic, lambda a: serial_number(a.asic_serial))
        graphics = mapped(asic, lambda a: positive(getattr(a, "target_graphics_version", 0), "graphics version"))
        return {
            "name": name,
            "uuid": self._uuid(),
            "pci_bus_id": pci_address(self._smi, self._handle) if self.pci is None else bus_id(self.pci),
            "serial": serial,
            "architecture": mapped(graphics, lambda g: f"gfx{g:x}"),
            "driver_version": mapped(driver, lambda d: named(d.driver_version, "driver version")),
            "library_version": self._smi.version(),
            "vbios_version": mapped(vbios, lambda v: named(v.version, "VBIOS version")),
            "partition": self._partition(),
        }

    def _partition(self) -> str | NoReading:
        text = ctypes.create_string_buffer(256)
        failed = self._smi.call("amdsmi_get_gpu_compute_partition", self._handle, text, ctypes.c_uint32(256))
        if failed:
            return failed
        kfd = self._struct("amdsmi_get_gpu_kfd_info", "amdsmi_kfd_info_t")
        number = mapped(kfd, lambda k: integer(getattr(k, "current_partition_id", 0xFFFFFFFF), "partition number"))
        mode = named(text.value, "partition")
        if isinstance(mode, NoReading) or isinstance(number, NoReading) or mode == "SPX":
            return mode
        return f"{mode} {number}"

    def read_facts(self) -> dict[str, Any]:
        return amd_facts.read(self._smi, self._handle)

    def probes(self) -> list[Probe]:
        """One snapshot for each handle that is read, the one with power first; else call by call."""
        handles = {key: self._power_handle if key in _PACKAGE else self._handle for key in SIGNALS}
        trust = self._trust()
        probes = []
        for handle in (self._power_handle, self._handle):
            if handle is None or not (keys := [key for key, own in handles.items() if own is handle]):
                continue
            probe = self._smi.snapshot(handle, keys, trust)
            if probe is None:
                return self._call_by_call()
            # A signal that is lacking for good is left out of the snapshot that the loop takes.
            answers = zip(probe.keys, probe.call(), strict=True)
            gone = {k: v for k, v in answers if isinstance(v, NoReading) and v.status in LASTING}
            probes += [self._smi.snapshot(handle, [key for key in keys if key not in gone], trust), constant(gone)]
            handles = {key: own for key, own in handles.items() if own is not handle}
        if self._power_handle is None:
            probes.append(constant(dict.fromkeys(_PACKAGE, self._elsewhere())))
        return [probe for probe in probes if probe is not None and probe.keys]

    def _trust(self) -> Trust:
        """What this device's throttle bits are held against."""
        cap = self._struct("amdsmi_get_power_cap_info", "amdsmi_power_cap_info_t", ctypes.c_uint32(0))
        limit_w = mapped(cap, lambda c: microwatts(c.power_cap, "power limit"))
        limit_c = self._temperature(_HOTSPOT, "hotspot limit", self._smi.constant("AMDSMI_TEMP_CRITICAL"))
        return Trust(
            amd_packages.is_rdna3_on(self._smi, self._handle),
            None if isinstance(limit_c, NoReading) else limit_c,
            None if isinstance(limit_w, NoReading) else limit_w,
        )

    def _call_by_call(self) -> list[Probe]:
        """For a wrapper and library that disagree about the snapshot: plain numbers and small structures."""
        celsius = {
            "temperature_core_c": (_EDGE, "edge temperature"),
            "temperature_hotspot_c": (_HOTSPOT, "hotspot temperature"),
            "temperature_memory_c": (_VRAM, "memory temperature"),
        }

        def single(key: str, ask: Callable[[], float | NoReading]) -> Probe:
            return Probe((key,), lambda: (ask(),))

        return [
            Probe(("power_instant_w", "power_average_w"), self._power_info),
            single("energy_j", self.energy_j),
            Probe(("gpu_utilization_pct", "memory_utilization_pct"), self._activity),
            *(single(key, lambda s=sensor, n=name: self._temperature(s, n)) for key, (sensor, name) in celsius.items()),  # type: ignore[misc]
            single("core_clock_hz", lambda: self._clock("GFX")),
            single("memory_clock_hz", lambda: self._clock("MEM")),
        ]

    def _power_info(self) -> Sequence[float | NoReading]:
        if self._power_handle is None:
            return (self._elsewhere(),) * 2
        info = alive(self._smi.struct("amdsmi_get_power_info", "amdsmi_power_info_t", self._power_handle))
        if isinstance(info, NoReading):
            return (info, info)
        return (
            watts(info.current_socket_power, "power"),
            watts(info.average_socket_power, "power"),
        )

    def energy_j(self) -> float | NoReading:
        """The accumulator of the package, in joules. Raises Lost."""
        if self._power_handle is None:
            return self._elsewhere()
        count, resolution, stamp = ctypes.c_uint64(), ctypes.c_float(), ctypes.c_uint64()
        outputs = (ctypes.byref(count), ctypes.byref(resolution), ctypes.byref(stamp))
        failed = self._smi.call("amdsmi_get_energy_count", self._power_handle, *outputs)
        if failed:
            return alive(failed)
        if stamp.value and self._repeated((count.value, stamp.value)) is STALE:
            return STALE
        # A unit far from 2^-16 J belongs to another accumulator: then the library knows better than this file.
        microjoules = resolution.value
        known = 15.2 <= microjoules <= 15.35
        return joules(count.value, ENERGY_UNIT_J if known or microjoules <= 0 else microjoules * 1e-6)

    def _activity(self) -> Sequence[float | NoReading]:
        usage = alive(self._struct("amdsmi_get_gpu_activity", "amdsmi_engine_usage_t"))
        if isinstance(usage, NoReading):
            return (usage, usage)
        return percent(usage.gfx_activity, "GPU utilisation"), percent(usage.umc_activity, "memory utilisation")

    def _temperature(self, sensor: str, name: str, what: int | NoReading = 0) -> float | NoReading:
        # The library answers in degrees, whatever the kernel below it uses.
        value = self._smi.number(
            "amdsmi_get_temp_metric", self._handle, self._smi.constant(sensor), what, kind=ctypes.c_int64
        )
        return mapped(alive(value), lambda degrees: celsius(degrees, name))

    def _clock(self, name: str) -> float | NoReading:
        kind = self._smi.constant(f"AMDSMI_CLK_TYPE_{name}")
        info = alive(self._struct("amdsmi_get_clock_info", "amdsmi_clk_info_t", kind))
        return mapped(info, lambda i: hertz(getattr(i, "clk", getattr(i, "cur_clk", 0)), "clock"))

    def throttle_counters(self) -> ThrottleCounters | NoReading:
        """Residencies of gpu_metrics, in ticks of its accumulation counter. Raises Lost."""
        gm = alive(self._metrics(self._handle))
        if isinstance(gm, NoReading):
            return gm
        base = getattr(gm, "accumulation_counter", 2**64 - 1)
        counts = tuple(
            (name, float(getattr(gm, field)))
            for field, name in _RESIDENCIES
            if getattr(gm, field, 2**64 - 1) < 2**64 - 1
        )
        if base in (0, 2**64 - 1) or not counts:
            return NoReading("this device's firmware does not count throttling (MI300 and newer do)", "unsupported")
        return ThrottleCounters(float(base), counts)
