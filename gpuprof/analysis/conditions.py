"""Conditions of a pair of cases that a reader of the ledger must know of: one row each, and what it weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpuprof import throttling
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.analysis.facts import BOTH, ENERGY, SPEED, About, Judged, Weight
from gpuprof.analysis.pairing import NETWORK
from gpuprof.units import number, show

HOTTER_C = 10.0  # difference of start temperatures that is noted
_BUSIER = 20.0  # difference of GPU utilisations that matters, in percent of the time
_SLOWER = 0.1  # of the median clock's share of its maximum
_LONGER = 1.5  # ratio of the windows' lengths
_DRAWS_MORE = 1.2  # ratio of idle powers


@dataclass(frozen=True)
class Check:
    """One condition of a pair of cases."""

    key: str
    value: Callable[[CaseEvidence], str | None]  # what the ledger says that a side has
    judge: Callable[[CaseEvidence, CaseEvidence], Judged]  # weight and reason; None where it does not matter
    about: About = BOTH
    same_work: bool = False  # only asked where the pair differs in nothing that changes the work


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


def _number(name: str, unit: str) -> Callable[[CaseEvidence], str | None]:
    """A number of the newest run."""

    def value(case: CaseEvidence) -> str | None:
        found = case.newest.facts.get(name)
        return None if found is None else f"{found:.0%}" if unit == "share" else show(found, unit)

    return value


def _apart(name: str, far: Callable[[float, float], bool], weight: Weight, why: str) -> Callable[..., Judged]:
    """Where the newest runs' numbers are far apart; `far` gets the smaller one first."""

    def judge(left: CaseEvidence, right: CaseEvidence) -> Judged:
        low, high = left.newest.facts.get(name), right.newest.facts.get(name)
        if low is None or high is None:
            return None
        return (weight, why) if far(min(low, high), max(low, high)) else None

    return judge


def _network(name: str) -> Callable[[CaseEvidence], str | None]:
    def value(case: CaseEvidence) -> str | None:
        return ", ".join(sorted(number(v) if isinstance(v, (int, float)) else str(v)
                                for v in case.said[name] if v is not None)) or None  # fmt: skip

    return value


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
           _unlike("energy_method", "weakens", "an energy counter and integrated power differ by a few percent"),
           ENERGY),
    Check("throttled", _throttled, _throttling),
    Check("core clock over its maximum", _number("clock_share", "share"),
          _apart("clock_share", lambda low, high: high - low > _SLOWER, "weakens", "one ran far below its clock")),
    Check("GPU utilisation", _number("gpu_utilization_pct", "%"),
          _apart("gpu_utilization_pct", lambda low, high: high - low > _BUSIER, "weakens",
                 "one device waited for its host")),
    Check("measured for", _number("window_s", "s"),
          _apart("window_s", lambda low, high: high > _LONGER * low, "noted", "longer is hotter, and less noisy")),
    Check("memory asked for again", _number("alloc_retries", ""),
          _apart("alloc_retries", lambda low, high: high > 0, "weakens", "memory was short")),
    Check("idle power", _number("idle_power_w", "W"),
          _apart("idle_power_w", lambda low, high: high > _DRAWS_MORE * low, "noted",
                 "energy above idle counts from it"),
          ENERGY),
    Check("temperature at start", _start, _starts, ENERGY),
    Check("host busy", _crowded, _crowding),
    Check("conditions", _doubts,
           _when("doubtful", True, "weakens", "a run's own checks raised warnings")),
    Check("peak memory covers", _said("memory_scope"),
           _unlike("memory_scope", "noted", "different quantities, so no ratio is given")),
    Check("tolerance of the check", _said("tolerance"),
          _unlike("tolerance", "noted", "results were checked less strictly on one side")),
    Check("seed", _said("seed"), _unlike("seed", "noted", "other random weights and inputs of the same shapes")),
    *(Check(title, _network(name), _unlike(name, "blocks", "another network under the same name"), same_work=True)
      for name, title in NETWORK.items()),
    Check("bytes a sample", _network("bytes_per_sample"),
          _unlike("bytes_per_sample", "noted", "the same network is computed in other operations"), SPEED,
          same_work=True),
    Check("weights", _said("weights"), _unlike("weights", "weakens", "power depends on the values multiplied")),
)  # fmt: skip
