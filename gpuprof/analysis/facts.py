"""Facts of a side's runs that the ledger compares: one row each, what a difference weighs, and for which numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gpuprof.analysis.evidence import Evidence
from gpuprof.analysis.pairing import Pair
from gpuprof.record.variables import JOB, changes, of_one_vendor
from gpuprof.units import show

Weight = Literal["blocks", "weakens", "noted"]
About = Literal["speed", "energy", "speed and energy"]
BOTH: About = "speed and energy"
ENERGY: About = "energy"
SPEED: About = "speed"
MANY = 3  # values, runs or dates listed at most
_WHOLE = {"none", "SPX"}  # as the vendors call a card that is not partitioned


@dataclass(frozen=True)
class Entry:
    """One line of the ledger, in a reader's words."""

    key: str
    baseline: str | None  # what each side has; None where it has nothing
    candidate: str | None
    weight: Weight
    why: str
    about: About = BOTH  # which numbers it concerns
    cases: tuple[str, ...] = ()  # the pairs that it is about; empty when it is about the sides


@dataclass(frozen=True)
class Sides:
    """Both sides, with the facts of those runs that are in some pair."""

    baseline: Evidence
    candidate: Evidence
    facts: tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]  # by name: values as text, with their runs
    pairs: Sequence[Pair]

    @classmethod
    def of(cls, baseline: Evidence, candidate: Evidence, pairs: Sequence[Pair]) -> Sides:
        runs = ({r for p in pairs for r in p.baseline.runs}, {r for p in pairs for r in p.candidate.runs})
        return cls(baseline, candidate, (baseline.facts_of(runs[0]), candidate.facts_of(runs[1])), pairs)

    @property
    def both(self) -> tuple[Evidence, Evidence]:
        """Baseline, candidate."""
        return self.baseline, self.candidate

    def sets(self, name: str) -> tuple[set[str], set[str]]:
        """The values of a fact on each side, as text."""
        return set(self.facts[0].get(name, {})), set(self.facts[1].get(name, {}))

    def values(self, name: str) -> tuple[list[Any], list[Any]]:
        """The values of a fact on each side."""
        left, right = ([_parsed(text) for text in side.get(name, {})] for side in self.facts)
        return left, right

    def alike(self, name: str) -> bool:
        """Whether both sides have the same values."""
        left, right = self.sets(name)
        return left == right

    @property
    def hosts_matter(self) -> bool:
        """Whether some number depends on the host's CPU."""
        bound = (case.said["regime"] for pair in self.pairs for case in (pair.baseline, pair.candidate))
        return "cpu" in self.baseline.kinds | self.candidate.kinds or any("host-bound" in said for said in bound)


Judged = tuple[Weight, str] | None


@dataclass(frozen=True)
class Fact:
    """One row: a fact of `index.digest.Digest.facts`."""

    name: str
    title: str
    judge: Callable[[Sides], Judged]  # of a difference, weight and reason; None where it says nothing
    about: About = BOTH
    unit: str = ""  # in which numbers are shown


def _always(weight: Weight, why: str) -> Callable[[Sides], Judged]:
    return lambda sides: (weight, why)


def _of_one_model(why: str) -> Callable[[Sides], Judged]:
    """Only where both sides have devices of one name: other models differ in everything."""
    return lambda sides: ("weakens", why) if sides.baseline.devices.keys() == sides.candidate.devices.keys() else None


def _host(sides: Sides) -> Judged:
    return ("weakens", "the host submits the work") if sides.hosts_matter else ("noted", "no case here is host-bound")


def _link(sides: Sides) -> Judged:
    return ("weakens", "the host submits the work") if sides.hosts_matter else ("noted", "inputs stay on the device")


def _torch(sides: Sides) -> Judged:
    left, right = ({text.partition("+")[0] for text in values} for values in sides.sets("torch"))
    if left == right:
        return "noted", "same release, different builds"
    return "weakens", "PyTorch releases differ in their kernels"


def _driver(sides: Sides) -> Judged:
    """A difference that comes with another vendor is expected."""
    one_vendor = sides.baseline.vendors == sides.candidate.vendors
    return "weakens" if one_vendor else "noted", "drivers change clocks and launch times"


def _partition(sides: Sides) -> Judged:
    cut = [bool(values - _WHOLE) for values in sides.sets("partition")]
    return ("weakens" if all(cut) else "blocks", "a partition is not the whole card") if any(cut) else None


