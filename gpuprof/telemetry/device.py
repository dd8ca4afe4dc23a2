"""What a backend offers: devices that answer for every quantity, with a value or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gpuprof.absent import Absent
from gpuprof.record.part import SensorReading, SensorStatus
from gpuprof.telemetry import quantities
from gpuprof.telemetry.quantities import Kind

# A reading that fails now and then is retried; one that the library, the device or this user lacks is not.
LASTING = ("unsupported", "no_permission")


@dataclass(frozen=True)
class NoReading(Absent):
    """Why a sensor or a vendor library gave no value; stored as a SensorReading."""

    status: SensorStatus


class Probe(NamedTuple):
    """One call of a vendor library that gives several signals at once, in the order of `keys`.

    `fetch` runs beside the measurement with cold caches, where each line of Python costs tenfold: it makes the call,
    returns the raw answer and raises Lost. `decode` turns that into values later, for many samples at once. A NoReading
    in place of the raw answer applies to all of the probe's signals.
    """

    keys: tuple[str, ...]
    fetch: Callable[[], Any]
    every: int = 1  # called in one of so many samples; temperatures need not be read as often as power
    decode: Callable[[Any], Sequence[float | NoReading]] = tuple

    def decoded(self, fetched: Any) -> Sequence[float | NoReading]:
        """The values of `keys`, in their order, from what `fetch` returned. May raise Lost."""
        return (fetched,) * len(self.keys) if isinstance(fetched, NoReading) else self.decode(fetched)

    def call(self) -> Sequence[float | NoReading]:
        """The signals' values now. Raises Lost."""
        return self.decoded(self.fetch())


class ThrottleCounters(NamedTuple):
    """For how long each reason has slowed the device down, and the time itself (`base`), since some moment.

    Both are in a unit of the device's own, the same for both: only shares of two readings' difference mean anything.
    """

    base: float
    counts: tuple[tuple[str, float], ...]


class Lost(Exception):  # noqa: N818 - an event
    """The device fell off the bus or needs a reset; none of its readings counts any more."""


class Stuck(Lost):
    """A call of the vendor's library does not return, as happens with a GPU that hangs."""


@dataclass(frozen=True)
class Power:
    """What the device's power and energy cover, and how far they can be trusted."""

    scope: str = "unknown"
    shared_by: int | None = 1  # devices whose power this is, taken together; None where others cannot be seen
    # The time over which each power reading is averaged, as far as known: it resolves nothing shorter.
    instant_window_s: float = 0.1
    average_window_s: float = 1.0
    # Gain error against external meters; None when nobody has published a comparison.
    gain_error: float | None = None
    gain_source: str = ""
    energy_scope: str = ""  # of the energy counter, where it is not that of power

    @property
    def energy_covers(self) -> str:
        """What the energy counter covers, in words."""
        return self.energy_scope or self.scope


@dataclass
class Device:
    """One GPU or CPU behind a vendor library. Backends implement the calls; this class keeps the rules."""

    vendor: str
    index: int
    kind: Kind
    library: str
    simulated: bool = False
    power: Power = field(default_factory=Power)
    # Names under which a framework may know the device: UUIDs without prefix, the PCI address (domain, bus, device,
    # function), the index in HIP's own order.
    uuids: frozenset[str] = frozenset()
    pci: tuple[int, int, int, int] | None = None
    framework_index: int | None = None

    @property
    def id(self) -> str:
        """As commands name it: "cpu", or the vendor and the index in its library's order, as in "nvidia:0"."""
        return "cpu" if self.kind == "cpu" else f"{self.vendor}:{self.index}"

    # What a backend implements.

    def read_identity(self) -> dict[str, Any]:
        """Values or NoReadings by key of `quantities.IDENTITY`; a key left out counts as a call that does not exist."""
        raise NotImplementedError

    def read_facts(self) -> dict[str, Any]:
        """The same for `quantities.FACTS`, as they are now. May raise Lost."""
        raise NotImplementedError

    def probes(self) -> list[Probe]:
        """The calls of a sample, all that might work.

        The first reads power, or a CPU's energy, and its `every` is 1: it dates the sample.
        """
        raise NotImplementedError

    def energy_j(self) -> float | NoReading:
        """The energy counter in joules since some moment, with as little as possible around the call. Raises Lost."""
        raise NotImplementedError

    def throttle_counters(self) -> ThrottleCounters | NoReading:
        """The device's own counters of throttling, or why it has none. Raises Lost."""
        return NoReading("throttle counters are not read for this kind of device", "unsupported")

    def attributed(self) -> Device:
        """The device as a run uses it: with its package's power and energy, where only the package has any."""
        return self

    # What everybody else uses.

    def identity(self) -> dict[str, SensorReading]:
        """A reading for every quantity of `quantities.IDENTITY` that this kind of device answers for."""
        return self._readings(self.read_identity(), quantities.keys(quantities.IDENTITY, self.kind))

    def facts(self) -> dict[str, SensorReading]:
        """A reading for every quantity of `quantities.FACTS` that this kind of device answers for, as it is now."""
        return self._readings(self.read_facts(), quantities.keys(quantities.FACTS, self.kind))

    def _readings(self, values: dict[str, Any], keys: list[str]) -> dict[str, SensorReading]:
        missing = NoReading(f"{self.library} does not report it", "unsupported")
        return {key: reading(values.get(key, missing)) for key in keys}

    def signals(self) -> dict[str, float | NoReading]:
        """Every quantity of `quantities.SIGNALS` once, in SI units. Raises Lost."""
        values: dict[str, float | NoReading] = {}
        for probe in self.probes():
            values |= zip(probe.keys, probe.call(), strict=True)
        missing = NoReading(f"{self.library} does not report it", "unsupported")
        return {key: values.get(key, missing) for key in quantities.keys(quantities.SIGNALS, self.kind)}


def reading(value: Any) -> SensorReading:
    """The stored form of a value, or of the NoReading in its place."""
    if isinstance(value, NoReading):
        return SensorReading(value=None, status=value.status, reason=value.reason)
    return SensorReading(value=value, status="ok", reason=None)


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The function's result for a value; a NoReading is passed through."""
    return value if isinstance(value, NoReading) else function(value)


def bus_id(address: tuple[int, int, int, int]) -> str:
    """(domain, bus, device, function) in Linux's spelling, as in 0000:1b:00.0."""
    domain, bus, device, function = address
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


@dataclass(frozen=True)
class Backend:
    """The result of opening one vendor's library.

    `fault` says why there are no devices and `fix` what may help; `noise` is what the library printed.
    """

    vendor: str
    library: str
    devices: tuple[Device, ...] = ()
    version: str = ""
    fault: NoReading | None = None
    fix: str = ""
    noise: str = ""
    unusable: tuple[str, ...] = ()  # GPUs that the library counts but cannot open, with its reasons
