"""NVIDIA through NVML. Only this file imports pynvml (the module of nvidia-ml-py; never the PyPI package pynvml)."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuprof.telemetry.device import (
    LASTING,
    Backend,
    Device,
    Lost,
    NoReading,
    Power,
    Probe,
    ThrottleCounters,
    bus_id,
    mapped,
)
from gpuprof.throttling import bits

VENDOR = "nvidia"
LIBRARY = "NVML"
INSTALL = (
    "install NVIDIA's driver; in a container, pass in the GPU (--gpus all, NVIDIA_DRIVER_CAPABILITIES with utility)"
)

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

# nvml.h, NVML_FI_DEV_*: one call reads them all, each with its own return code.
_ENERGY, _MEMORY_TEMPERATURE, _AVERAGE, _INSTANT = 83, 82, 185, 186
_LIMITS = {"power_limit_min_w": 187, "power_limit_max_w": 188, "power_limit_default_w": 189, "power_limit_w": 190}
# Fields that count for how many nanoseconds each reason has slowed the device down.
_THROTTLE_TIMES = (
    (74, "power_cap"), (75, "thermal"), (269, "thermal"), (270, "thermal"), (271, "power_brake"), (76, "sync_boost"),
)  # fmt: skip
_ONES = 2**32 - 1
# Signal -> field, its unit in SI, its name in reasons, and the value that means "none".
_FIELDS = {
    "power_instant_w": (_INSTANT, 1e-3, "power", _ONES),
    "power_average_w": (_AVERAGE, 1e-3, "power", _ONES),
    "energy_j": (_ENERGY, 1e-3, "energy", 2**64 - 1),
    "temperature_memory_c": (_MEMORY_TEMPERATURE, 1.0, "memory temperature", _ONES),
}
_POWER = ("power_instant_w", "power_average_w")
_NEVER_ZERO = ("power", "energy", "memory temperature")  # while the GPU answers at all
_SCOPE_GPU, _SCOPE_MODULE = 0, 1
# nvmlDeviceGetArchitecture: from Ampere on GetPowerUsage is averaged over a second, but for GA100; before it is not.
_AMPERE = 7
# nvml.h, nvmlValueType_t: the member of a field's union.
_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
# Signals are read in one of so many samples. The driver itself averages utilisation over 1/6 s to 1 s, and each call
# holds up the GPU's own work.
_OFTEN, _SELDOM, _SLOWLY = 2, 5, 10
_GAIN = (0.05, "SC24 study of power sensors, arXiv 2312.02741: most cards within 5% of an external meter")


def open_backend() -> Backend:
    """Open NVML and list its GPUs; what went wrong is in `fault`, with the fix."""
    try:
        import pynvml
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises
        fault = NoReading(f"pynvml cannot be imported ({type(error).__name__}: {error})", "unsupported")
        return Backend(VENDOR, LIBRARY, fault=fault, fix="pip install nvidia-ml-py")
    if not hasattr(pynvml, "nvmlInitWithFlags"):
        fault = NoReading("the installed module pynvml is not NVIDIA's", "unsupported")
        return Backend(
            VENDOR, LIBRARY, fault=fault, fix="pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"
        )
    nvml = _Nvml(pynvml)
    opened = nvml("nvmlInit")
    if isinstance(opened, NoReading):
        code = nvml.code
        reason = {
            12: "libnvidia-ml.so.1 was not found: no NVIDIA driver here",
            9: "the NVIDIA driver is not loaded",
            4: "no permission to talk to the NVIDIA driver",
            18: "the NVIDIA driver was updated: kernel module and library differ until the machine is restarted",
        }.get(code, opened.reason)
        fix = "restart the machine" if code == 18 else INSTALL
        return Backend(VENDOR, LIBRARY, fault=NoReading(reason, opened.status), fix=fix)
    simulated = hasattr(pynvml.nvmlLib, "gpuprof_simulated_library")
    count = nvml("nvmlDeviceGetCount")
    if isinstance(count, NoReading):
        return Backend(VENDOR, LIBRARY, fault=count, fix=INSTALL)
    devices, unusable = [], []
    for index in range(count):
        handle = nvml("nvmlDeviceGetHandleByIndex", index)
        if isinstance(handle, NoReading):
            unusable.append(f"GPU {index}: {handle.reason}")
        else:
            devices.append(NvidiaDevice(nvml, handle, index, simulated=simulated))
    none = None if devices else NoReading("NVML lists no usable GPU", "unsupported")
    driver = nvml("nvmlSystemGetDriverVersion")
    version = "" if isinstance(driver, NoReading) else f"driver {driver}"
    fix = "" if devices else INSTALL
    return Backend(VENDOR, LIBRARY, tuple(devices), version, none, fix, unusable=tuple(unusable))


class _Nvml:
    """Calls by name; an error is returned as a NoReading, since nearly every call fails on some device."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.code = 0  # of the newest error

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


