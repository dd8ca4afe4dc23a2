"""The correctness gate: the case's own step on a small seeded batch, against a float64 reference on the CPU.

A fast wrong answer is not a result: `wrong` excludes a case from every comparison.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from gpuprof.absent import NOT_FINITE, Absent
from gpuprof.record.case import Correctness
from gpuprof.worker import precision, seeded
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network, definition
from gpuprof.worker.step import Stepper
from gpuprof.workloads.case import CaseSpec

SEED = 20_261_123
STEPS = 20
MAX_LENGTH = 100
# Relative errors by the precision actually used: (passes up to, wrong above). The five networks on a CPU stay below
# 3e-6 (ieee), 2e-3 (fp16) and 2e-2 (bf16); arithmetic of a lower class than claimed shows as drift.
TOLERANCE = {"ieee": (1e-4, 1e-2), "tf32": (1e-2, 1e-1), "fp16": (1e-2, 1e-1), "bf16": (5e-2, 5e-1)}
SHIPPED = Path(__file__).with_name("references.json")


@dataclass(frozen=True)
class Reference:
    """What a float64 CPU run of the small batch gives; `output` is the flat prediction before training.

    `loss_curve` holds each loss of each step, in the order they were computed; `loss` is the first of them.
    `gradient_norms` holds, before the first step, the norm of each loss's gradients in its group.
    """

    source: str
    output: list[float]
    loss: float
    gradient_norms: list[float]
    loss_curve: list[float]


def small_case(case: CaseSpec) -> CaseSpec:
    """The case that the gate runs: the network's `gate_batch_size`, and lengths of 100 at most."""
    lengths: dict[str, Any] = {name: length for name, length in small_lengths(case).items() if hasattr(case, name)}
    return replace(case, batch_size=definition(case)[0].gate_batch_size, seed=SEED, **lengths)


def small_lengths(case: CaseSpec) -> dict[str, int]:
    """The lengths of the gate, also those that are no keys of cases."""
    return {name: min(length, MAX_LENGTH) for name, length in case.lengths.items()}


def small_batch(case: CaseSpec) -> Any:
    """The batch of the gate, on the CPU; fixed by SEED alone."""
    workload, params = definition(case)
    return workload.batch(params, small_lengths(case), case.batch_size, seeded.Seeded(SEED))


def reference_key(case: CaseSpec) -> str:
    """What a reference depends on: never the device, precision, variant or batch size of the case.

    Nor its mode, unless the network answers otherwise in it.
    """
    small = small_case(case)
    mode = [small.mode] if definition(small)[0].modes_differ else []
    params = {key: value for key, value in small.params.items() if key != "fused"}
    lengths: list[int | None] = [*small_lengths(case).values()] or [None]
    return json.dumps([small.workload, *mode, *lengths, small.batch_size, params], sort_keys=True)


def compute_reference(case: CaseSpec, source: str = "computed on this machine's CPU") -> Reference:
    """Plain float64 on the CPU: network, losses and optimizers, without any of the code that is being checked."""
    small = small_case(case)
    workload = definition(small)[0]
    network = build_network(small, ComputeDevice(None), SEED)[0].double()
    batch = tree_map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, small_batch(small))
    with torch.no_grad():
        output = workload.predict(network, batch).flatten().tolist()
    twin = copy.deepcopy(network)
    twins_groups = workload.groups(twin)
    norms = []
    for name, loss in workload.losses(twin, batch):
        gradients = torch.autograd.grad(loss, twins_groups[name].parameters, allow_unused=True)
        norms.append(math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None)))
    groups, rate = workload.groups(network), workload.gate_learning_rate
    optimizers = {
        name: getattr(torch.optim, group.optimizer.name)(
            group.parameters, **dict(group.optimizer.options) | ({} if rate is None else {"lr": rate})
        )
        for name, group in groups.items()
    }
    curve = []
    for _ in range(STEPS):
        for name, loss in workload.losses(network, batch):
            parameters = groups[name].parameters
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizers[name].step()
            curve.append(loss.item())
    return Reference(source, output, curve[0], norms, curve)


def find_reference(case: CaseSpec) -> Reference:
    """The shipped reference where there is one, else a computed one (minutes for a large network)."""
    shipped = json.loads(SHIPPED.read_text("utf-8")) if SHIPPED.is_file() else {}
    if (values := shipped.get(reference_key(case))) is not None:
        return Reference("shipped with gpuprof", **values)
    return compute_reference(case)


def reference_as_json(reference: Reference) -> dict[str, Any]:
    """An entry of `references.json`: all of it but `source`, which is added when it is read."""
    values = asdict(reference)
    del values["source"]
    return values


