"""One repeat of one case: cold phase, warm-up, throughput window, latency window. Reads top to bottom."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from gpuprof.messages import Measure
from gpuprof.record.repeat import Cold, Cpu, DeviceSpan, Memory, Percentiles, Phase, Throughput
from gpuprof.stats import quantile, quantile_upper_bound
from gpuprof.worker import compiled
from gpuprof.worker.batches import random_batches
from gpuprof.worker.channel import Channel
from gpuprof.worker.cpu import CpuUse
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from gpuprof.worker.step import Stepper
from gpuprof.worker.timing import (
    LARGEST_TOLERANCE,
    Blocks,
    Meter,
    drift,
    lead_in,
    measure_blocks,
    measure_requests,
    warm_up,
)  # fmt: skip
from gpuprof.worker.yardstick import yardstick

MAX_SETTLE_STEPS = 20
TOTALS_GAP = 0.02
WAITING = 0.05
STOLEN = 0.02


def measure(request: Measure, channel: Channel) -> dict[str, Any]:
    """Fields of `record.repeat.Repeat` that the worker knows, and the raw times under `raw`."""
    case, plan, device = request.case, request.protocol, ComputeDevice(request.device)
    assert case.threads is not None, "the supervisor resolves the threads"
    torch.set_num_threads(case.threads)
    torch.manual_seed(case.seed)
    phases: list[Phase] = []

    channel.wait_for_go("cold", device=device.identity())
    with _phase("cold", phases):
        started = time.perf_counter()
        network, weights = build_network(case, device, case.seed, pretrained=request.pretrained)
        if request.pretrained and weights.source == "random":
            raise RuntimeError(f"the pretrained weights used by the checks could not be loaded again: {weights.note}")
        stepper = Stepper(case, device, network, random_batches(case, device))
        device.synchronize()
        build_s = time.perf_counter() - started - (stepper.capture_s or 0.0)
        meter = Meter(stepper.step, device)
        with stepper.context:
            # Capturing a graph runs the step for the first time; its replay alone would hide what a user waits for.
            first_step_s = (stepper.capture_s or 0.0) + meter.request()[0]
            settle_steps, settle_s = _settle(meter, device)
        compiled.some(case)
    with stepper.context:
        channel.wait_for_go("warmup", phases)
        with _phase("warmup", phases):
            warmup, steps_per_block = warm_up(meter, plan)
        settled = (device.counters(), compiled.graphs())
        # The supervisor knows by now how long the window must be for the energy to be known well; it is set beforehand.
        go = channel.wait_for_go("throughput", phases)
        if go.min_s is not None:
            plan = plan.model_copy(update={"measure_min_s": go.min_s})
        with _phase("throughput", phases), CpuUse(1 if device.is_gpu else case.threads) as cpu:
            blocks = measure_blocks(meter, plan, steps_per_block)
        channel.wait_for_go("latency", phases)
        lead_in(meter)
        with _phase("latency", phases):
            requests, submits = measure_requests(meter, plan)
        channel.wait_for_go("end", phases)
        disturbed = settled != (device.counters(), compiled.graphs())
        finite = all(bool(torch.isfinite(tensor).all()) for tensor in tree_leaves(stepper.step()))
    memory = Memory(**device.peak_memory())
    throughput = _throughput(blocks, case.batch_size)
    assert cpu.result is not None
    parts = {
        "cold": Cold(
            import_s=channel.import_s,
            build_s=build_s,
            capture_s=stepper.capture_s,
            first_step_s=first_step_s,
            settle_steps=settle_steps,
            settle_s=settle_s,
            absent={} if stepper.capture_s is not None else {"capture_s": "only variant graph captures a graph"},
        ),
        "warmup": warmup,
        "throughput": throughput,
        "device_span": DeviceSpan(step_s=statistics.median(blocks.device_s)) if blocks.device_s else None,
        "latency": _percentiles(requests, submits),
        "memory": memory,
        "cpu": cpu.result,
        "yardstick": yardstick(device),
    }
    return {
        **{name: None if part is None else part.model_dump() for name, part in parts.items()},
        "phases": _marks(phases),
        "warnings": [
            *_warnings(throughput, cpu.result, device, disturbed, finite),
            *compiled.in_part(case),
        ],
        "raw": {
            "block_step_s": blocks.wall_s,
            "block_submit_s": blocks.submit_s,
            "block_device_s": blocks.device_s,
            "request_s": requests,
            "request_submit_s": submits,
        },
    }


def _settle(meter: Meter, device: ComputeDevice) -> tuple[int, float]:
    """Step until allocator and compiler counters stand still."""
    started = meter.clock()
    steps, before = 0, None
    while steps < MAX_SETTLE_STEPS and before != (now := (device.counters(), compiled.graphs())):
        meter.request()
        steps, before = steps + 1, now
    return steps, meter.clock() - started


def _throughput(blocks: Blocks, batch_size: int) -> Throughput:
    step_s = statistics.median(blocks.wall_s)
    return Throughput(
        samples_per_s=batch_size / step_s,
        samples_per_s_total=batch_size * blocks.steps / blocks.total_s,
        step_s=step_s,
        submit_s=statistics.median(blocks.submit_s),
        blocks=len(blocks.wall_s),
        steps=blocks.steps,
        steps_per_block=blocks.steps_per_block,
        total_s=blocks.total_s,
        drift=drift(blocks.wall_s) if len(blocks.wall_s) >= 3 else None,
        absent={} if len(blocks.wall_s) >= 3 else {"drift": f"{len(blocks.wall_s)} blocks are too few for thirds"},
    )


def _percentiles(times: list[float], submits: list[float]) -> Percentiles:
    """p50, p90, p99 (nearest rank) of one process; a p90 or p99 is withheld where requests cannot bound it."""
    ordered = sorted(times)
    bounds = {name: quantile_upper_bound(ordered, q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
    count = f"{len(ordered)} request{'s' if len(ordered) > 1 else ''} per process"
    absent = {f"{name}_upper95": f"{count}: too few for a bound" for name, bound in bounds.items() if bound is None}
    absent |= {
        name: f"{count}; {name} needs {least}" for name, least in (("p90", 29), ("p99", 299)) if bounds[name] is None
    }
    return Percentiles(
        p50=quantile(ordered, 0.5),
        p90=None if bounds["p90"] is None else quantile(ordered, 0.9),
        p99=None if bounds["p99"] is None else quantile(ordered, 0.99),
        p50_upper95=bounds["p50"],
        p90_upper95=bounds["p90"],
        p99_upper95=bounds["p99"],
        requests=len(ordered),
        submit_s=statistics.median(submits),
        absent=absent,
    )


def _warnings(throughput: Throughput, cpu: Cpu, device: ComputeDevice, disturbed: bool, finite: bool) -> Iterator[str]:
    gap = throughput.samples_per_s / throughput.samples_per_s_total - 1
    if abs(gap) > TOTALS_GAP:
        yield (
            f"median block and total time disagree by {gap:+.1%}: "
            + ("some blocks were much slower" if gap > 0 else "some blocks were much faster")
        )
    if throughput.drift is not None and throughput.drift > LARGEST_TOLERANCE:
        yield f"not steady: the throughput window drifted by {throughput.drift:.1%} between its thirds"
    starved = cpu.waiting > WAITING if cpu.waiting is not None else not device.is_gpu and cpu.utilisation < 0.85
    if starved:
        waited = f", waited {cpu.waiting:.0%} of the time for a core" if cpu.waiting is not None else ""
        yield f"contended machine: CPU utilisation {cpu.utilisation:.0%} of {cpu.threads} threads{waited}"
    if cpu.stolen is not None and cpu.stolen > STOLEN:
        yield f"contended host: the hypervisor gave {cpu.stolen:.0%} of this machine's CPU time to others"
    if disturbed:
        yield "memory was allocated or code was compiled during the timed windows"
    if not finite:
        yield "the last step produced a value that is not finite"


def _marks(phases: list[Phase]) -> list[dict[str, Any]]:
    return [phase.model_dump() for phase in phases]


@contextmanager
def _phase(name: str, phases: list[Phase]) -> Iterator[None]:
    started = time.monotonic_ns()
    yield
    phases.append(Phase(name=name, start_ns=started, end_ns=time.monotonic_ns()))