class NvidiaDevice(Device):
    """A whole GPU in NVML's list; its MIG instances are names of it (`uuids`), and share its power."""

    def __init__(self, nvml: _Nvml, handle: Any, index: int, *, simulated: bool = False) -> None:
        self._nvml = nvml
        self._handle = handle
        uuid, pci = self._ask("nvmlDeviceGetUUID"), self._ask("nvmlDeviceGetPciInfo")
        address = None if isinstance(pci, NoReading) else (int(pci.domain), int(pci.bus), int(pci.device), 0)
        mig = self._ask("nvmlDeviceGetMigMode")
        self._mig = not isinstance(mig, NoReading) and mig[0] == 1
        instances = self._instances() if self._mig else {}
        names = {*instances, *([] if isinstance(uuid, NoReading) else [uuid])}
        scope, self._scope_id = self._power_scope()
        shared_by: int | None = 1
        if self._mig:
            shared_by = self._sharing(len(instances))
            others = f"by {shared_by}" if shared_by else "with an unknown number of"
            scope = f"{scope}, shared {others} MIG instances{'' if shared_by else ' that cannot be seen from here'}"
        super().__init__(
            VENDOR, index, "gpu", LIBRARY, simulated,
            power=Power(scope, shared_by, gain_error=_GAIN[0], gain_source=_GAIN[1]),
            uuids=frozenset(name.split("-", 1)[1] if name.startswith(("GPU-", "MIG-")) else name for name in names),
            pci=address,
        )  # fmt: skip
        self._usage_is_average = self._averaged()

    def _ask(self, name: str, *arguments: Any) -> Any:
        return self._nvml(name, self._handle, *arguments)

    def _instances(self) -> dict[str, Any]:
        """Handles of the MIG instances by UUID."""
        instances = {}
        for index in range(_or(self._ask("nvmlDeviceGetMaxMigDeviceCount"), 0)):
            handle = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
            if not isinstance(handle, NoReading):
                uuid = self._nvml("nvmlDeviceGetUUID", handle)
                if not isinstance(uuid, NoReading):
                    instances[uuid] = handle
        return instances

    def _sharing(self, seen: int) -> int | None:
        """How many MIG instances share the GPU, None where some may be hidden.

        A container sees its own instances alone, and may not ask for the GPU's memory (nvidia_gpu_exporter's captures).
        """
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        restricted = isinstance(memory, NoReading) and memory.status == "no_permission"
        return None if seen < 2 or restricted else seen

    def _power_scope(self) -> tuple[str, int]:
        """(scope in words, NVML's scope id). On some superchips only the whole module, CPU included, is measured."""
        try:
            gpu, module = (self._fields((_INSTANT, scope))[0] for scope in (_SCOPE_GPU, _SCOPE_MODULE))
        except Lost:  # the next reading reports it
            return "board", _SCOPE_GPU
        if isinstance(gpu, NoReading) and gpu.status == "unsupported" and not isinstance(module, NoReading):
            return "module, CPU included", _SCOPE_MODULE
        return "board", _SCOPE_GPU

    def _averaged(self) -> bool:
        """Whether GetPowerUsage gives the mean of a second."""
        architecture = self._ask("nvmlDeviceGetArchitecture")
        if isinstance(architecture, NoReading) or architecture < _AMPERE:
            return False
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        return architecture > _AMPERE or isinstance(capability, NoReading) or tuple(capability) != (8, 0)

    def read_identity(self) -> dict[str, Any]:
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        mig = self._ask("nvmlDeviceGetMigMode")
        partition = "none" if isinstance(mig, NoReading) else "MIG" if mig[0] else "none"
        address = self.pci
        return {
            "name": _named(self._ask("nvmlDeviceGetName"), "name"),
            "uuid": self._ask("nvmlDeviceGetUUID"),
            "pci_bus_id": self._ask("nvmlDeviceGetPciInfo") if address is None else bus_id(address),
            "serial": _named(self._ask("nvmlDeviceGetSerial"), "serial"),
            "architecture": capability if isinstance(capability, NoReading) else f"sm_{capability[0]}{capability[1]}",
            "driver_version": self._nvml("nvmlSystemGetDriverVersion"),
            "library_version": self._nvml("nvmlSystemGetNVMLVersion"),
            "vbios_version": _named(self._ask("nvmlDeviceGetVbiosVersion"), "VBIOS version"),
            "partition": mig if isinstance(mig, NoReading) and mig.status != "unsupported" else partition,
        }

    def read_facts(self) -> dict[str, Any]:
        memory = self._ask("nvmlDeviceGetMemoryInfo", self._nvml.module.nvmlMemory_v2)
        if isinstance(memory, NoReading):  # an older driver; its `used` includes what the driver keeps for itself
            memory = self._ask("nvmlDeviceGetMemoryInfo")
        ecc = self._ask("nvmlDeviceGetEccMode")
        facts = {
            "memory_total_bytes": mapped(memory, lambda m: _counted(m.total, "memory")),
            "memory_used_bytes": mapped(memory, lambda m: _counted(m.used, "memory")),
            "core_clock_max_hz": _scaled(self._ask("nvmlDeviceGetMaxClockInfo", 1), 1e6, "maximum core clock"),
            "memory_clock_max_hz": _scaled(self._ask("nvmlDeviceGetMaxClockInfo", 2), 1e6, "maximum memory clock"),
            "fan_pct": _counted(_fan(self._ask("nvmlDeviceGetFanSpeed_v2", 0)), "fan"),
            "pcie_generation": _counted(self._ask("nvmlDeviceGetCurrPcieLinkGeneration"), "PCIe generation"),
            "pcie_generation_max": _counted(self._ask("nvmlDeviceGetMaxPcieLinkGeneration"), "PCIe generation"),
            "pcie_width": _counted(self._ask("nvmlDeviceGetCurrPcieLinkWidth"), "PCIe width"),
            "pcie_width_max": _counted(self._ask("nvmlDeviceGetMaxPcieLinkWidth"), "PCIe width"),
            "ecc_enabled": mapped(ecc, lambda modes: bool(modes[0])),
            "ecc_corrected": _counted(self._ask("nvmlDeviceGetTotalEccErrors", 0, 0), "error count"),
            "ecc_uncorrected": _counted(self._ask("nvmlDeviceGetTotalEccErrors", 1, 0), "error count"),
            "performance_state": mapped(self._ask("nvmlDeviceGetPerformanceState"), _state),
            "processes": mapped(
                self._ask("nvmlDeviceGetComputeRunningProcesses"), lambda list_: [_process(p) for p in list_]
            ),
        }
        limits = self._fields(*((field, self._scope_id) for field in _LIMITS.values()))
        facts |= {key: _scaled(v, 1e-3, key) for key, v in zip(_LIMITS, limits, strict=True)}
        older: dict[str, Callable[[], Any]] = {
            "power_limit_w": lambda: self._ask("nvmlDeviceGetEnforcedPowerLimit"),
            "power_limit_default_w": lambda: self._ask("nvmlDeviceGetPowerManagementDefaultLimit"),
            "power_limit_min_w": lambda: mapped(
                self._ask("nvmlDeviceGetPowerManagementLimitConstraints"), lambda c: c[0]
            ),
            "power_limit_max_w": lambda: mapped(
                self._ask("nvmlDeviceGetPowerManagementLimitConstraints"), lambda c: c[1]
            ),
        }
        return facts | {k: _scaled(ask(), 1e-3, k) for k, ask in older.items() if isinstance(facts[k], NoReading)}

    def probes(self) -> list[Probe]:
        """As few calls as possible, and most of them seldom: the driver serialises them with the GPU's own work."""
        rates = self._nvml.module.c_nvmlUtilization_t()
        shares = functools.partial(_shares, type(rates))
        use = self._raw(("nvmlDeviceGetUtilizationRates",), rates)
        return [
            *self._power_probes(),
            Probe(("gpu_utilization_pct", "memory_utilization_pct"), use, _SLOWLY, shares),
            Probe(("core_clock_hz",), self._clock(1), _SELDOM, _clock),
            Probe(("memory_clock_hz",), self._clock(2), _SLOWLY, _clock),
            self._temperature(),
            # Often, although the driver counts most reasons: a reason that it counts and no sample has is none.
            Probe(("throttle",), self._throttle(), _OFTEN, _reasons),
        ]

    def _raw(self, names: tuple[str, ...], out: Any, *before: Any) -> Callable[[], bytes | NoReading]:
        """A `fetch` that calls the first of these C functions that the driver has, and returns the bytes of `out`.

        `before` are the arguments between handle and `out`.
        """
        function = name = None
        for name in names:
            try:
                function = getattr(self._nvml.module.nvmlLib, name)
                break
            except AttributeError:
                continue
        if function is None:
            missing = absent(13, names[0])
            return lambda: missing
        arguments = (self._handle, *before, ctypes.byref(out))

        def fetch() -> bytes | NoReading:
            code = function(*arguments)
            return self._alive(absent(code, str(name))) if code else bytes(out)

        return fetch

    def _power_probes(self) -> list[Probe]:
        """Power and memory temperature in one call, energy in another, as far as this driver has fields for them.

        Power comes first; signals that will never have a value are in a last probe without a call.
        """
        scopes = {key: self._scope_id if key.startswith("power") else 0 for key in _FIELDS}
        values = self._fields(*((_FIELDS[key][0], scope) for key, scope in scopes.items()))
        answers = dict(zip(_FIELDS, values, strict=True))
        offered = [key for key, v in answers.items() if not isinstance(v, NoReading) or v.status not in LASTING]
        often = [key for key in offered if key != "energy_j"]
        probes = []
        if not often or not often[0].startswith("power"):
            probes.append(Probe(_POWER, self._older_power))
            probes += [self._field_probe(often, scopes)[0]] if often else []
        elif self._scope_id == _SCOPE_GPU:
            probes.append(self._power_or_older(often, scopes, answers))
        else:
            probes.append(self._field_probe(often, scopes)[0])
        # Apart and seldom: an H200's driver takes 3 ms for the counter and 0.01 ms for all the rest. A window's energy
        # is read at its ends; samples only show whether the counter ran backwards.
        if "energy_j" in offered:
            probes.append(self._field_probe(["energy_j"], scopes, _SLOWLY)[0])
        else:
            probes.append(Probe(("energy_j",), lambda: (self.energy_j(),), _SLOWLY))
        answered = {key for probe in probes for key in probe.keys}
        missing = [key for key in _FIELDS if key not in answered]
        return [*probes, Probe(tuple(missing), lambda: [answers[key] for key in missing])]

    def _field_probe(self, keys: Sequence[str], scopes: Mapping[str, int], every: int = 1) -> tuple[Probe, Any]:
        """A probe of these fields with one call into an array that is filled anew each time, and the array."""
        kind = self._nvml.module.c_nvmlFieldValue_t * len(keys)
        fields = kind()
        for item, key in zip(fields, keys, strict=True):
            item.fieldId, item.scopeId = _FIELDS[key][0], scopes[key]
        specs = [_FIELDS[key][1:] for key in keys]

        def decode(raw: bytes) -> Sequence[float | NoReading]:
            items = kind.from_buffer_copy(raw)
            return [
                _scaled(self._field(item), factor, name, limit)
                for item, (factor, name, limit) in zip(items, specs, strict=True)
            ]

        return Probe(tuple(keys), self._raw(("nvmlDeviceGetFieldValues",), fields, len(keys)), every, decode), fields

    def _power_or_older(
        self, keys: Sequence[str], scopes: Mapping[str, int], answers: Mapping[str, float | NoReading]
    ) -> Probe:
        """These fields, and the older call in each sample in which none of power has a number.

        The call may succeed while its fields have errors of their own, of any code. `answers` are their first ones:
        where none was a number, a run should not wait for one.
        """
        fields, items = self._field_probe(keys, scopes)
        watts = [item for item, key in zip(items, keys, strict=True) if key in _POWER]
        silent = all(isinstance(answers[key], NoReading) for key in _POWER)
        all_keys = (*_POWER, *(key for key in keys if key not in _POWER))

        def fetch() -> Any:
            raw = fields.fetch()
            failed = isinstance(raw, NoReading) or all(item.nvmlReturn for item in watts)
            return (raw, self._older_power()) if failed else (raw, None)

        def decode(fetched: Any) -> Sequence[float | NoReading]:
            raw, older = fetched
            values = dict(answers) | dict(zip(keys, fields.decoded(raw), strict=True))
            if older is not None:
                known = any(not isinstance(value, NoReading) for value in older)
                values |= {key: value for key, value in zip(_POWER, older, strict=True)
                           if not isinstance(value, NoReading) or (known and silent)}  # fmt: skip
            return [values[key] for key in all_keys]

        return Probe(all_keys, fetch, 1, decode)

    def _older_power(self) -> Sequence[float | NoReading]:
        """(instant, average) for drivers and cards without the fields: one older call, which is either of them."""
        watts = _scaled(self._alive(self._ask("nvmlDeviceGetPowerUsage")), 1e-3, "power")
        no_second = NoReading("this driver has only one kind of power reading", "unsupported")
        return (no_second, watts) if self._usage_is_average else (watts, no_second)

    def energy_j(self) -> float | NoReading:
        return _scaled(self._alive(self._ask("nvmlDeviceGetTotalEnergyConsumption")), 1e-3, "energy", limit=2**64 - 1)

    def _temperature(self) -> Probe:
        keys = ("temperature_core_c",)
        kind = getattr(self._nvml.module, "c_nvmlTemperature_v1_t", None)  # not in bindings of 2024 and before
        if kind is not None and not isinstance(self._alive(self._ask("nvmlDeviceGetTemperatureV", 0)), NoReading):
            newer = kind()
            newer.version = self._nvml.module.nvmlTemperature_v1
            fetch = self._raw(("nvmlDeviceGetTemperatureV",), newer)
            return Probe(keys, fetch, _SLOWLY, lambda raw: (_celsius(kind.from_buffer_copy(raw).temperature),))
        fetch = self._raw(("nvmlDeviceGetTemperature",), ctypes.c_uint(), 0)
        return Probe(keys, fetch, _SLOWLY, lambda raw: (_celsius(_integer(raw)),))

    def _clock(self, kind: int) -> Callable[[], bytes | NoReading]:
        return self._raw(("nvmlDeviceGetClockInfo",), ctypes.c_uint(), kind)

    def _throttle(self) -> Callable[[], bytes | NoReading]:
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        return self._raw(names, ctypes.c_ulonglong())

    def throttle_counters(self) -> ThrottleCounters | NoReading:
        """Nanoseconds by reason, beside CLOCK_MONOTONIC. Raises Lost."""
        now = time.monotonic_ns()
        values = self._fields(*((field, 0) for field, _ in _THROTTLE_TIMES))
        counts = tuple(
            (name, float(value))
            for (_, name), value in zip(_THROTTLE_TIMES, values, strict=True)
            if not isinstance(value, NoReading)
        )
        return ThrottleCounters(float(now), counts) if counts else next(v for v in values if isinstance(v, NoReading))

    def _alive(self, value: Any) -> Any:
        if isinstance(value, NoReading) and value.status == "lost":
            raise Lost(value.reason)
        return value

    def _fields(self, *pairs: tuple[int, int]) -> list[float | NoReading]:
        """The values of these (field, scope) pairs. The call may succeed while a field has an error of its own."""
        values = self._ask("nvmlDeviceGetFieldValues", list(pairs))
        if isinstance(values, NoReading):
            return [self._alive(values)] * len(pairs)
        return [self._field(value) for value in values]

    def _field(self, item: Any) -> float | NoReading:
        """The member of the union that `valueType` names (nvml.h, nvmlValueType_t)."""
        if item.nvmlReturn:
            return self._alive(absent(item.nvmlReturn, f"field {item.fieldId}"))
        member = _MEMBERS.get(item.valueType)
        if member is None:
            return NoReading(f"field {item.fieldId} has unknown type {item.valueType}", "unsupported")
        return getattr(item.value, member)


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, sys.byteorder)


