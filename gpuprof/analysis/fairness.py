"""The fairness ledger: every difference between the sides that a reader must know of, with its weight.

blocks    the sides, or a pair of cases, must not be compared; they enter no verdict
weakens   part of the difference may come from this rather than from the devices
noted     expected, or without known influence; listed all the same

Beside it stands what weighs on both sides alike: no difference, but a reader must know of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from gpuprof.analysis import facts, yardstick
from gpuprof.analysis.conditions import CHECKS
from gpuprof.analysis.evidence import Evidence
from gpuprof.analysis.facts import BOTH, ENERGY, MANY, Entry, Sides, Weight
from gpuprof.analysis.levels import FEW
from gpuprof.analysis.pairing import TOLERATED, Pair, shown
from gpuprof.case_keys import HEADINGS
from gpuprof.index.digest import UNKNOWN_MANY
from gpuprof.units import show

WEIGHTS: tuple[Weight, ...] = ("blocks", "weakens", "noted")
_MOVED = ("below", "above")  # how a power limit may lie to its default
_SAME_LIMIT = 0.01  # relative: a power limit so near its default is at it
NOTHING = "no case on one side can be compared with one on the other"


def ledger(
    baseline: Evidence, candidate: Evidence, pairs: Sequence[Pair], title: Callable[[Pair], str], vary: AbstractSet[str]
) -> tuple[list[Entry], list[Entry]]:
    """Entries by weight, heaviest first: where the sides differ; and what both have alike, which blocks or weakens.

    An entry that holds for several pairs stands once, with their titles. `vary` are case keys that differ on purpose.
    """
    sides = Sides.of(baseline, candidate, pairs)
    entries = [*_sides(sides), *facts.entries(sides), *facts.dictionaries(sides), *_power_limits(sides)]
    grouped: dict[Entry, list[str]] = {}
    for pair in pairs:
        for entry in _of_pair(pair, vary):
            grouped.setdefault(entry, []).append(title(pair))
    entries += [replace(entry, cases=tuple(cases)) for entry, cases in grouped.items()]
    entries += _yardstick([pair for pair in pairs if pair.shift], title)
    entries.sort(key=lambda entry: WEIGHTS.index(entry.weight))
    alike = [entry for entry in entries if entry.baseline == entry.candidate and entry.weight != "noted"]
    return [entry for entry in entries if entry.baseline != entry.candidate], alike


def _sides(sides: Sides) -> Iterator[Entry]:
    baseline, candidate = both = sides.both
    if len(baseline.simulated | candidate.simulated) > 1:
        words = {True: "simulated", False: "measured"}
        texts = [" and ".join(words[value] for value in sorted(side.simulated)) for side in both]
        # Two sides that are both mixed have the same words.
        counts = [sum(head.data["simulated"] * n for head, n in side.heads.items()) for side in both]
        texts = [f"{text} ({n} of {len(side.runs)})" if " " in text else text
                 for text, n, side in zip(texts, counts, both, strict=True)]  # fmt: skip
        yield Entry("simulated", texts[0], texts[1], "blocks", "simulated numbers do not come from hardware")
    common = set(_ids(baseline)) & set(_ids(candidate))
    copied = {baseline.numbers[values] for values in baseline.numbers.keys() & candidate.numbers.keys()}
    if (common or copied) and any(not pair.differs for pair in sides.pairs):
        shared = ", ".join(sorted(common or copied)[:MANY])
        yield Entry("runs", shared, shared, "blocks", "both sides have the same measurements")
    one_machine = baseline.machines.keys() == candidate.machines.keys() and len(baseline.machines) == 1
    fewest = min((len(case.rows) for p in sides.pairs for case in (p.baseline, p.candidate)), default=0)
    if one_machine and not common and (fewest < FEW or _one_after_the_other(baseline, candidate)):
        yield Entry("turns", _when_run(baseline), _when_run(candidate), "weakens",
                    "not interleaved, so drift of the machine looks like a difference; a sweep interleaves both in one "
                    "run")  # fmt: skip
    if not any(pair.allowed for pair in sides.pairs):
        counted = [f"{len(side.cases)} case{'s' * (len(side.cases) != 1)}" for side in both]
        yield Entry("cases", counted[0], counted[1], "blocks", NOTHING)
    counts = [[math.inf if v == UNKNOWN_MANY else v for v in values] for values in sides.values("shared_by")]
    shares = [max((v for v in values if _is_number(v)), default=1) for values in counts]
    if max(shares) > 1:
        several = [UNKNOWN_MANY if math.isinf(share) else f"{share:g}" for share in shares]
        yield Entry("sensor shared by", several[0], several[1], "weakens",
                    "it measures the energy of all that share it, so there is no ratio", ENERGY)  # fmt: skip
    protocols = [sorted({str(p.get("name")) for p in values if isinstance(p, dict)})
                 for values in sides.values("protocol")]  # fmt: skip
    if "quick" in {*protocols[0], *protocols[1]}:
        yield Entry("quick protocol", ", ".join(protocols[0]), ", ".join(protocols[1]), "weakens",
                    "quick runs have fewer processes and a shorter warm-up")  # fmt: skip
    outcomes = [", ".join(sorted(outcomes - {"ok"})) or None for outcomes in sides.sets("outcome")]
    if any(outcomes):
        yield Entry("run outcome", outcomes[0], outcomes[1], "weakens", "some planned measurements are missing")
    if baseline.runs and candidate.runs:
        days = [sorted(start[:10] for _, start, _ in side.runs) for side in both]
        if days[0][-1] != days[1][-1]:
            yield Entry("date", _span(days[0]), _span(days[1]), "noted", "machines and software change over time")


def _one_after_the_other(baseline: Evidence, candidate: Evidence) -> bool:
    """Whether all runs of one side began before those of the other: no number of them shows what came in between."""
    earlier, later = sorted(([start for _, start, _ in side.runs] for side in (baseline, candidate)), key=min)
    return max(earlier) < min(later)


def _ids(side: Evidence) -> Iterator[str]:
    return (run for run, _, _ in side.runs)


def _when_run(side: Evidence) -> str:
    """The times of the newest runs; with seconds and id, since two sides may have run within one minute."""
    newest = sorted((start, run) for run, start, _ in side.runs)[-MANY:]
    return ", ".join(f"{start[:16].replace('T', ' ')} ({run[-8:]})" for start, run in newest)


def _span(days: list[str]) -> str:
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _power_limits(sides: Sides) -> Iterator[Entry]:
    limits, defaults = (
        [[float(v) for v in values if _is_number(v) and 0 < v < 1e6] for values in sides.values(name)]
        for name in ("power_limit_w", "power_limit_default_w")
    )
    texts = [" | ".join(show(v, "W") for v in sorted(limit)) or None for limit in limits]
    by_word: dict[str | None, list[str]] = {}
    for side, limit, default in zip(("baseline", "candidate"), limits, defaults, strict=True):
        by_word.setdefault(_against_default(limit, default), []).append(side)
    moved = (f"{' and '.join(by_word[word])} ran {word} its default power limit" for word in _MOVED if word in by_word)
    if why := ", ".join(moved):
        yield Entry("power limit", texts[0], texts[1], "weakens", why)
    elif limits[0] and limits[1] and set(limits[0]) != set(limits[1]):
        unknown = f"whether {' and '.join(by_word[None])} ran at its default is unknown" if None in by_word else ""
        yield Entry(
            "power limit", texts[0], texts[1], "weakens" if unknown else "noted", unknown or "each at its default"
        )


def _against_default(limits: list[float], defaults: list[float]) -> str | None:
    """How a side's power limits (W) lie to their defaults: one of _MOVED, "" at them; None where one is unknown."""
    if not limits or not defaults:
        return None
    if min(limits) < (1 - _SAME_LIMIT) * max(defaults):
        return "below"
    return "above" if max(limits) > (1 + _SAME_LIMIT) * min(defaults) else ""


def _is_number(value: Any) -> bool:
    """In a damaged record a value may be anything."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
        if check.same_work and set(pair.differs) - TOLERATED:
            continue
        judged = check.judge(left, right)
        if judged is not None and not (check.key in ("arithmetic", "precision switches") and "precision" in vary):
            yield Entry(check.key, check.value(left), check.value(right), *judged, check.about)
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
    yield Entry("yardstick", before, after, "weakens", why, BOTH, tuple(map(title, shifted)))
