"""The CPU through Linux's own files: RAPL energy counters, hwmon temperatures, /proc."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from gpuprof.system.procfs import cpu_name
from gpuprof.telemetry.device import Backend, Device, NoReading, Power, Probe

VENDOR = "cpu"
LIBRARY = "Linux"
# hwmon drivers of CPUs, and how the label of the package's sensor begins.
_THERMOMETERS = {"coretemp": "Package id", "k10temp": "Tctl", "zenpower": "Tdie", "cpu_thermal": ""}
_SLOWLY = 5  # in one of so many samples
_NO_RAPL = "no RAPL energy counters (/sys/class/powercap); virtual machines rarely have them"


def open_backend(root: Path = Path("/")) -> Backend:
    """The one CPU device, which is always there. `root` is where /proc and /sys are; tests bring their own."""
    return Backend(VENDOR, LIBRARY, (HostDevice(root),))


class HostDevice(Device):
    """All CPU packages of the machine as one device."""

    def __init__(self, root: Path = Path("/")) -> None:
        super().__init__(
            VENDOR, 0, "cpu", LIBRARY, power=Power("CPU packages, everything that runs on them included")
        )  # fmt: skip
        self._root = root
        self._zones = [
            zone for zone in sorted((root / "sys/class/powercap").glob("*-rapl:*"))
            if zone.name.count(":") == 1 and _text(zone / "name").startswith("package")
        ]  # fmt: skip
        self._ranges_j = [_micro(zone / "max_energy_range_uj") for zone in self._zones]
        self._before = [0.0] * len(self._zones)
        self._wrapped_j = 0.0
        self._stat = str(root / "proc/stat")
        self._ticks: tuple[int, int] | None = None
        self._thermometer = self._find_thermometer()

    def read_identity(self) -> dict[str, Any]:
        return {
            "name": cpu_name() or NoReading("/proc/cpuinfo has no model name", "unsupported"),
            "architecture": platform.machine(),
        }

    def read_facts(self) -> dict[str, Any]:
        lines = (line.partition(":") for line in _text(self._root / "proc/meminfo").splitlines())
        memory = {
            name: int(value.removesuffix("kB")) * 1024
            for name, _, value in lines
            if name in ("MemTotal", "MemAvailable") and value.removesuffix("kB").strip().isdecimal()
        }
        gone = NoReading("not in /proc/meminfo", "unsupported")
        limits = [_micro(zone / "constraint_0_power_limit_uw") for zone in self._zones]
        readable = [limit for limit in limits if not isinstance(limit, NoReading)]
        total, available = memory.get("MemTotal"), memory.get("MemAvailable")
        return {
            "memory_total_bytes": gone if total is None else total,
            "memory_used_bytes": gone if total is None or available is None else total - available,
            "power_limit_w": sum(readable) if readable and len(readable) == len(limits) else self._missing(limits),
        }

    def probes(self) -> list[Probe]:
        return [
            Probe(("energy_j",), lambda: (self.energy_j(),)),
            Probe(("cpu_utilization_pct",), lambda: (self._utilization(),), every=_SLOWLY),
            Probe(("temperature_core_c",), lambda: (self._temperature(),), every=_SLOWLY),
            Probe(("power_instant_w",), lambda: (self._no_power(),)),
        ]

    def _no_power(self) -> NoReading:
        reason = "RAPL reports energy, not power" if self._zones else _NO_RAPL
        return NoReading(reason, "unsupported")

    def energy_j(self) -> float | NoReading:
        """The sum over the packages, in joules; each counter wraps at a range of its own, which is added back."""
        values = [_micro(zone / "energy_uj") for zone in self._zones]
        numbers = [value for value in values if not isinstance(value, NoReading)]
        if not numbers or len(numbers) < len(values):
            return self._missing(values)
        for now, before, span in zip(numbers, self._before, self._ranges_j, strict=True):
            if now < before and not isinstance(span, NoReading):
                self._wrapped_j += span
        self._before = numbers
        return sum(numbers) + self._wrapped_j

    @staticmethod
    def _missing(values: list[float | NoReading]) -> NoReading:
        """The first reason among the packages' values, or that there are no packages."""
        return next((value for value in values if isinstance(value, NoReading)), NoReading(_NO_RAPL, "unsupported"))

    def _utilization(self) -> float | NoReading:
        """Percent of all cores' time since the previous sample that was not idle or waiting for input and output."""
        fields = _first_line(self._stat).split()[1:9]
        if len(fields) < 8 or not all(map(bytes.isdigit, fields)):
            return NoReading("/proc/stat has no CPU times", "unsupported")
        ticks = [int(field) for field in fields]
        now = (sum(ticks) - ticks[3] - ticks[4], sum(ticks))
        before, self._ticks = self._ticks, now
        if before is None or now[1] <= before[1]:
            return NoReading("utilisation needs two readings", "transient")
        return 100.0 * (now[0] - before[0]) / (now[1] - before[1])

    def _find_thermometer(self) -> Path | None:
        for chip in sorted((self._root / "sys/class/hwmon").glob("hwmon*")):
            prefix = _THERMOMETERS.get(_text(chip / "name"))
            if prefix is None:
                continue
            for label in sorted(chip.glob("temp*_label")):
                if _text(label).startswith(prefix):
                    return chip / label.name.replace("_label", "_input")
            if (chip / "temp1_input").is_file():
                return chip / "temp1_input"
        return None

    def _temperature(self) -> float | NoReading:
        if self._thermometer is None:
            return NoReading("no CPU temperature driver is loaded (/sys/class/hwmon)", "unsupported")
        try:
            return int(_text(self._thermometer)) / 1000
        except (ValueError, OverflowError):
            return NoReading(f"{self._thermometer} cannot be read", "transient")


def _first_line(path: str) -> bytes:
    """Read with bare system calls, since this runs beside a measurement; empty where the file cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, 512, 0).split(b"\n", 1)[0]
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _micro(path: Path) -> float | NoReading:
    """A file of millionths of an SI unit, in that unit."""
    try:
        return int(path.read_text("ascii")) * 1e-6
    except PermissionError:
        return NoReading(f"only root can read {path}; run as root, or chmod a+r it", "no_permission")
    except (OSError, ValueError, OverflowError) as error:
        return NoReading(f"{path} cannot be read ({error})", "unsupported")