def _clock(raw: bytes) -> Sequence[float | NoReading]:
    return (_scaled(_integer(raw), 1e6, "clock"),)


def _shares(kind: Any, raw: bytes) -> Sequence[float | NoReading]:
    rates = kind.from_buffer_copy(raw)
    return _percent(rates.gpu, "GPU utilisation"), _percent(rates.memory, "memory utilisation")


def _reasons(raw: bytes) -> Sequence[float | NoReading]:
    return (_unified(_integer(raw)),)


@functools.cache
def _unified(mask: int) -> float:
    """NVML's bits as a mask of `throttling.REASONS`, as the signal `throttle` has it."""
    known = bits(*(name for bit, name in _REASONS if mask & bit))
    return float(known | (bits("other") if mask & ~sum(bit for bit, _ in _REASONS) else 0))


def _scaled(value: Any, factor: float, name: str, limit: float = _ONES) -> Any:
    """The value times `factor`; from `limit` on, or below 0, it is none. `name` is what the reason calls it."""
    if isinstance(value, NoReading):
        return value
    if value == 0 and name in _NEVER_ZERO:  # some drivers report 0 when asked again too soon
        return NoReading(f"the device reported 0 for {name}", "transient")
    # Firmware reports "none" as all ones; no device draws 4.3 MW or runs at 4.3 PHz.
    if value >= limit or value < 0:
        return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")
    return float(value * factor)


