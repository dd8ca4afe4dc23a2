"""The fairness ledger: every difference between the sides that a reader must know of, with its weight.

blocks    the sides, or a pair of cases, must not be compared; they enter no verdict
weakens   part of the difference may come from this rather than from the devices
noted     expected, or without known influence; listed all the same
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from gpuprof.analysis import yardstick
from gpuprof.analysis.conditions import CHECKS, Weight
from gpuprof.analysis.evidence import Evidence
from gpuprof.analysis.levels import FEW
from gpuprof.analysis.pairing import TOLERATED, Pair, shown
from gpuprof.case_keys import HEADINGS
from gpuprof.record.variables import changes
from gpuprof.units import show

WEIGHTS: tuple[Weight, ...] = ("blocks", "weakens", "noted")
NOTHING = "no case on one side can be compared with one on the other"
_MANY = 3  # values, runs or dates listed at most
_WHOLE = {"none", "SPX"}  # as the vendors call a card that is not partitioned
# The protocol's name has a line of its own; neither a job's number nor a limit that was not reached matters.
_NEVER = ("name", "SLURM_JOB_ID", "timeout_s")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger, in a reader's words."""

    key: str
    baseline: str | None  # what each side has; None where it has nothing
    candidate: str | None
    weight: Weight
    why: str
    cases: tuple[str, ...] = ()  # the pairs that it is about; empty when it is about the sides


def ledger(
    baseline: Evidence, candidate: Evidence, pairs: Sequence[Pair], title: Callable[[Pair], str], vary: AbstractSet[str]
) -> list[Entry]:
    """Entries by weight, heaviest first; an entry that holds for several pairs stands once, with their titles.

    `vary` are case keys that differ on purpose.
    """
    entries = [*_sides(baseline, candidate, pairs)]
    grouped: dict[Entry, list[str]] = {}
    for pair in pairs:
        for entry in _of_pair(pair, vary):
            grouped.setdefault(entry, []).append(title(pair))
    entries += [replace(entry, cases=tuple(cases)) for entry, cases in grouped.items()]
    entries += _yardstick([pair for pair in pairs if pair.shift], title)
    return sorted(entries, key=lambda entry: WEIGHTS.index(entry.weight))


def _when_run(side: Evidence) -> str:
    starts = sorted(start[:16].replace("T", " ") for _, start, _ in side.runs)
    return ", ".join(starts[-_MANY:])


def _runs(side: Evidence) -> set[str]:
    return {run for run, _, _ in side.runs}


def _text(side: Evidence, name: str) -> str | None:
    """The values that a side's runs had, the commonest first."""
    counts = side.facts.get(name, {})
    values = sorted(counts, key=lambda value: -counts[value])
    more = f" and {len(values) - _MANY} more" if len(values) > _MANY else ""
    shown_ = [f"{value} ({counts[value]})" if len(values) > 1 else value for value in values[:_MANY]]
    return ", ".join(shown_) + more if values else None


def _values(side: Evidence, name: str) -> list[Any]:
    return [_parsed(text) for text in side.facts.get(name, {})]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _sides(baseline: Evidence, candidate: Evidence, pairs: Sequence[Pair]) -> Iterator[Entry]:
    both = (baseline, candidate)
    if len(baseline.simulated | candidate.simulated) > 1:
        words = {True: "simulated", False: "measured"}
        texts = [" and ".join(words[value] for value in sorted(side.simulated)) for side in both]
        yield Entry("simulated", texts[0], texts[1], "blocks", "simulated numbers do not come from hardware")
    common = _runs(baseline) & _runs(candidate)
    copied = {baseline.numbers[values] for values in baseline.numbers.keys() & candidate.numbers.keys()}
    if (common or copied) and any(not pair.differs for pair in pairs):
        shared = ", ".join(sorted(common or copied)[:_MANY])
        yield Entry("runs", shared, shared, "blocks", "both sides have the same measurements")
    one_machine = baseline.machines.keys() == candidate.machines.keys() and len(baseline.machines) == 1
    if one_machine and not common and len(baseline.runs) + len(candidate.runs) < 2 * FEW:
        times = (_when_run(baseline), _when_run(candidate))
        yield Entry("turns", *times, "weakens", "not interleaved, so drift of the machine looks like a difference; a "
                    "sweep interleaves both in one run")  # fmt: skip
    for name, weight, why in _facts(baseline, candidate, pairs):
        left, right = _text(baseline, name), _text(candidate, name)
        values = [set(side.facts.get(name, {})) for side in both]
        mixed_ = weight == "weakens" and max(map(len, values)) > 1  # the runs of a side differ among themselves
        if values[0] != values[1] or mixed_:
            yield Entry(_TITLES.get(name, name), left, right, weight, why)
    if not any(pair.allowed for pair in pairs):
        counts = tuple(f"{len(side.cases)} case{'s' * (len(side.cases) != 1)}" for side in both)
        yield Entry("cases", counts[0], counts[1], "blocks", NOTHING)
    if any(value > 1 for side in both for value in _values(side, "shared_by")):
        shares = tuple(_text(side, "shared_by") for side in both)
        yield Entry("sensor shared by", shares[0], shares[1], "weakens", "it measures the energy of all that share it")
    yield from _dictionaries(baseline, candidate)
    yield from _power_limits(baseline, candidate)
    if "quick" in {p.get("name") for side in both for p in _values(side, "protocol")}:
        yield Entry("quick protocol", _named(baseline), _named(candidate), "weakens",
                    "quick runs have fewer processes and a shorter warm-up")  # fmt: skip
    for side, position in ((baseline, 0), (candidate, 1)):
        if bad := set(side.facts.get("outcome", {})) - {"ok"}:
            cells: list[str | None] = [None, None]
            cells[position] = ", ".join(sorted(bad))
            yield Entry("run outcome", cells[0], cells[1], "weakens", "some planned measurements are missing")
    if baseline.runs and candidate.runs:
        days = [sorted(start[:10] for _, start, _ in side.runs) for side in both]
        if days[0][-1] != days[1][-1]:
            yield Entry("date", _span(days[0]), _span(days[1]), "noted", "machines and software change over time")


