"""What a backend offers: devices that answer for every quantity, with a value or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gpuprof.absent import Absent
from gpuprof.record.part import SensorReading, SensorStatus
from gpuprof.telemetry import quantities
from gpuprof.telemetry.quantities import Kind

# A reading that is off the air for a moment is asked for again; a library or a device that has none is not.
LASTING = ("unsupported", "no_permission")


@dataclass(frozen=True)
class NoReading(Absent):
    """Why a sensor or a vendor library gave no value; what is stored of it is a SensorReading."""

    status: SensorStatus


class Probe(NamedTuple):
    """One call of a vendor library that gives several signals at once, in the order of `keys`.

    `fetch` runs beside the measurement with cold caches, where each line of Python counts tenfold: it makes the call,
    keeps what came and raises Lost. What that means is for `decode` to find out, later and for many samples at once;
    a NoReading stands for all of the probe's signals.
    """

    keys: tuple[str, ...]
    fetch: Callable[[], Any]
    every: int = 1  # of how many samples it takes part in one; temperatures need not be read as often as power
    decode: Callable[[Any], Sequence[float | NoReading]] = tuple

    def decoded(self, fetched: Any) -> Sequence[float | NoReading]:
        return (fetched,) * len(self.keys) if isinstance(fetched, NoReading) else self.decode(fetched)

    def call(self) -> Sequence[float | NoReading]:
        """The signals' values now. Raises Lost."""
        return self.decoded(self.fetch())


class ThrottleCounters(NamedTuple):
    """Cumulative counts of how long something slowed the device down, and of time itself, in the same unit."""

    base: float
    counts: tuple[tuple[str, float], ...]


class Lost(Exception):  # noqa: N818 - an event
    """The device fell off the bus or needs a reset; nothing it says counts any more."""


class Stuck(Lost):
    """The vendor's library does not come back from a call, as happens with a GPU that hangs."""


@dataclass(frozen=True)
class Power:
    """How the device's power and energy are to be read."""

    scope: str = "unknown"
    shared_by: int = 1
    # The time over which each power reading is averaged, as far as known: nothing shorter can be told from it.
    instant_window_s: float = 0.1
    average_window_s: float = 1.0
    # Gain error against external meters; None when nobody has published a comparison.
    gain_error: float | None = None
    gain_source: str = ""


@dataclass
class Device:
    """One GPU or CPU behind a vendor library. Backends fill in the calls; this class keeps the rules."""

    vendor: str
    index: int
    kind: Kind
    library: str
    simulated: bool = False
    power: Power = field(default_factory=Power)
    # Further names under which a framework may know the device: UUIDs without prefix, PCI addresses.
    uuids: frozenset[str] = frozenset()
    pci: tuple[int, int, int, int] | None = None
    framework_index: int | None = None

    @property
    def id(self) -> str:
        return "cpu" if self.kind == "cpu" else f"{self.vendor}:{self.index}"

    # What a backend implements.

    def read_identity(self) -> dict[str, Any]:
        raise NotImplementedError

    def read_facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def probes(self) -> list[Probe]:
        """The calls of a sample, all that might work; the one that reads power and energy first."""
        raise NotImplementedError

    def energy_j(self) -> float | NoReading:
        """The energy counter alone, with as little as possible around it. Raises Lost."""
        raise NotImplementedError

    def throttle_counters(self) -> ThrottleCounters | NoReading:
        return NoReading("this backend reads no throttle counters", "unsupported")

    def attributed(self) -> Device:
        """The device as what a run uses: power and energy are its package's, where only that has any."""
        return self

    # What everybody else uses.

    def identity(self) -> dict[str, SensorReading]:
        return self._readings(self.read_identity(), quantities.keys(quantities.IDENTITY, self.kind))

    def facts(self) -> dict[str, SensorReading]:
        return self._readings(self.read_facts(), quantities.keys(quantities.FACTS, self.kind))

    def _readings(self, values: dict[str, Any], keys: list[str]) -> dict[str, SensorReading]:
        missing = NoReading(f"{self.library} has no call for it", "unsupported")
        return {key: reading(values.get(key, missing)) for key in keys}

    def signals(self) -> dict[str, float | NoReading]:
        """Every signal once. Raises Lost."""
        values: dict[str, float | NoReading] = {}
        for probe in self.probes():
            values |= zip(probe.keys, probe.call(), strict=True)
        missing = NoReading(f"{self.library} has no call for it", "unsupported")
        return {key: values.get(key, missing) for key in quantities.keys(quantities.SIGNALS, self.kind)}


def reading(value: Any) -> SensorReading:
    """The stored form of a value, or of the NoReading in its place."""
    if isinstance(value, NoReading):
        return SensorReading(value=None, status=value.status, reason=value.reason)
    return SensorReading(value=value, status="ok", reason=None)


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The function of a value; what is absent stays so."""
    return value if isinstance(value, NoReading) else function(value)


def bus_id(address: tuple[int, int, int, int]) -> str:
    """(domain, bus, device, function) in Linux's spelling."""
    domain, bus, device, function = address
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


@dataclass(frozen=True)
class Backend:
    """What came of opening one vendor's library. `fault` says why there are no devices, `noise` what it printed."""

    vendor: str
    library: str
    devices: tuple[Device, ...] = ()
    version: str = ""
    fault: NoReading | None = None
    fix: str = ""
    noise: str = ""
    unusable: tuple[str, ...] = ()  # GPUs that the library counts but cannot open, with its reasons
