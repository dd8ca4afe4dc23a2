"""Sides of comparisons, made up in numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprof.analysis import compare as analysis
from gpuprof.analysis.evidence import Evidence, gather
from gpuprof.case_keys import KEYS
from gpuprof.index.digest import CaseDigest, Digest, digest
from gpuprof.metrics import METRICS
from gpuprof.store import runs as store

NOW = "2026-11-23T12:00:00.000Z"
STEADY = (100.0, 101.0, 99.0)


def case(rates: Any = STEADY, *, latency: Any = (), first_step: float | None = None, facts: dict | None = None,
         **more: Any) -> CaseDigest:  # fmt: skip
    """A case that nothing can be said against, but for `more`."""
    processes = {"throughput_per_s": list(rates), "latency_p50_s": list(latency)}
    values = {name: sorted(found)[len(found) // 2] for name, found in processes.items() if found}
    if first_step is not None:
        values["first_step_s"] = first_step
    fields: dict[str, Any] = {key.name: key.default for key in KEYS.values()} | {
        "case_id": "x", "workload": "lstm", "requested": "ieee", "seq_len": 100, "threads": 1, "params": {},
        "fallback": False, "outcome": "ok", "reason": None, "correctness": "pass", "steady": True,
        "regime": "device-bound", "energy_method": "counter",
        "processes": {name: found for name, found in processes.items() if found},
        "order": list(range(len(rates))), "values": values, "facts": facts or {},
    } | more  # fmt: skip
    absent = {metric.key: "not measured here" for metric in METRICS if metric.key not in fields["values"]}
    return CaseDigest(absent=absent, **fields)


PROTOCOL = {"name": "full", "repeats": 5}
FACTS = {
    "gpuprof": "0.2", "torch": "2.9.0", "torch_build": "cuda", "libraries": {"cudnn": "9.1"}, "variables": {},
    "cpu": "EPYC", "cores": 64, "kernel": "6.1", "os": "Linux", "python": "3.11", "config": "abc",
    "protocol": PROTOCOL, "scope": "board", "driver_version": "550.1", "ecc_enabled": True,
}  # fmt: skip
_numbers = itertools.count()


def run(*cases: CaseDigest, machine: str = "a", facts: dict | None = None, **more: Any) -> Digest:
    number = next(_numbers)
    fields: dict[str, Any] = {
        "run_id": f"20261123T090000Z-test-{number:08x}", "started_at": NOW, "outcome": "ok", "simulated": False,
        "kind": "gpu", "vendor": "nvidia", "device": "H100", "host": f"host of {machine}", "machine": machine,
        "facts": {name: value for name, value in (FACTS | (facts or {})).items() if value is not None},
        "where": f"results/{number}",
    } | more  # fmt: skip
    return Digest(cases=[_apart(found, number) for found in cases], **fields)


def _apart(found: CaseDigest, number: int) -> CaseDigest:
    """The case with values that no other run has: runs with equal ones count as copies of one."""
    processes = {metric: [value * (1 + 1e-11 * number) for value in each] for metric, each in found.processes.items()}
    return replace(found, processes=processes)


def side(*digests: Digest, text: str = "side") -> Evidence:
    return gather(text, [(found, found.cases) for found in digests])


def one(*cases: CaseDigest, **more: Any) -> Evidence:
    return side(run(*cases, **more))


def real(path: Path, text: str = "") -> Evidence:
    found = digest(store.read(path), str(path))
    return gather(text or path.name, [(found, found.cases)])


def compare(baseline: Evidence, candidate: Evidence, **more: Any) -> Any:
    """Without the line that any two runs of one machine get (see the test of `turns`)."""
    found = analysis.compare(baseline, candidate, **more)
    return replace(found, ledger=[entry for entry in found.ledger if entry.key != "turns"])


def claims(found, metric: str = "throughput_per_s", view: str = "iso-batch") -> list:
    return [claim for claim in found.claims if (claim.metric, claim.view) == (metric, view)]


def rows(found) -> dict[str, Any]:
    return {entry.key: entry for entry in (*found.ledger, *found.alike)}
