"""What is checked once per case, outside every timed window: counts, precision, correctness, origin of the weights."""

from __future__ import annotations

import os
import traceback
from dataclasses import asdict
from typing import Any

import torch

from gpuprof.absent import Absent
from gpuprof.messages import Inspect
from gpuprof.worker import compiled, consistency, correctness, flops, precision
from gpuprof.worker.channel import Channel, Unsupported
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network, definition
from gpuprof.workloads.case import CaseSpec


def inspect(request: Inspect, channel: Channel) -> dict[str, Any]:
    """Fields of `record.case.Case` that do not come from timing. A gate that fails to run is reported, not raised."""
    case, device = request.case, ComputeDevice(request.device)
    assert case.threads is not None, "the supervisor resolves the threads"
    torch.set_num_threads(case.threads)
    workload, params = definition(case)
    declared = workload.flops(params, case.lengths)
    counted, bytes_per_sample = flops.count(case)
    warnings = []
    if counted != declared:
        warnings.append(f"FLOPs differ: closed form {declared}, meta device {counted}")
    if case.threads > (cores := len(os.sched_getaffinity(0))):
        warnings.append(f"{case.threads} threads on {cores} cores: they will wait for each other")
    trainable, everything = flops.parameters(case)

    precision.switch(case.precision)
    precision.fused_recurrent(case.params.get("fused", True))
    probes = precision.probe(device, case.precision)
    if why := precision.refused(probes, workload.operations):
        raise Unsupported(f"no kernel for precision {case.precision} on this device: {why}")
    effective = precision.effective(probes, workload.operations)
    if not isinstance(effective, Absent) and effective != case.precision:
        warnings.append(f"precision {case.precision} was requested, but this device used {effective}")

    weights = build_network(case, ComputeDevice(None), case.seed)[1]
    if weights.source == "random" and params.model_dump().get("weights", "random") != "random":
        warnings.append(weights.note)
    arithmetic = [probes[name]["effective"] for name in workload.operations]
    verdict, state = _gate(case, device, arithmetic)
    if verdict["verdict"] is not None:
        compiled.some(case)
    return {
        "state": state,
        # After an error on a device, this process may fail whatever comes next.
        "shaken": state in ("unsupported", "failed") or any(p["effective"] is None for p in probes.values()),
        "trainable_parameters": trainable,
        "parameters": everything,
        "flops": {
            **asdict(declared),
            "counted_on": "closed form, equal on the meta device" if counted == declared else "closed form",
        },
        "flops_per_sample": declared.forward + (declared.backward if case.mode == "train" else 0),
        "bytes_per_sample": bytes_per_sample,
        "weights": asdict(weights) | ({"absent": {"sha256": "no weights file"}} if weights.sha256 is None else {}),
        "precision": {
            "requested": case.precision,
            "effective": None if isinstance(effective, Absent) else effective,
            "probe": probes,
            "flags": precision.flags(),
            "absent": {"effective": effective.reason} if isinstance(effective, Absent) else {},
        },
        "correctness": verdict,
        "warnings": warnings,
    }


def _gate(case: CaseSpec, device: ComputeDevice, arithmetic: list[str | None]) -> tuple[dict[str, Any], str]:
    """The fields of `Correctness`, and in a word what came of both gates: the verdict, `unsupported` or `failed`.

    A batch of the case's own size that fails to run leaves the verdict of the small one in the fields.
    """
    try:
        found = correctness.check(case, device, arithmetic)
    except Unsupported as error:
        return correctness.not_checked(str(error)), "unsupported"
    except Exception as error:  # noqa: BLE001 - a case that cannot run is a finding; its counts still stand
        return correctness.not_checked(f"the correctness gate could not run: {_said(error)}"), "failed"
    if found["verdict"] == "wrong":
        return correctness.joined(found, Absent("the small batch is wrong already")), "wrong"
    try:
        both = correctness.joined(found, consistency.error(case, device, found["tolerance"]))
    except Exception as error:  # noqa: BLE001 - a batch of that size may not even fit
        return correctness.joined(found, Absent(f"the batch could not be checked: {_said(error)}")), "failed"
    return both, both["verdict"]


def _said(error: Exception) -> str:
    traceback.print_exc()
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:200]}"
