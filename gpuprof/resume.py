"""`run --resume`: which cases the store already holds, measured under the same conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gpuprof
from gpuprof.config import Suite
from gpuprof.digest import Brief
from gpuprof.index import Index
from gpuprof.record import Protocol
from gpuprof.selector import Condition, Selector
from gpuprof.telemetry import all_devices
from gpuprof.telemetry.attribute import Match, attribute
from gpuprof.telemetry.device import Backend, Lost
from gpuprof.telemetry.patience import patiently

# Of a protocol: how often is counted, not compared, and how long a repeat may take changes no result.
_NOT_COMPARED = ("repeats", "timeout_s")


@dataclass(frozen=True)
class Conditions:
    """What has to be the same for a stored case to stand for one that would be measured now.

    The driver is None where no telemetry says which it is: unknown equals unknown only. Hosts are not compared: two
    machines with the same device model and versions are meant to share the work.
    """

    device: str
    simulated: bool
    driver: Any
    torch: str | None
    gpuprof: str = gpuprof.__version__

    def met_by(self, run: Brief) -> bool:
        head, facts = run.head.data, run.facts.data
        stored = Conditions(
            head["device"], head["simulated"], facts.get("driver_version"), facts.get("torch"), facts["gpuprof"]
        )
        return stored == self


def conditions(device: Mapping[str, Any], torch: str | None, backends: Sequence[Backend]) -> Conditions:
    """Of measuring now on this device (fields of `record.Device`)."""
    found = attribute(all_devices(list(backends)), device)
    driver = None
    if isinstance(found, Match):
        try:
            identity, _ = patiently(found.device.identity)
        except Lost:
            identity = {}
        said = identity.get("driver_version")
        driver = None if said is None else said.value
    return Conditions(device["name"], isinstance(found, Match) and found.device.simulated, driver, torch)


def held(index: Index, suite: Suite, protocol: Protocol, now: Conditions, cores: int) -> dict[str, str]:
    """Case -> newest run that holds it: measured, not found wrong, and with as many good repeats as are asked for.

    `cores` is the number of threads where a case names none.
    """
    wanted = {spec.case_id: spec.threads or cores for spec in suite.cases}
    asked = _compared(protocol.model_dump(mode="json", exclude={"absent"}))

    def holds(case: Mapping[str, Any]) -> bool:
        measured = case["outcome"] == "ok" and case["correctness"] != "wrong" and case["repeats"] >= protocol.repeats
        return measured and wanted.get(case["case_id"]) == case["threads"]

    found: dict[str, str] = {}
    for run, _ in index.briefs(Selector((Condition("device", "=", now.device),))):
        if now.met_by(run) and _compared(run.facts.data["protocol"]) == asked:
            found |= {text.data["case_id"]: run.run_id for text, _ in run.cases if holds(text.data)}
    return found


def _compared(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in protocol.items() if name not in _NOT_COMPARED}
