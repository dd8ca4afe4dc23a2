"""A comparison or an overview as one JSON document, for programs. Numbers in SI units, unrounded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gpuprof
from gpuprof.absent import Absent
from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import Compared, Comparison, Side, side
from gpuprof.analysis.evidence import Evidence
from gpuprof.analysis.names import names
from gpuprof.index.brief import as_text
from gpuprof.metrics import BY_KEY, METRICS
from gpuprof.report.stories.answer import answer
from gpuprof.report.stories.overview import Overview

SCHEMA = "gpuprof.comparison/1"
OVERVIEW = "gpuprof.overview/1"


def document(comparison: Comparison, now: str) -> dict[str, Any]:
    """A comparison (SCHEMA), made at the time `now` (ISO 8601)."""
    return {
        "schema": SCHEMA,
        "gpuprof": gpuprof.__version__,
        "made_at": now,
        "simulated": comparison.simulated,
        "headline": answer(comparison, names(comparison.baseline, comparison.candidate)).whole,
        "baseline": _side(comparison.baseline),
        "candidate": _side(comparison.candidate),
        "vary": list(comparison.vary),
        "machine_spread": comparison.machine_spread,
        "coverage": comparison.coverage,
        "overall": _claim(comparison.overall),
        "claims": [_claim(claim) for claim in comparison.claims],
        "ledger": [asdict(entry) for entry in comparison.ledger],
        "plan": {"least": comparison.least, "power": 0.8, "options": [asdict(plan) for plan in comparison.plans]},
        "alike": [asdict(entry) for entry in comparison.alike],
        "cases": [_case(case) for case in comparison.cases],
        "only_baseline": [case.newest.case_id for case in comparison.only_baseline],
        "only_candidate": [case.newest.case_id for case in comparison.only_candidate],
        "skipped": sorted({*comparison.baseline.skipped, *comparison.candidate.skipped}),
    }


def _side(side: Evidence) -> dict[str, Any]:
    return {
        "selected_by": side.text,
        "device": side.device,
        "machines": len(side.machines),
        "earlier_runs": len(side.earlier),
        "simulated": True in side.simulated,
        "runs": [run for run, _, _ in side.runs],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    effect = claim.effect
    return {
        "workload": claim.workload,
        "case": claim.case,
        "metric": claim.metric,
        "better": BY_KEY[claim.metric].better,
        "view": claim.view,
        "allowed": claim.allowed,
        "verdict": claim.verdict,
        "reason": claim.reason,
        "ratio": claim.ratio,
        # At the level at which the claim was tested, beside the plain 95%.
        "interval": claim.interval,
        "confidence": None if claim.interval is None else 1 - claim.level,
        "ci95": claim.ci95,
        "mde": claim.mde,
        "p_adjusted": claim.p_adjusted,
        "unit": claim.unit,
        "units": claim.units,
        "spread": claim.spread,
        "shift": claim.shift,
        "errors": None
        if effect is None or effect.measured is None
        else {"measured": effect.measured._asdict(), "added": effect.added._asdict()},
    }


def _case(case: Compared) -> dict[str, Any]:
    even = case.break_even
    return {
        "case": case.title,
        "allowed": case.pair.allowed,
        "reasons": list(case.pair.reasons),
        "differs": list(case.pair.differs),
        "baseline": {name: as_text(value) for name, value in case.pair.baseline.fields.items()},
        "candidate": {name: as_text(value) for name, value in case.pair.candidate.fields.items()},
        "break_even_steps": None if isinstance(even, Absent) else even.steps,
        "break_even": even.reason if isinstance(even, Absent) else even.says,
        "metrics": {
            key: {
                "unit": BY_KEY[key].unit,
                "better": BY_KEY[key].better,
                "baseline": _value(d.baseline),
                "candidate": _value(d.candidate),
                "ratio": None if d.effect is None else d.effect.ratio,
                "ratio_ci95": None if d.effect is None else d.effect.ci95,
                "ratio_scatter_ci95": None if d.effect is None else d.effect.scatter_ci95,
            }
            for key, d in case.differences.items()
        },
    }


def _value(side: Side) -> dict[str, Any]:
    value, why = (None, side.value.reason) if isinstance(side.value, Absent) else (side.value, None)
    return {"value": value, "ci95": side.ci95, "units": side.units, "unit_of_inference": side.unit,
            "absent": why or None}  # fmt: skip


def overview(overview: Overview, now: str) -> dict[str, Any]:
    """An overview (OVERVIEW), made at the time `now`: each device's cases with all metrics; no comparison."""
    return {
        "schema": OVERVIEW,
        "gpuprof": gpuprof.__version__,
        "made_at": now,
        "simulated": overview.simulated,
        "devices": [
            {
                **_side(device),
                "cases": [
                    {
                        "case_id": case.newest.case_id,
                        "workload": case.newest.workload,
                        "mode": case.newest.mode,
                        **{name: as_text(value) for name, value in case.fields.items()},
                        "metrics": {m.key: _value(side(case, m)) | {"unit": m.unit} for m in METRICS},
                    }
                    for case in device.cases.values()
                ],
            }
            for device in overview.devices
        ],
        "skipped": sorted(overview.skipped),
    }
