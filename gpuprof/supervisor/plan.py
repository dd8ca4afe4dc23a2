"""Configuration and options -> what will be run: protocol, order of the repeats, and an estimate of the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from gpuprof import workloads
from gpuprof.config.configuration import Configuration
from gpuprof.record.protocol import Protocol
from gpuprof.system.procfs import physical_cores
from gpuprof.workloads.case import CaseSpec

DEFAULT_TIMEOUT_S = 1800.0  # a first LSTM step on a fresh GPU stack has been seen to compile for 20 minutes
DEFAULT_ENERGY_ERROR = 0.01
QUICK_REPEATS = 3
# For estimates only; nothing measured depends on them.
_CPU_FLOPS_PER_CORE = 25e9
_START_S = 4.0

_FULL: dict[str, Any] = {
    "warmup_min_steps": 20, "warmup_min_s": 3.0, "warmup_max_s": 60.0, "block_min_s": 0.02,
    "measure_min_blocks": 30, "measure_min_s": 5.0, "measure_max_s": 30.0,
    "latency_min_requests": 299, "latency_max_requests": 2000, "latency_min_s": 2.0, "latency_max_s": 10.0,
    "idle_s": 2.0,
}  # fmt: skip
_QUICK: dict[str, Any] = {
    "warmup_min_steps": 3, "warmup_min_s": 0.5, "warmup_max_s": 3.0, "block_min_s": 0.02,
    "measure_min_blocks": 5, "measure_min_s": 1.0, "measure_max_s": 4.0,
    "latency_min_requests": 1, "latency_max_requests": 299, "latency_min_s": 0.5, "latency_max_s": 1.5,
    "idle_s": 1.0,
}  # fmt: skip


def protocol(configuration: Configuration, *, quick: bool) -> Protocol:
    """The lengths and numbers for measuring this configuration; what it sets itself has precedence.

    `quick` shortens every window, and takes three repeats where the configuration names no number.
    """
    repeats = QUICK_REPEATS if quick and not configuration.explicit_repeats else configuration.repeats
    timings = _QUICK if quick else _FULL
    return Protocol(
        name="quick" if quick else "full", repeats=repeats, timeout_s=configuration.timeout_s or DEFAULT_TIMEOUT_S,
        energy_error=configuration.energy_error or DEFAULT_ENERGY_ERROR, **timings,
    )  # fmt: skip


def resolved(spec: CaseSpec, physical_cores: int) -> CaseSpec:
    """The case as the worker runs it: with a number of CPU threads, one per core where it names none."""
    return replace(spec, threads=spec.threads or physical_cores)


def order(cases: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(repeat, case id) in running order: every case once per round, odd rounds backwards (A B B A).

    So a steady drift of the machine affects all cases alike.
    """
    for repeat in range(repeats):
        yield from ((repeat, case) for case in (cases if repeat % 2 == 0 else tuple(reversed(cases))))


def estimate_s(spec: CaseSpec, limits: Protocol, cores: int) -> tuple[float, float]:
    """A guess of (seconds of the checks, seconds of one repeat) on this machine's CPU; a GPU is rarely slower.

    A step takes its FLOPs at 25 GFLOP/s per thread, and the overhead that its workload names. `cores` is the number of
    threads of a case that does not set it.
    """
    workload = workloads.get(spec.workload)
    flops = workload.flops(workload.params_model(**spec.params), spec.lengths)
    per_sample = flops.forward + (flops.backward if spec.mode == "train" else 0)
    threads = spec.threads or cores
    step_s = per_sample * spec.batch_size / (_CPU_FLOPS_PER_CORE * threads)
    step_s += workload.cpu_overhead_s(spec.lengths) + 2e-4
    warmup = min(max(limits.warmup_min_s, limits.warmup_min_steps * step_s), limits.warmup_max_s + step_s)
    measure = min(max(limits.measure_min_s, limits.measure_min_blocks * step_s), limits.measure_max_s + step_s)
    latency = min(max(limits.latency_min_s, limits.latency_min_requests * step_s), limits.latency_max_s + step_s)
    checks = 22 * 2 * per_sample / (_CPU_FLOPS_PER_CORE * threads) + 1.0
    return checks, _START_S + 3 * step_s + warmup + measure + latency


def describe(configuration: Configuration, *, quick: bool) -> dict[str, Any]:
    """The plan of one configuration as --dry-run --json prints it, with estimates in seconds; runs nothing."""
    cores = physical_cores()
    limits = protocol(configuration, quick=quick)
    cases: list[dict[str, Any]] = []
    for spec in configuration.cases:
        checks, repeat = estimate_s(spec, limits, cores)
        seconds = round(checks + repeat * limits.repeats, 1)
        cases.append({"case_id": spec.case_id, "estimate_s": seconds, **asdict(resolved(spec, cores))})
    return {
        "file": configuration.record.file,
        "shard": configuration.record.shard,
        "protocol": limits.model_dump(exclude={"absent"}),
        "order": [{"repeat": r, "case_id": c} for r, c in order([c["case_id"] for c in cases], limits.repeats)],
        "cases": cases,
        "estimate_s": round(sum(case["estimate_s"] for case in cases), 1),
    }
