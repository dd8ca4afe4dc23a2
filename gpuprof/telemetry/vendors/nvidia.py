"""NVIDIA through NVML: its GPUs, and which of their calls give what. `nvml.py` makes the calls."""

from __future__ import annotations

import ctypes
import functools
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
from gpuprof.telemetry.vendors import nvml

VENDOR = "nvidia"
_LIMITS = {"power_limit_min_w": 187, "power_limit_max_w": 188, "power_limit_default_w": 189, "power_limit_w": 190}
# Fields that count for how many nanoseconds each reason has slowed the device down.
_THROTTLE_TIMES = (
    (74, "power_cap"), (75, "thermal"), (269, "thermal"), (270, "thermal"), (271, "power_brake"), (76, "sync_boost"),
)  # fmt: skip
_SCOPE_GPU, _SCOPE_MODULE = 0, 1
_BOARD, _MODULE = "board", "module, CPU included"
_CLEARLY = 1.5  # times a GPU's power, for its module's to be another
_NEAR = 0.2  # relative: so near a power is the draw of an energy counter that covers the same
# nvmlDeviceGetArchitecture: from Ampere on GetPowerUsage is averaged over a second, but for GA100; before it is not.
_AMPERE = 7
# Signals are read in one of so many samples. The driver itself averages utilisation over 1/6 s to 1 s, and each call
# holds up the GPU's own work.
_OFTEN, _SELDOM, _SLOWLY = 2, 5, 10
_GAIN = (0.05, "SC24 study of power sensors, arXiv 2312.02741: most cards within 5% of an external meter")


def open_backend() -> Backend:
    """Open NVML and list its GPUs; what went wrong is in `fault`, with the fix."""
    library, fix = nvml.connect()
    if isinstance(library, NoReading):
        return Backend(VENDOR, nvml.LIBRARY, fault=library, fix=fix)
    count = library("nvmlDeviceGetCount")
    if isinstance(count, NoReading):
        return Backend(VENDOR, nvml.LIBRARY, fault=count, fix=nvml.INSTALL)
    devices, refusals = [], []
    for index in range(count):
        handle = library("nvmlDeviceGetHandleByIndex", index)
        if isinstance(handle, NoReading):
            refusals.append((index, handle))
        else:
            devices.append(NvidiaDevice(library, handle, index))
    fault, fix = (None, "") if devices else nvml.none_usable([refusal for _, refusal in refusals])
    driver = library("nvmlSystemGetDriverVersion")
    version = "" if isinstance(driver, NoReading) else f"driver {driver}"
    unusable = tuple(f"GPU {index}: {refusal.reason}" for index, refusal in refusals)
    return Backend(VENDOR, nvml.LIBRARY, tuple(devices), version, fault, fix, unusable=unusable)


