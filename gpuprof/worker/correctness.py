"""The correctness gate: the case's own step on a small seeded batch, against a float64 reference on the CPU.

A fast wrong answer is not a result: `wrong` excludes a case from every comparison.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gpuprof.record.case import Correctness
from gpuprof.worker import precision, seeded
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.step import EPSILON, INITIAL_LOSS_SCALE, Batch, Stepper, build_network
from gpuprof.workloads.case import CaseSpec

SEED = 20_261_123
STEPS = 20
MAX_SEQ_LEN = 100
# Relative errors by the arithmetic that really ran: (passes up to, wrong above). The five networks on a CPU stay below
# 3e-6 (ieee), 2e-3 (fp16) and 2e-2 (bf16); arithmetic of a lower class than claimed shows as drift.
TOLERANCE = {"ieee": (1e-4, 1e-2), "tf32": (1e-2, 1e-1), "fp16": (1e-2, 1e-1), "bf16": (5e-2, 5e-1)}
SHIPPED = Path(__file__).with_name("references.json")


@dataclass(frozen=True)
class Reference:
    """What a float64 CPU run of the small batch gives; `output` is the flat prediction before training."""

    source: str
    output: list[float]
    loss: float
    gradient_norm: float
    loss_curve: list[float]


def small_case(case: CaseSpec) -> CaseSpec:
    """The case that the gate runs: a batch of 4 (2 for large images) and at most 100 time steps."""
    workload, params = case.definition()
    large = math.prod(workload.input_shape(params, 1)) > 10_000
    seq_len = None if case.seq_len is None else min(case.seq_len, MAX_SEQ_LEN)
    return replace(case, batch_size=2 if large else 4, seq_len=seq_len, seed=SEED)


def small_batch(case: CaseSpec) -> Batch:
    """Input and target of the gate, on the CPU; fixed by SEED alone."""
    workload, params = case.definition()
    x = seeded.batch(SEED, (case.batch_size, *workload.input_shape(params, case.seq_len)))
    return x, workload.target(seeded.uniform(SEED, "target", (case.batch_size,)) / 2 + 0.5)


def reference_key(case: CaseSpec) -> str:
    """What a reference depends on: never the device, precision, variant or batch size of the case."""
    small = small_case(case)
    params = {key: value for key, value in small.params.items() if key != "fused"}
    return json.dumps([small.workload, small.seq_len, small.batch_size, params], sort_keys=True)


def compute_reference(case: CaseSpec, source: str = "computed on this machine's CPU") -> Reference:
    """Plain float64 on the CPU: the network, its loss and Adam, without any of the code that is being checked."""
    small = small_case(case)
    workload = small.definition()[0]
    network = build_network(small, ComputeDevice(None), SEED)[0].double()
    x, y = small_batch(small)
    x = x.double()
    with torch.no_grad():
        output = workload.predict(network(x)).flatten().tolist()
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=workload.gate_learning_rate, eps=EPSILON)
    curve, norm = [], 0.0
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = workload.loss(network(x), y)
        loss.backward()
        if step == 0:
            norm = _norm(trained)
        optimizer.step()
        curve.append(loss.item())
    return Reference(source, output, curve[0], norm, curve)


def find_reference(case: CaseSpec) -> Reference:
    """The shipped reference where there is one, else a computed one (minutes for a large network)."""
    shipped = json.loads(SHIPPED.read_text("utf-8")) if SHIPPED.is_file() else {}
    if (found := shipped.get(reference_key(case))) is not None:
        return Reference("shipped with gpuprof", **found)
    return compute_reference(case)


def reference_as_json(reference: Reference) -> dict[str, Any]:
    values = asdict(reference)
    del values["source"]
    return values


def check(case: CaseSpec, device: ComputeDevice, arithmetic: Sequence[str | None]) -> dict[str, Any]:
    """Run the gate; returns the fields of `Correctness`. `arithmetic` is what the probe found to run.

    Tolerance is that of the coarsest arithmetic found. For `graph` the loss curve comes from replays of two graphs in
    turn, as timed steps do; the output and gradients of training come from the network that they were captured from.
    """
    reference = find_reference(case)
    small = small_case(case)
    x, y = (t.to(device.torch) for t in small_batch(small))
    workload = small.definition()[0]
    network, _ = build_network(small, device, SEED)
    stepper = Stepper(small, device, network, [(x, y)] * 2, workload.gate_learning_rate)
    errors: dict[str, float | None] = dict.fromkeys(("loss_error", "gradient_norm_error", "loss_curve_error"))
    curve: list[float] = []
    if small.mode == "infer":
        with stepper.context:
            output = stepper.step()
    else:
        with torch.no_grad(), precision.autocast(device, small.precision):
            output = workload.predict(stepper.forward(x))
        errors["gradient_norm_error"] = relative(
            _gradient_norm(stepper, small, device, (x, y)), reference.gradient_norm
        )
        curve = [float(stepper.step().detach()) for _ in range(STEPS)]
        errors["loss_error"] = relative(curve[0], reference.loss)
        # Against the first loss: the last ones may be near zero, where a relative error says nothing.
        errors["loss_curve_error"] = max(
            relative(value, wanted, reference.loss) for value, wanted in zip(curve, reference.loss_curve, strict=True)
        )
    expected = torch.tensor(reference.output, dtype=torch.float64)
    errors["output_error"] = float((output.detach().cpu().double().flatten() - expected).norm() / expected.norm())
    tolerance = max((TOLERANCE[a] for a in arithmetic if a in TOLERANCE), default=TOLERANCE[small.precision])
    return judge(errors, curve, tolerance, small, reference.source)


def judge(
    errors: dict[str, float | None], curve: list[float], tolerance: tuple[float, float], small: CaseSpec, source: str
) -> dict[str, Any]:
    """Verdict from the largest error; what is not finite is wrong, and stands as None with that reason."""
    worst = max(value for value in errors.values() if value is not None)
    finite = all(math.isfinite(value) for value in errors.values() if value is not None)
    passes, wrong = tolerance
    verdict = "wrong" if not finite or worst > wrong else "drift" if worst > passes else "pass"
    absent = {
        name: "not part of inference" if value is None else "not finite"
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


def not_checked(reason: str) -> dict[str, Any]:
    """The fields of `Correctness` where the gate could not give a verdict."""
    return Correctness.unknown(reason).model_dump()


def relative(value: float, reference: float, scale: float | None = None) -> float:
    """|value - reference| / |scale or reference|; infinite where that is not a number."""
    scale = reference if scale is None else scale
    error = abs(value - reference) / abs(scale) if scale else math.inf
    return error if not math.isnan(error) else math.inf


def _gradient_norm(stepper: Stepper, case: CaseSpec, device: ComputeDevice, batch: Batch) -> float:
    x, y = batch
    scale = INITIAL_LOSS_SCALE if precision.needs_scaler(case.precision) else 1.0  # small fp16 gradients would vanish
    trained = [p for p in stepper.network.parameters() if p.requires_grad]
    with precision.autocast(device, case.precision):
        loss = case.definition()[0].loss(stepper.forward(x), y)
    gradients = torch.autograd.grad(loss * scale, trained)
    return math.sqrt(sum(float(g.detach().cpu().double().square().sum()) for g in gradients)) / scale


def _norm(parameters: list[torch.nn.Parameter]) -> float:
    return math.sqrt(sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None))
