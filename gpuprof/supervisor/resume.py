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
from gpuprof.record.variables import settings
from gpuprof.system import environment
from gpuprof.telemetry import all_devices
from gpuprof.telemetry.attribute import Match, attribute, simulated
from gpuprof.telemetry.device import Backend, Device, Lost
from gpuprof.telemetry.patience import patiently

# In a protocol: repeats are counted instead, and a repeat's time limit changes no result.
_NOT_COMPARED = ("repeats", "timeout_s")
# In a run's digest: what can change a result and is known before anything is measured.
_SENSED = ("driver_version", "partition", "power_limit_w", "ecc_enabled")
_FACTS = ("gpuprof", "gpuprof_commit", "torch", "torch_build", "libraries", "variables", *_SENSED)


@dataclass(frozen=True)
class Conditions:
    """What has to be equal for a stored case to replace one that would be measured now.

    A fact that is missing is unknown, as the driver is without telemetry, and equals only another unknown. Hosts are
    not compared: two machines with the same device model and versions are meant to share the work.
    """

    device: str
    simulated: bool
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, run: Brief) -> Conditions:
        """The conditions under which a stored run was measured."""
        head = run.head.data
        return cls(head["device"], head["simulated"], _facts(run.facts.data))


def conditions(device: Mapping[str, Any], torch: Mapping[str, Any], backends: Sequence[Backend]) -> Conditions:
    """The conditions of measuring now: `device` holds fields of `record.run.Device`, `torch` is `Machine.torch`."""
    match = attribute(all_devices(list(backends)), device)
    facts = {**environment.describe(), **torch}
    if isinstance(match, Match):
        facts |= _sensed(match.device.attributed())  # as a run reads them
    return Conditions(device["name"], simulated(device["name"], match), _facts(facts))


def _facts(known: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: known[name] for name in _FACTS if known.get(name) is not None}
    facts["variables"] = settings(facts.get("variables") or {})  # the host is not compared, nor its cards or job
    return facts


def _sensed(device: Device) -> dict[str, Any]:
    try:
        readings, _ = patiently(lambda: device.identity() | device.facts())
    except Lost:
        return {}
    return {name: readings[name].value for name in _SENSED if name in readings}


def held(index: Index, configuration: Configuration, protocol: Protocol, now: Conditions, cores: int) -> dict[str, str]:
    """Case id -> id of the newest run that holds the case: measured, not wrong, with as many good repeats as asked for.

    `cores` is the number of threads of a case that names none.
    """
    threads = {spec.case_id: spec.threads or cores for spec in configuration.cases}
    planned = _compared(protocol.model_dump(mode="json", exclude={"absent"}))

    def holds(case: Mapping[str, Any]) -> bool:
        measured = case["outcome"] == "ok" and case["correctness"] != "wrong" and case["repeats"] >= protocol.repeats
        return measured and threads.get(case["case_id"]) == case["threads"]

    newest: dict[str, str] = {}
    for run, _ in index.briefs(Selector((Condition("device", "=", now.device),))):  # oldest first
        if Conditions.of(run) == now and _compared(run.facts.data["protocol"]) == planned:
            newest |= {text.data["case_id"]: run.run_id for text, _ in run.cases if holds(text.data)}
    return newest


def _compared(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in protocol.items() if name not in _NOT_COMPARED}