def check(case: CaseSpec, device: ComputeDevice, arithmetic: Sequence[str | None]) -> dict[str, Any]:
    """Run the gate; returns the fields of `Correctness`. `arithmetic` has the probe's word for each operation.

    The coarsest arithmetic sets the tolerance; without a known one it is the precision asked for. For `graph` the loss
    curve comes from replays of two graphs in turn, as timed steps do; the output and gradients of training come from
    the network that they were captured from.
    """
    reference = find_reference(case)
    small = small_case(case)
    batch = tree_map(lambda tensor: tensor.to(device.torch), small_batch(small))
    workload = definition(small)[0]
    network, _ = build_network(small, device, SEED)
    # The same batch twice: one reference serves every step, and a graph is captured for each of the two.
    stepper = Stepper(small, device, network, [batch] * 2, workload.gate_learning_rate)
    errors: dict[str, float | None] = dict.fromkeys(("loss_error", "gradient_norm_error", "loss_curve_error"))
    curve: list[float] = []
    if small.mode == "infer":
        with stepper.context:
            output = stepper.step()
    else:
        # Before the first step, as in the reference: training changes the weights.
        with torch.no_grad(), precision.autocast(device, small.precision):
            output = workload.predict(network, batch)
        norms = stepper.gradient_norms(batch)
        pairs = zip(norms, reference.gradient_norms, strict=True)
        errors["gradient_norm_error"] = max(relative(norm - expected, expected) for norm, expected in pairs)
        curve = [float(loss.detach()) for _ in range(STEPS) for loss in stepper.step()]
        curve_errors = _curve_errors(curve, reference.loss_curve, workload.losses_per_step)
        errors["loss_error"] = max(curve_errors[: workload.losses_per_step])  # of the first step
        errors["loss_curve_error"] = max(curve_errors)
    answer = torch.tensor(reference.output, dtype=torch.float64)
    off = output.detach().cpu().double().flatten() - answer
    errors["output_error"] = relative(float(off.norm()), float(answer.norm()))
    tolerance = max((TOLERANCE[a] for a in arithmetic if a in TOLERANCE), default=TOLERANCE[small.precision])
    return judge(errors, curve, tolerance, small, reference.source)


def judge(
    errors: dict[str, float | None], curve: list[float], tolerance: tuple[float, float], small: CaseSpec, source: str
) -> dict[str, Any]:
    """The fields of `Correctness`, with the verdict from the largest error.

    An error or loss that is not finite makes the case wrong; it becomes None, the error with that reason.
    """
    worst = max(value for value in errors.values() if value is not None)
    finite = all(math.isfinite(value) for value in errors.values() if value is not None)
    passes, wrong = tolerance
    verdict = "wrong" if not finite or worst > wrong else "drift" if worst > passes else "pass"
    absent = {
        name: "not part of inference" if value is None else NOT_FINITE
        for name, value in errors.items()
        if value is None or not math.isfinite(value)
    }
    if small.seq_len is None:
        absent["seq_len"] = "the workload has no sequence"
    return {
        "verdict": verdict,
        **{name: None if name in absent else value for name, value in errors.items()},
        "loss_curve": [value if math.isfinite(value) else None for value in curve],
        "tolerance": passes,
        "wrong_above": wrong,
        "batch_size": small.batch_size,
        "seq_len": small.seq_len,
        "reference": source,
        "absent": absent,
    }


def joined(found: dict[str, Any], batch_error: float | Absent) -> dict[str, Any]:
    """The fields of `Correctness` with what the second gate found (`worker.consistency`): the worse verdict counts."""
    verdict, found_by = found["verdict"], "reference"
    known = not isinstance(batch_error, Absent) and math.isfinite(batch_error)
    absent = dict(found["absent"])
    if isinstance(batch_error, Absent):
        absent["batch_error"] = batch_error.reason
    else:
        if not known:
            absent["batch_error"] = NOT_FINITE
        if verdict != "wrong" and (not known or batch_error > found["wrong_above"]):
            verdict, found_by = "wrong", "batch"
        elif verdict == "pass" and batch_error > found["tolerance"]:
            verdict, found_by = "drift", "batch"
    if verdict == "pass":
        absent["found_by"] = "nothing was found"
    return found | {
        "verdict": verdict,
        "found_by": None if verdict == "pass" else found_by,
        "batch_error": batch_error if known else None,
        "absent": absent,
    }


def not_checked(reason: str) -> dict[str, Any]:
    """The fields of `Correctness` where the gate could not give a verdict."""
    return Correctness.unknown(reason).model_dump()


def relative(difference: float, scale: float) -> float:
    """|difference / scale|: zero where nothing differs, infinite where that is no number."""
    if difference == 0:
        return 0.0
    error = abs(difference / scale) if scale else math.inf
    return error if not math.isnan(error) else math.inf


def _curve_errors(curve: Sequence[float], reference: Sequence[float], losses_per_step: int) -> list[float]:
    """The error of each loss, relative to the largest reference for that loss over the steps.

    A single reference may be near zero, where a relative error says nothing. Losses are not added up: errors of
    opposite sign would cancel.
    """
    scales = [max(map(abs, reference[kind::losses_per_step])) for kind in range(losses_per_step)]
    pairs = enumerate(zip(curve, reference, strict=True))
    return [relative(value - expected, scales[index % losses_per_step]) for index, (value, expected) in pairs]