def _fan(value: Any) -> Any:
    """An H200 has no fan and calls fan 0 an invalid argument, which elsewhere counts as transient: there is no fan."""
    if isinstance(value, NoReading) and value.reason.endswith("(NVML error 2)"):
        return NoReading(f"NVML knows no fan on this device: {value.reason}", "unsupported")
    return value


def _counted(value: Any, name: str) -> Any:
    """A number that may be 0; all ones is none."""
    if isinstance(value, NoReading) or value not in (_ONES, 2**64 - 1):
        return value if isinstance(value, NoReading) else int(value)
    return NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")


def _named(value: Any, name: str) -> Any:
    if isinstance(value, NoReading) or value not in ("", "N/A"):
        return value
    return NoReading(f"the device reports no {name}", "unsupported")


def _state(value: int) -> str | NoReading:
    # nvml.h: NVML_PSTATE_15 is the last, 32 is NVML_PSTATE_UNKNOWN.
    return f"P{value}" if value < 16 else NoReading(f"the device reports no state (sentinel {value})", "unsupported")


def _celsius(value: int) -> float | NoReading:
    return (
        float(value)
        if 0 < value < 200
        else NoReading(f"the device reports no core temperature (sentinel {value})", "unsupported")
    )


def _percent(value: int, name: str) -> float | NoReading:
    return (
        float(value) if value <= 100 else NoReading(f"the device reports no {name} (sentinel {value})", "unsupported")
    )


def _or(value: Any, default: Any) -> Any:
    return default if isinstance(value, NoReading) else value


def _process(process: Any) -> dict[str, Any]:
    used = process.usedGpuMemory
    return {"pid": int(process.pid), "memory_bytes": None if used is None else int(used)}
