"""Which case of the baseline is compared with which of the candidate, and what forbids it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from gpuprof.analysis import yardstick
from gpuprof.analysis.evidence import CaseEvidence, Evidence
from gpuprof.case_keys import FIELDS, HEADINGS, SETTINGS, WORK
from gpuprof.index.brief import as_text

# A difference in these stands in the ledger and forbids nothing: another setting of the machine, but the same work.
TOLERATED = frozenset(SETTINGS)
# What makes another network of it, as `index.digest` has it, with its title: such cases are never compared.
NETWORK = {"item": "item", "items_per_sample": "items a sample", "parameters": "parameters",
           "trainable_parameters": "trainable parameters", "flops_per_sample": "FLOPs a sample"}  # fmt: skip
_NEAR = 2  # cases that differ in more than this are no counterparts of each other


@dataclass(frozen=True)
class Pair:
    """A case of the baseline with its counterpart."""

    baseline: CaseEvidence
    candidate: CaseEvidence
    differs: tuple[str, ...]  # names among case_keys.FIELDS
    reasons: tuple[str, ...]  # why it may enter no verdict; empty when it may
    shift: float = 0.0  # how much slower the machine itself was for the candidate: `yardstick.shift`

    @property
    def allowed(self) -> bool:
        """Whether it may enter a verdict."""
        return not self.reasons


@dataclass(frozen=True)
class Pairing:
    """All cases of both sides, each once: in a pair, or without a counterpart."""

    pairs: list[Pair]
    only_baseline: list[CaseEvidence]
    only_candidate: list[CaseEvidence]


def pair(baseline: Evidence, candidate: Evidence, vary: Set[str] = frozenset()) -> Pairing:
    """Each case has at most one counterpart: the one that differs least; of equals, one with results to compare.

    `vary` names the fields that may differ on purpose.
    """
    left, right = list(baseline.cases.values()), list(candidate.cases.values())
    free = vary | TOLERATED
    # Most cases have their equal; only the rest is searched pair by pair.
    places = {key: j for j, key in enumerate(candidate.cases)}
    taken = {
        i: places[key]
        for i, key in enumerate(baseline.cases)
        if key in places and not (_useless(left[i]) or _useless(right[places[key]]))
    }
    used = set(taken.values())
    offers = sorted(
        (len(set(differs) - free), len(differs), _useless(case) + _useless(match), i, j)
        for i, case in enumerate(left) if i not in taken
        for j, match in enumerate(right) if j not in used
        if (differs := _differs(case, match)) is not None and len(set(differs) - free) <= _NEAR
    )  # fmt: skip
    for *_, i, j in offers:
        if i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    pairs = []
    yardsticks = yardstick.trusted(baseline, candidate)
    for i, j in sorted(taken.items()):
        b, c = left[i], right[j]
        differs = _differs(b, c) or ()
        shift = yardstick.shift(b, c, yardsticks)
        pairs.append(Pair(b, c, differs, tuple(_forbidden(b, c, differs, free)), shift))
    return Pairing(
        pairs,
        [case for i, case in enumerate(left) if i not in taken],
        [case for j, case in enumerate(right) if j not in used],
    )


def _differs(baseline: CaseEvidence, candidate: CaseEvidence) -> tuple[str, ...] | None:
    """Fields in which they differ; None for another workload or mode, which is no counterpart at all."""
    if any(getattr(baseline.newest, name) != getattr(candidate.newest, name) for name in ("workload", *WORK)):
        return None
    views = [(left, right) for left in _views(baseline) for right in _views(candidate)]
    return min((tuple(name for name in FIELDS if left[name] != right[name]) for left, right in views), key=len)


def _views(case: CaseEvidence) -> list[dict[str, Any]]:
    """The case's fields; with them those asked for, where fused kernels failed their check and a substitute ran."""
    fields = case.fields
    if True not in case.said["fallback"]:
        return [fields]
    return [fields, fields | {"params": fields["params"] | {"fused": True}}]


def _useless(case: CaseEvidence) -> bool:
    """Whether it has no results to compare."""
    return "ok" not in case.said["outcome"] or "wrong" in case.said["correctness"]


def _forbidden(
    baseline: CaseEvidence, candidate: CaseEvidence, differs: tuple[str, ...], free: Set[str]
) -> Iterator[str]:
    """Why the pair may enter no verdict, reason by reason; `free` are the fields that may differ."""
    for name in differs:
        unknown = name == "precision" and None in (baseline.fields[name], candidate.fields[name])  # has a reason below
        if name not in free and not unknown:
            yield f"{HEADINGS[name]}: {shown(name, baseline)} against {shown(name, candidate)}"
    if not set(differs) - TOLERATED:
        for name, title in NETWORK.items():
            left, right = (case.said[name] - {None} for case in (baseline, candidate))
            if left and right and left != right:
                yield f"another network: its {title} differ"
    for side, case in (("baseline", baseline), ("candidate", candidate)):
        if "ok" not in case.said["outcome"]:
            yield f"{side}: no measurement ({case.newest.outcome.replace('_', ' ')}: {case.newest.reason})"
            continue
        if case.newest.precision is None and "precision" not in free:
            yield f"{side}: effective precision unknown"
        if "wrong" in case.said["correctness"]:
            yield f"{side}: wrong results"


def shown(name: str, case: CaseEvidence) -> str:
    """A field's value for a reader; "none" where the case has none."""
    value = case.fields[name]
    return "none" if value is None else as_text(value)


def took_turns(pair_: Pair) -> bool:
    """Whether each run has both cases, so that their processes took turns."""
    return (
        pair_.baseline.runs == pair_.candidate.runs and pair_.baseline.newest.case_id != pair_.candidate.newest.case_id
    )