_TITLES = {
    "torch_build": "torch build", "cpu": "host CPU", "cores": "CPU cores", "driver_version": "driver",
    "vbios_version": "VBIOS", "gpuprof_commit": "gpuprof commit", "config": "config hash", "ecc_enabled": "ECC",
    "scope": "what power covers", "host": "host name", "core_clock_max_hz": "highest core clock",
    "power_limit_w": "power limit", "container": "container",
}  # fmt: skip


def _facts(baseline: Evidence, candidate: Evidence, pairs: Sequence[Pair]) -> Iterator[tuple[str, Weight, str]]:
    """Facts whose difference stands in the ledger, with weight and reason.

    A difference that comes with another vendor is expected.
    """
    one_vendor = baseline.vendors == candidate.vendors
    hosts_matter = "cpu" in baseline.kinds | candidate.kinds or any(_host_bound(pair) for pair in pairs)
    host: Weight = "weakens" if hosts_matter else "noted"
    yield "gpuprof", "weakens", "versions of gpuprof may measure differently"
    yield "gpuprof_commit", "noted", "versions of gpuprof may measure differently"
    yield "config", "noted", "different file; its settings are compared case by case"
    torches = [{_release(v) for v in side.facts.get("torch", {})} for side in (baseline, candidate)]
    if torches[0] == torches[1]:
        yield "torch", "noted", "same release, different builds"
    else:
        yield "torch", "weakens", "PyTorch releases differ in their kernels"
    yield "torch_build", "noted", "each device needs its own build"
    yield "driver_version", "weakens" if one_vendor else "noted", "drivers change clocks and launch times"
    yield "vbios_version", "noted", "firmware sets clocks and power"
    cut = [bool(set(side.facts.get("partition", {})) - _WHOLE) for side in (baseline, candidate)]
    if any(cut):
        yield "partition", "weakens" if all(cut) else "blocks", "a partition is not the whole card"
    yield "ecc_enabled", "weakens", "error correction costs bandwidth on some types of memory"
    yield "scope", "weakens", "sensors cover different hardware, so energies are not strictly comparable"
    yield "cpu", host, "the host submits the work" if host == "weakens" else "no case here is host-bound"
    yield "cores", host, "the host submits the work" if host == "weakens" else "no case here is host-bound"
    yield "container", "noted", "containers bring their own libraries"
    yield "kernel", "noted", "different operating system kernel"
    yield "os", "noted", "different operating system"
    yield "python", "noted", "the interpreter submits the work"
    yield "host", "noted", "different machine"
    if baseline.devices.keys() == candidate.devices.keys():
        yield "core_clock_max_hz", "weakens", "same model, but different maximum clocks"


def _release(version: str) -> str:
    return version.partition("+")[0]