FACTS = (
    Fact("gpuprof", "gpuprof", _always("weakens", "versions of gpuprof may measure differently")),
    Fact("gpuprof_commit", "gpuprof commit", _always("noted", "versions of gpuprof may measure differently")),
    Fact("config", "config hash", _always("noted", "different file; its settings are compared case by case")),
    Fact("torch", "torch", _torch),
    Fact("torch_build", "torch build", _always("noted", "each device needs its own build")),
    Fact("driver_version", "driver", _driver),
    Fact("vbios_version", "VBIOS", _always("noted", "firmware sets clocks and power")),
    Fact("partition", "partition", _partition),
    Fact("ecc_enabled", "ECC", _always("weakens", "error correction costs bandwidth on some types of memory")),
    Fact("core_clock_max_hz", "highest core clock", _of_one_model("same model, but different maximum clocks"),
         unit="Hz"),
    Fact("memory_clock_max_hz", "highest memory clock", _of_one_model("same model, but different maximum clocks"),
         unit="Hz"),
    Fact("compute_units", "compute units", _of_one_model("same name, but another chip")),
    Fact("device_memory_bytes", "device memory", _of_one_model("same name, but another card"), unit="B"),
    Fact("architecture", "architecture", _of_one_model("same name, but another chip")),
    Fact("pcie", "PCIe", _link, SPEED),
    Fact("cpu", "host CPU", _host, SPEED),
    Fact("cores", "CPU cores", _host, SPEED),
    Fact("logical_cores", "logical CPUs", _host, SPEED),
    Fact("host_memory_bytes", "host memory", _always("noted", "inputs stay on the device"), SPEED, unit="B"),
    Fact("container", "container", _always("noted", "containers bring their own libraries")),
    Fact("kernel", "kernel", _always("noted", "different operating system kernel")),
    Fact("os", "os", _always("noted", "different operating system")),
    Fact("python", "python", _always("noted", "the interpreter submits the work"), SPEED),
    Fact("host", "host name", _always("noted", "different machine")),
    Fact("scope", "what power covers", _always("weakens", "sensors cover different hardware, so energies are not "
                                               "strictly comparable"), ENERGY),
    Fact("power_signal", "power signal", _always("weakens", "averaged and instant power differ in short windows"),
         ENERGY),
    Fact("gain_error", "sensor gain error", _always("noted", "it is part of the energies' intervals"), ENERGY),
    Fact("telemetry_hz", "samples a second", _always("noted", "power sampled more often is known better"), ENERGY),
    Fact("telemetry_library", "sensor library", _always("noted", "it decides what sensors report"), ENERGY),
)  # fmt: skip


def entries(sides: Sides) -> Iterator[Entry]:
    """The rows of FACTS in which the sides, or the runs of one of them, differ."""
    for fact in FACTS:
        sets, texts = sides.sets(fact.name), [text(side, fact) for side in sides.facts]
        judged = fact.judge(sides)
        if judged is None or texts[0] == texts[1]:
            continue
        mixed = judged[0] == "weakens" and max(map(len, sets)) > 1  # which run had which value may matter
        if sets[0] != sets[1] or mixed:
            yield Entry(fact.title, texts[0], texts[1], *judged, fact.about)


def text(side: dict[str, dict[str, int]], fact: Fact) -> str | None:
    """The values that a side's runs had, the commonest first."""
    counts = side.get(fact.name, {})
    values = sorted(counts, key=lambda value: -counts[value])
    more = f" and {len(values) - MANY} more" if len(values) > MANY else ""
    shown = [f"{_said(value, fact)} ({counts[value]})" if len(values) > 1 else _said(value, fact)
             for value in values[:MANY]]  # fmt: skip
    return ", ".join(shown) + more if values else None


def _said(value: str, fact: Fact) -> str:
    number = _parsed(value)
    plain = fact.unit and isinstance(number, (int, float)) and 0 < number < 1e30
    return show(float(number), fact.unit) if plain else value


def _parsed(text_: str) -> Any:
    try:
        return json.loads(text_)
    except ValueError:
        return text_


# The protocol's name has a line of its own; neither a job's number nor a limit that was not reached matters.
_NEVER = ("name", JOB, "timeout_s")
_OWN = "variables of its libraries"


def dictionaries(sides: Sides) -> Iterator[Entry]:
    """Libraries, environment variables and the protocol, name by name."""
    built: Weight = "weakens" if sides.alike("torch_build") else "noted"
    for name, left, right in _differing(sides, "protocol"):
        yield Entry(name, left, right, "weakens", "measured for a different time or number of repeats")
    for name, left, right in _differing(sides, "libraries"):
        aside = name in ("torchvision", "triton", "numpy")
        yield Entry(name, left, right, "noted" if aside else built, "PyTorch runs on this library", SPEED)
    # Of two vendors each side has variables that only its own libraries read: one line for all of them.
    own: tuple[list[str], list[str]] = ([], [])
    for name, left, right in _differing(sides, "variables"):
        if sides.baseline.vendors != sides.candidate.vendors and of_one_vendor(name) and None in (left, right):
            own[left is None].append(f"{name}={left or right}")
            continue
        weight: Weight = "noted" if name.endswith("VISIBLE_DEVICES") else "weakens"
        yield Entry(name, left, right, weight, f"changes {changes(name)}")
    if own[0] or own[1]:
        texts = [", ".join(each) or None for each in own]
        yield Entry(_OWN, texts[0], texts[1], "noted", "only this vendor's libraries read them")


def _differing(sides: Sides, fact: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Names whose values the sides do not have alike, with both sides' values."""
    merged: tuple[dict[str, set[str]], dict[str, set[str]]] = ({}, {})
    for side, values in zip(merged, sides.values(fact), strict=True):
        for mapping in values:
            for name, value in mapping.items() if isinstance(mapping, dict) else ():
                side.setdefault(name, set()).add(str(value))
    for name in sorted(merged[0].keys() | merged[1].keys()):
        left, right = (None if name not in side else ", ".join(sorted(side[name])) for side in merged)
        if left != right and name not in _NEVER:
            yield name, left, right