class NvidiaDevice(Device):
    """A whole GPU in NVML's list; its MIG instances are names of it (`uuids`), and share its power."""

    def __init__(self, library: nvml.Nvml, handle: Any, index: int) -> None:
        self._gpu = nvml.Handle(library, handle)
        uuid, pci = self._gpu.ask("nvmlDeviceGetUUID"), self._gpu.ask("nvmlDeviceGetPciInfo")
        address = None if isinstance(pci, NoReading) else (int(pci.domain), int(pci.bus), int(pci.device), 0)
        mig = self._gpu.ask("nvmlDeviceGetMigMode")
        self._mig = not isinstance(mig, NoReading) and mig[0] == 1
        instances = self._instances() if self._mig else {}
        names = {*instances, *([] if isinstance(uuid, NoReading) else [uuid])}
        scope, energy_scope, self._scope_id = self._scopes()
        shared_by: int | None = 1
        if self._mig:
            shared_by = self._sharing(len(instances))
            others = f"by {shared_by}" if shared_by else "with an unknown number of"
            others = f"shared {others} MIG instances{'' if shared_by else ' that cannot be seen from here'}"
            scope, energy_scope = f"{scope}, {others}", energy_scope and f"{energy_scope}, {others}"
        super().__init__(
            VENDOR, index, "gpu", nvml.LIBRARY, library.simulated,
            power=Power(scope, shared_by, gain_error=_GAIN[0], gain_source=_GAIN[1], energy_scope=energy_scope),
            uuids=frozenset(name.split("-", 1)[1] if name.startswith(("GPU-", "MIG-")) else name for name in names),
            pci=address,
        )  # fmt: skip
        self._usage_is_average = self._averaged()

    def _instances(self) -> dict[str, Any]:
        """Handles of the MIG instances by UUID."""
        instances = {}
        most = self._gpu.ask("nvmlDeviceGetMaxMigDeviceCount")
        for index in range(0 if isinstance(most, NoReading) else most):
            handle = self._gpu.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
            if not isinstance(handle, NoReading):
                uuid = self._gpu.nvml("nvmlDeviceGetUUID", handle)
                if not isinstance(uuid, NoReading):
                    instances[uuid] = handle
        return instances

    def _sharing(self, seen: int) -> int | None:
        """How many MIG instances share the GPU, None where some may be hidden.

        A container sees the instances that it was given, and may not ask for the GPU's memory.
        """
        memory = self._gpu.ask("nvmlDeviceGetMemoryInfo")
        restricted = isinstance(memory, NoReading) and memory.status == "no_permission"
        return None if seen < 2 or restricted else seen

    def _scopes(self) -> tuple[str, str, int]:
        """(scope of power, that of energy where it is another, NVML's id of the first).

        On some superchips only the whole module, CPU included, is measured; on others power is the GPU's, and the
        energy counter counts the module (GH200: ml-energy/zeus#172). So where both powers are there, the counter's
        own draw tells which of them it is.
        """
        try:
            gpu, module = self._both_powers()
            if isinstance(module, NoReading):
                return _BOARD, "", _SCOPE_GPU
            if isinstance(gpu, NoReading):
                return (_BOARD, "", _SCOPE_GPU) if gpu.status != "unsupported" else (_MODULE, "", _SCOPE_MODULE)
            if module < _CLEARLY * gpu:
                return _BOARD, "", _SCOPE_GPU
            drawn = nvml.counted_w(self.energy_j, time.monotonic_ns, time.sleep)
            if isinstance(drawn, NoReading):
                none = drawn.status in LASTING  # energy is integrated from power then
                return _BOARD, "" if none else f"board or module ({drawn.reason})", _SCOPE_GPU
            now = zip((_BOARD, _MODULE), self._both_powers(), strict=True)
        except Lost:  # the next reading reports it
            return _BOARD, "", _SCOPE_GPU
        near = [name for name, w in now if not isinstance(w, NoReading) and abs(drawn / w - 1) < _NEAR]
        if len(near) != 1:
            return _BOARD, f"board or module (the counter draws {drawn:.0f} W)", _SCOPE_GPU
        return _BOARD, near[0] if near[0] != _BOARD else "", _SCOPE_GPU

    def _both_powers(self) -> list[float | NoReading]:
        """In watts, of the GPU and of its module."""
        values = self._gpu.fields((nvml.POWER_INSTANT, _SCOPE_GPU), (nvml.POWER_INSTANT, _SCOPE_MODULE))
        return [nvml.scaled(value, *nvml.FIELDS["power_instant_w"][1:]) for value in values]

    def _averaged(self) -> bool:
        """Whether GetPowerUsage gives the mean of a second."""
        architecture = self._gpu.ask("nvmlDeviceGetArchitecture")
        if isinstance(architecture, NoReading) or architecture < _AMPERE:
            return False
        capability = self._gpu.ask("nvmlDeviceGetCudaComputeCapability")
        return architecture > _AMPERE or isinstance(capability, NoReading) or tuple(capability) != (8, 0)

    def read_identity(self) -> dict[str, Any]:
        capability = self._gpu.ask("nvmlDeviceGetCudaComputeCapability")
        mig = self._gpu.ask("nvmlDeviceGetMigMode")
        partition = "none" if isinstance(mig, NoReading) else "MIG" if mig[0] else "none"
        address = self.pci
        return {
            "name": nvml.named(self._gpu.ask("nvmlDeviceGetName"), "name"),
            "uuid": self._gpu.ask("nvmlDeviceGetUUID"),
            "pci_bus_id": self._gpu.ask("nvmlDeviceGetPciInfo") if address is None else bus_id(address),
            "serial": nvml.named(self._gpu.ask("nvmlDeviceGetSerial"), "serial"),
            "architecture": capability if isinstance(capability, NoReading) else f"sm_{capability[0]}{capability[1]}",
            "driver_version": self._gpu.nvml("nvmlSystemGetDriverVersion"),
            "library_version": self._gpu.nvml("nvmlSystemGetNVMLVersion"),
            "vbios_version": nvml.named(self._gpu.ask("nvmlDeviceGetVbiosVersion"), "VBIOS version"),
            "partition": mig if isinstance(mig, NoReading) and mig.status != "unsupported" else partition,
        }

    def read_facts(self) -> dict[str, Any]:
        memory = self._gpu.ask("nvmlDeviceGetMemoryInfo", self._gpu.nvml.module.nvmlMemory_v2)
        if isinstance(memory, NoReading):  # an older driver; its `used` includes what the driver keeps for itself
            memory = self._gpu.ask("nvmlDeviceGetMemoryInfo")
        ecc = self._gpu.ask("nvmlDeviceGetEccMode")
        facts = {
            "memory_total_bytes": mapped(memory, lambda m: nvml.counted(m.total, "memory")),
            "memory_used_bytes": mapped(memory, lambda m: nvml.counted(m.used, "memory")),
            "core_clock_max_hz": nvml.scaled(self._gpu.ask("nvmlDeviceGetMaxClockInfo", 1), 1e6, "maximum core clock"),
            "memory_clock_max_hz": nvml.scaled(
                self._gpu.ask("nvmlDeviceGetMaxClockInfo", 2), 1e6, "maximum memory clock"
            ),
            "fan_pct": nvml.counted(nvml.fan(self._gpu.ask("nvmlDeviceGetFanSpeed_v2", 0)), "fan"),
            "pcie_generation": nvml.counted(self._gpu.ask("nvmlDeviceGetCurrPcieLinkGeneration"), "PCIe generation"),
            "pcie_generation_max": nvml.counted(self._gpu.ask("nvmlDeviceGetMaxPcieLinkGeneration"), "PCIe generation"),
            "pcie_width": nvml.counted(self._gpu.ask("nvmlDeviceGetCurrPcieLinkWidth"), "PCIe width"),
            "pcie_width_max": nvml.counted(self._gpu.ask("nvmlDeviceGetMaxPcieLinkWidth"), "PCIe width"),
            "ecc_enabled": mapped(ecc, lambda modes: bool(modes[0])),
            "ecc_corrected": nvml.counted(self._gpu.ask("nvmlDeviceGetTotalEccErrors", 0, 0), "error count"),
            "ecc_uncorrected": nvml.counted(self._gpu.ask("nvmlDeviceGetTotalEccErrors", 1, 0), "error count"),
            "performance_state": mapped(self._gpu.ask("nvmlDeviceGetPerformanceState"), nvml.state),
            "processes": mapped(
                self._gpu.ask("nvmlDeviceGetComputeRunningProcesses"), lambda list_: [nvml.process(p) for p in list_]
            ),
        }
        limits = self._gpu.fields(*((field, self._scope_id) for field in _LIMITS.values()))
        facts |= {key: nvml.scaled(v, 1e-3, key) for key, v in zip(_LIMITS, limits, strict=True)}
        older: dict[str, Callable[[], Any]] = {
            "power_limit_w": lambda: self._gpu.ask("nvmlDeviceGetEnforcedPowerLimit"),
            "power_limit_default_w": lambda: self._gpu.ask("nvmlDeviceGetPowerManagementDefaultLimit"),
            "power_limit_min_w": lambda: mapped(
                self._gpu.ask("nvmlDeviceGetPowerManagementLimitConstraints"), lambda c: c[0]
            ),
            "power_limit_max_w": lambda: mapped(
                self._gpu.ask("nvmlDeviceGetPowerManagementLimitConstraints"), lambda c: c[1]
            ),
        }
        return facts | {k: nvml.scaled(ask(), 1e-3, k) for k, ask in older.items() if isinstance(facts[k], NoReading)}

    def probes(self) -> list[Probe]:
        """As few calls as possible, and most of them seldom: the driver serialises them with the GPU's own work."""
        rates = self._gpu.nvml.module.c_nvmlUtilization_t()
        shares = functools.partial(nvml.shares, type(rates))
        use = self._gpu.raw(("nvmlDeviceGetUtilizationRates",), rates)
        return [
            *self._power_probes(),
            Probe(("gpu_utilization_pct", "memory_utilization_pct"), use, _SLOWLY, shares),
            Probe(("core_clock_hz",), self._clock(1), _SELDOM, nvml.clock),
            Probe(("memory_clock_hz",), self._clock(2), _SLOWLY, nvml.clock),
            self._temperature(),
            # Often, although the driver counts most reasons: a reason that it counts and no sample has is none.
            Probe(("throttle",), self._throttle(), _OFTEN, nvml.reasons),
        ]

    def _power_probes(self) -> list[Probe]:
        """Power and memory temperature in one call, energy in another, as far as this driver has fields for them.

        Power comes first; signals that will never have a value are in a last probe without a call.
        """
        scopes = {key: self._scope_id if key.startswith("power") else 0 for key in nvml.FIELDS}
        values = self._gpu.fields(*((nvml.FIELDS[key][0], scope) for key, scope in scopes.items()))
        answers = dict(zip(nvml.FIELDS, values, strict=True))
        answers |= {key: nvml.scaled(answers[key], *nvml.FIELDS[key][1:]) for key in nvml.POWER}
        offered = [key for key, v in answers.items() if not isinstance(v, NoReading) or v.status not in LASTING]
        often = [key for key in offered if key != "energy_j"]
        probes = []
        if not often or not often[0].startswith("power"):
            probes.append(Probe(nvml.POWER, self._older_power))
            probes += [self._gpu.field_probe(often, scopes)[0]] if often else []
        elif self._scope_id == _SCOPE_GPU:
            probes.append(self._power_or_older(often, scopes, answers))
        else:
            probes.append(self._gpu.field_probe(often, scopes)[0])
        # Apart and seldom: an H200's driver takes 3 ms for the counter and 0.01 ms for all the rest. A window's energy
        # is read at its ends; samples only show whether the counter ran backwards.
        if "energy_j" in offered:
            probes.append(self._gpu.field_probe(["energy_j"], scopes, _SLOWLY)[0])
        else:
            probes.append(Probe(("energy_j",), lambda: (self.energy_j(),), _SLOWLY))
        answered = {key for probe in probes for key in probe.keys}
        missing = [key for key in nvml.FIELDS if key not in answered]
        return [*probes, Probe(tuple(missing), lambda: [answers[key] for key in missing])]

    def _power_or_older(
        self, keys: Sequence[str], scopes: Mapping[str, int], answers: Mapping[str, float | NoReading]
    ) -> Probe:
        """These fields, and the older call in each sample in which none of power has a number.

        The call may succeed while its fields have errors of their own, of any code. `answers` are their first ones:
        where none was a number, a run should not wait for one.
        """
        fields, items = self._gpu.field_probe(keys, scopes)
        watts = [item for item, key in zip(items, keys, strict=True) if key in nvml.POWER]
        silent = all(isinstance(answers[key], NoReading) for key in nvml.POWER)
        all_keys = (*nvml.POWER, *(key for key in keys if key not in nvml.POWER))

        def fetch() -> Any:
            raw = fields.fetch()
            failed = isinstance(raw, NoReading) or all(nvml.empty(item) for item in watts)
            return (raw, self._older_power()) if failed else (raw, None)

        def decode(fetched: Any) -> Sequence[float | NoReading]:
            raw, older = fetched
            values = dict(answers) | dict(zip(keys, fields.decoded(raw), strict=True))
            if older is not None:
                known = any(not isinstance(value, NoReading) for value in older)
                for key, value in zip(nvml.POWER, older, strict=True):
                    if isinstance(values[key], NoReading) and (not isinstance(value, NoReading) or (known and silent)):
                        values[key] = value
            return [values[key] for key in all_keys]

        return Probe(all_keys, fetch, 1, decode)

    def _older_power(self) -> Sequence[float | NoReading]:
        """(instant, average) for drivers and cards without the fields: one older call, which is either of them."""
        watts = nvml.scaled(self._gpu.need("nvmlDeviceGetPowerUsage"), 1e-3, "power")
        no_second = NoReading("this driver has only one kind of power reading", "unsupported")
        return (no_second, watts) if self._usage_is_average else (watts, no_second)

    def energy_j(self) -> float | NoReading:
        return nvml.scaled(self._gpu.need("nvmlDeviceGetTotalEnergyConsumption"), 1e-3, "energy", limit=2**64 - 1)

    def _temperature(self) -> Probe:
        keys = ("temperature_core_c",)
        kind = getattr(self._gpu.nvml.module, "c_nvmlTemperature_v1_t", None)  # not in bindings of 2024 and before
        if kind is not None and not isinstance(self._gpu.need("nvmlDeviceGetTemperatureV", 0), NoReading):
            newer = kind()
            newer.version = self._gpu.nvml.module.nvmlTemperature_v1
            fetch = self._gpu.raw(("nvmlDeviceGetTemperatureV",), newer)
            return Probe(keys, fetch, _SLOWLY, lambda raw: (nvml.celsius(kind.from_buffer_copy(raw).temperature),))
        fetch = self._gpu.raw(("nvmlDeviceGetTemperature",), ctypes.c_uint(), 0)
        return Probe(keys, fetch, _SLOWLY, lambda raw: (nvml.celsius(nvml.integer(raw)),))

    def _clock(self, kind: int) -> Callable[[], bytes | NoReading]:
        return self._gpu.raw(("nvmlDeviceGetClockInfo",), ctypes.c_uint(), kind)

    def _throttle(self) -> Callable[[], bytes | NoReading]:
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        return self._gpu.raw(names, ctypes.c_ulonglong())

    def throttle_counters(self) -> ThrottleCounters | NoReading:
        """Nanoseconds by reason, beside CLOCK_MONOTONIC. Raises Lost."""
        now = time.monotonic_ns()
        values = self._gpu.fields(*((field, 0) for field, _ in _THROTTLE_TIMES))
        counts = tuple(
            (name, float(value))
            for (_, name), value in zip(_THROTTLE_TIMES, values, strict=True)
            if not isinstance(value, NoReading)
        )
        return ThrottleCounters(float(now), counts) if counts else next(v for v in values if isinstance(v, NoReading))