def _dictionaries(baseline: Evidence, candidate: Evidence) -> Iterator[Entry]:
    """Libraries, environment variables and the protocol, name by name."""
    one_build = set(baseline.facts.get("torch_build", {})) == set(candidate.facts.get("torch_build", {}))
    for name, weight, why in (
        ("protocol", "weakens", "measured for a different time or number of repeats"),
        ("variables", "weakens", ""),  # the reason is each variable's own
        ("libraries", "weakens" if one_build else "noted", "PyTorch runs on this library"),
    ):
        sides = []
        for side in (baseline, candidate):
            merged: dict[str, set[str]] = {}
            for mapping in _values(side, name):
                for inner, value in mapping.items() if isinstance(mapping, dict) else ():
                    merged.setdefault(inner, set()).add(str(value))
            sides.append(merged)
        for inner in sorted(sides[0].keys() | sides[1].keys()):
            left, right = sides[0].get(inner), sides[1].get(inner)
            # Sides with the same two values are not alike: which run had which may matter.
            alike = left == right and (weight != "weakens" or len(left or ()) < 2)
            if alike or inner in _NEVER:
                continue
            own_weight: Weight = weight  # type: ignore[assignment]
            if inner.endswith("VISIBLE_DEVICES") or inner in ("torchvision", "triton", "numpy"):
                own_weight = "noted"
            shown_ = [None if v is None else ", ".join(sorted(v)) for v in (left, right)]
            reason = f"changes {changes(inner)}" if name == "variables" else why
            yield Entry(inner, shown_[0], shown_[1], own_weight, reason)


def _power_limits(baseline: Evidence, candidate: Evidence) -> Iterator[Entry]:
    limits, defaults = (
        [[float(v) for v in _values(side, name) if _is_power(v)] for side in (baseline, candidate)]
        for name in ("power_limit_w", "power_limit_default_w")
    )
    lowered = [
        bool(limit and default and min(limit) < 0.99 * max(default))
        for limit, default in zip(limits, defaults, strict=True)
    ]
    texts = [" | ".join(show(v, "W") for v in sorted(limit)) or None for limit in limits]
    if any(lowered):
        which = " and ".join(side for side, low in zip(("baseline", "candidate"), lowered, strict=True) if low)
        yield Entry("power limit", texts[0], texts[1], "weakens", f"{which} ran below its default power limit")
    elif limits[0] and limits[1] and set(limits[0]) != set(limits[1]):
        yield Entry("power limit", texts[0], texts[1], "noted", "each at its default")


def _is_power(value: Any) -> bool:
    """Whether it is a power in watts: in a damaged record a value may be anything."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6


def _named(side: Evidence) -> str:
    return ", ".join(sorted({str(p.get("name")) for p in _values(side, "protocol")}))


def _span(days: list[str]) -> str:
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _host_bound(pair: Pair) -> bool:
    return any("host-bound" in case.said["regime"] for case in (pair.baseline, pair.candidate))


def _of_pair(pair: Pair, vary: AbstractSet[str]) -> Iterator[Entry]:
    left, right = pair.baseline, pair.candidate
    for name in pair.differs:
        texts = (shown(name, left), shown(name, right))
        if name in vary:
            yield Entry(HEADINGS[name], *texts, "noted", "varied on purpose")
        elif name == "threads":
            cpu = "cpu" in left.said["regime"] | right.said["regime"]
            why = "CPU threads do the work" if cpu else "CPU threads only submit the work"
            yield Entry("threads", *texts, "weakens" if cpu else "noted", why)
        elif name in TOLERATED:
            yield Entry(HEADINGS[name], *texts, "noted", "a machine setting; the work is the same")
        else:
            why = f"a different experiment; to compare them anyway: --vary {name}"
            yield Entry(HEADINGS[name], *texts, "blocks", why)
    for check in CHECKS:
        judged = check.judge(left, right)
        if judged is not None and not (check.key in ("arithmetic", "precision switches") and "precision" in vary):
            yield Entry(check.key, check.value(left), check.value(right), *judged)
            if check.key == "outcome":
                return


def _yardstick(shifted: Sequence[Pair], title: Callable[[Pair], str]) -> Iterator[Entry]:
    """One line for all pairs between whose sides the machine changed, with the times of the one where it did most."""
    if not shifted:
        return
    most = max(shifted, key=lambda pair: abs(pair.shift))
    how = f"{math.expm1(abs(most.shift)):.0%} {'slower' if most.shift > 0 else 'faster'}"
    before, after = yardstick.times(most.baseline), yardstick.times(most.candidate)
    why = f"the machine itself was {'up to ' * (len(shifted) > 1)}{how} for the candidate; intervals are wider by that"
    yield Entry("yardstick", before, after, "weakens", why, tuple(map(title, shifted)))
