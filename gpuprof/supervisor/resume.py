"""`run --resume`: which cases the store already holds, measured under the same conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof.config.configuration import Configuration
from gpuprof.index.brief import Brief
from gpuprof.index.database import Index
from gpuprof.index.selector import Condition, Selector
from gpuprof.record.protocol import Protocol
from gpuprof.system import environment
from gpuprof.telemetry import all_devices
from gpuprof.telemetry.attribute import Match, attribute
from gpuprof.telemetry.device import Backend, Device, Lost
from gpuprof.telemetry.patience import patiently

# Of a protocol: how often is counted, not compared, and how long a repeat may take changes no result.
_NOT_COMPARED = ("repeats", "timeout_s")
# Of what a run's digest says: what can change a result, and is known before one is measured.
_SENSED = ("driver_version", "partition", "power_limit_w", "ecc_enabled")
_FACTS = ("gpuprof", "gpuprof_commit", "torch", "torch_build", "libraries", "variables", *_SENSED)


@dataclass(frozen=True)
class Conditions:
    """What has to be the same for a stored case to stand for one that would be measured now.

    What is not in `facts` is unknown, as where no telemetry tells the driver: unknown equals unknown only. Hosts are
    not compared: two machines with the same device model and versions are meant to share the work.
    """

    device: str
    simulated: bool
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, run: Brief) -> Conditions:
        head = run.head.data
        return cls(head["device"], head["simulated"], _facts(run.facts.data))


def conditions(device: Mapping[str, Any], torch: Mapping[str, Any], backends: Sequence[Backend]) -> Conditions:
    """Of measuring now on this device (fields of `record.run.Device`); `torch` is that of Machine."""
    match = attribute(all_devices(list(backends)), device)
    facts = {**environment.describe(), **torch}
    if isinstance(match, Match):
        facts |= _sensed(match.device.attributed())  # as a run reads them
    return Conditions(device["name"], isinstance(match, Match) and match.device.simulated, _facts(facts))


def _facts(said: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: said[name] for name in _FACTS if said.get(name) is not None}
    # Which card of a host, and for which job: no more compared than the host itself.
    variables = facts.get("variables") or {}
    facts["variables"] = {
        name: value
        for name, value in variables.items()
        if name != "SLURM_JOB_ID" and not name.endswith("_VISIBLE_DEVICES")
    }
    return facts


def _sensed(device: Device) -> dict[str, Any]:
    try:
        said, _ = patiently(lambda: device.identity() | device.facts())
    except Lost:
        return {}
    return {name: said[name].value for name in _SENSED if name in said}


def held(index: Index, configuration: Configuration, protocol: Protocol, now: Conditions, cores: int) -> dict[str, str]:
    """Case -> newest run that holds it: measured, not found wrong, and with as many good repeats as are asked for.

    `cores` is the number of threads where a case names none.
    """
    wanted = {spec.case_id: spec.threads or cores for spec in configuration.cases}
    asked = _compared(protocol.model_dump(mode="json", exclude={"absent"}))

    def holds(case: Mapping[str, Any]) -> bool:
        measured = case["outcome"] == "ok" and case["correctness"] != "wrong" and case["repeats"] >= protocol.repeats
        return measured and wanted.get(case["case_id"]) == case["threads"]

    found: dict[str, str] = {}
    for run, _ in index.briefs(Selector((Condition("device", "=", now.device),))):
        if Conditions.of(run) == now and _compared(run.facts.data["protocol"]) == asked:
            found |= {text.data["case_id"]: run.run_id for text, _ in run.cases if holds(text.data)}
    return found


def _compared(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in protocol.items() if name not in _NOT_COMPARED}
