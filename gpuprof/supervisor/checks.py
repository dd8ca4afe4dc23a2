"""The checks of cases before, or without, any timing: counts, precision probe, gates."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gpuprof.absent import NOT_FINITE
from gpuprof.supervisor import plan
from gpuprof.supervisor.jobs import Job
from gpuprof.supervisor.machine import Inspector, State
from gpuprof.supervisor.worker_process import WorkerFailed
from gpuprof.telemetry.attribute import simulated
from gpuprof.workloads.case import CaseSpec


@dataclass(frozen=True)
class Checked:
    """What became of a case's checks, on the device of that name."""

    device: str
    case: CaseSpec
    state: State
    why: str  # it is unsupported or failed, or which gate it does not pass; "" otherwise
    seconds: float
    findings: dict[str, Any]  # fields of `record.case.Case`; empty where the worker gave none

    def as_json(self) -> dict[str, Any]:
        """Plain data for a machine."""
        return {
            "case_id": self.case.case_id,
            "device": self.device,
            "simulated": simulated(self.device),
            "state": self.state,
            "why": self.why or None,
            "error": self._error,
            "seconds": round(self.seconds, 2),
            "precision": self.findings.get("precision") or {"requested": self.case.precision, "effective": None},
            "correctness": self.findings.get("correctness"),
            "warnings": self.findings.get("warnings", []),
        }

    @property
    def _error(self) -> float | None:
        """The largest of its relative errors; None where none was found, or where one is not finite."""
        gates = self.findings.get("correctness") or {}
        if any(k.endswith("_error") and why == NOT_FINITE for k, why in gates.get("absent", {}).items()):
            return None
        return max((v for k, v in gates.items() if k.endswith("_error") and v is not None), default=None)


def check(jobs: Iterable[Job], inspector: Inspector) -> Iterator[Checked]:
    """Check each case of each job; a worker that dies or takes too long costs its own case.

    It ends early where a worker could not be ended: `inspector.stuck` says why.
    """
    for job in jobs:
        timeout_s = plan.protocol(job.configuration, quick=False).timeout_s
        for spec in job.configuration.cases:
            started, why = time.monotonic(), ""
            findings: dict[str, Any] = {}
            state: State
            try:
                findings, state = inspector.check(spec, job.device["index"], timeout_s)
                if state in ("unsupported", "failed"):
                    absent = findings["correctness"]["absent"]
                    why = absent.get("verdict") or absent["batch_error"]
                elif state != "pass":
                    gate = findings["correctness"]
                    at_size = f"its batch of {spec.batch_size} and the few rows that it repeats disagree"
                    small = f"its batch of {gate['batch_size']} and the float64 reference disagree"
                    why = at_size if gate["found_by"] == "batch" else small
            except WorkerFailed as error:
                state = "unsupported" if error.outcome == "unsupported" else "failed"
                why = error.reason if state == "unsupported" else f"{error.outcome.replace('_', ' ')}: {error.reason}"
            yield Checked(job.device["name"], spec, state, why, time.monotonic() - started, findings)
            if inspector.stuck:  # whatever came next would be a stranger's fault
                return
