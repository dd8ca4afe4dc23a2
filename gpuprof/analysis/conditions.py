"""Conditions of a pair of cases that a reader of the ledger must know of: one row each, and what it weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gpuprof import throttling
from gpuprof.analysis.evidence import CaseEvidence

Weight = Literal["blocks", "weakens", "noted"]
HOTTER_C = 10.0  # difference of start temperatures that is noted
Judged = tuple[Weight, str] | None


@dataclass(frozen=True)
class Check:
    """One condition of a pair of cases."""

    key: str
    value: Callable[[CaseEvidence], str | None]  # what the ledger says that a side has
    judge: Callable[[CaseEvidence, CaseEvidence], Judged]  # weight and reason; None where it does not matter


def _said(name: str, words: Mapping[Any, str] | None = None) -> Callable[[CaseEvidence], str | None]:
    def value(case: CaseEvidence) -> str | None:
        values = sorted((words or {}).get(v, str(v)) for v in case.said[name] if v is not None)
        return ", ".join(values) or None

    return value


def _when(name: str, bad: Any, weight: Weight, why: str) -> Callable[[CaseEvidence, CaseEvidence], Judged]:
    """Where some run of either side has the value `bad`."""
    return lambda left, right: (weight, why) if bad in left.said[name] | right.said[name] else None


def _unlike(name: str, weight: Weight, why: str) -> Callable[[CaseEvidence, CaseEvidence], Judged]:
    """Where the sides' values differ, and both have some."""

    def judge(left: CaseEvidence, right: CaseEvidence) -> Judged:
        values = [case.said[name] - {None} for case in (left, right)]
        return (weight, why) if all(values) and values[0] != values[1] else None

    return judge


def _no_outcome(left: CaseEvidence, right: CaseEvidence) -> Judged:
    missing = any("ok" not in case.said["outcome"] for case in (left, right))
    return ("blocks", "no measurement to compare") if missing else None


def _unknown_arithmetic(left: CaseEvidence, right: CaseEvidence) -> Judged:
    unknown = any(case.newest.precision is None for case in (left, right))
    return ("blocks", "effective precision unknown") if unknown else None


def _correctness(left: CaseEvidence, right: CaseEvidence) -> Judged:
    verdicts = left.said["correctness"] | right.said["correctness"]
    if "wrong" in verdicts:
        return "blocks", "fast but wrong is not fast"
    if "drift" in verdicts:
        return "weakens", "results less accurate than the precision explains"
    return ("weakens", "results not checked") if None in verdicts else None


def _slowed(case: CaseEvidence) -> set[str]:
    """Why any of the runs was held back, clocks that somebody set included: both sides should have the same reasons."""
    held = {throttling.CLOCKS_SETTING} if True in case.said["clocks_held"] else set()
    return {name for names in case.said["slowed"] for name in names.split(", ") if name} | held


def _throttled(case: CaseEvidence) -> str | None:
    shares = case.newest.facts.get("throttled_share")
    if shares is None:
        return None
    texts = ((n, f"{shares[n]:.0%}" if n in shares else "in some runs") for n in sorted(_slowed(case)))
    return ", ".join(f"{name.replace('_', ' ')} {share}" for name, share in texts) or "no"


def _throttling(left: CaseEvidence, right: CaseEvidence) -> Judged:
    reasons = _slowed(left) | _slowed(right)
    if not reasons:
        return None
    if reasons == {"power_cap"}:
        return "noted", "busy devices usually run at their power limit"
    if reasons <= {"power_cap", throttling.CLOCKS_SETTING}:
        return "weakens", "clocks were set below their maximum"
    return "weakens", "throttled by more than the power limit"


def _start(case: CaseEvidence) -> str | None:
    start_c = case.newest.facts.get("temperature_start_c")
    return None if start_c is None else f"{start_c:.0f} °C"


def _starts(left: CaseEvidence, right: CaseEvidence) -> Judged:
    starts_c = [case.newest.facts.get("temperature_start_c") for case in (left, right)]
    apart = None not in starts_c and abs(starts_c[0] - starts_c[1]) > HOTTER_C  # type: ignore[operator]
    return ("noted", "a hotter device draws more power") if apart else None


def _crowded(case: CaseEvidence) -> str | None:
    """The share of time that the process waited for a core, and that a hypervisor took."""
    shares = [(case.newest.facts.get(f"cpu_{name}"), name) for name in ("waiting", "stolen")]
    return ", ".join(f"{share:.0%} {name}" for share, name in shares if share is not None) or None


def _crowding(left: CaseEvidence, right: CaseEvidence) -> Judged:
    busy = True in left.said["crowded"] | right.said["crowded"]
    return ("weakens", "other work used the host's cores") if busy else None


def _doubts(case: CaseEvidence) -> str | None:
    """Warnings of the run's own checks, but for throttling, which has a line of its own."""
    warnings = "; ".join(c for c in case.newest.facts.get("checks") or () if not c.startswith("throttled"))
    return warnings or ("in an older run" if True in case.said["doubtful"] else None)


CHECKS = (
    Check("outcome", _said("outcome"), _no_outcome),
    Check("arithmetic", lambda case: case.newest.precision, _unknown_arithmetic),
    Check("correctness", _said("correctness"), _correctness),
    Check("fallback", _said("fallback", {True: "substitute", False: "as requested"}),
           _unlike("fallback", "weakens", "fused kernels failed on one side, so a substitute ran")),
    Check("precision asked for", _said("requested"),
           _unlike("requested", "noted", "only the effective precision counts")),
    Check("precision switches", _said("flags"), _unlike("flags", "noted", "the effective precision is the same")),
    Check("steady", _said("steady", {True: "yes", False: "no"}),
           _when("steady", False, "weakens", "speed was still changing during the measurement")),
    Check("regime", _said("regime"),
           _when("regime", "host-bound", "weakens", "host-bound: this measures the host CPU as much as the GPU")),
    Check("energy method", _said("energy_method"),
           _unlike("energy_method", "weakens", "an energy counter and integrated power differ by a few percent")),
    Check("throttled", _throttled, _throttling),
    Check("temperature at start", _start, _starts),
    Check("host busy", _crowded, _crowding),
    Check("conditions", _doubts,
           _when("doubtful", True, "weakens", "a run's own checks raised warnings")),
    Check("peak memory covers", _said("memory_scope"),
           _unlike("memory_scope", "noted", "different quantities, so no ratio is given")),
    Check("weights", _said("weights"), _unlike("weights", "weakens", "power depends on the values multiplied")),
)  # fmt: skip
