"""Journal lines -> record. A pure function: a finished run and a recovered one go through the same code.

{"type": "run", ...}        once, first: everything of the record that is known before measuring
{"type": "case", ...}       one a case, also for a fallback that joins later
{"type": "inspected", ...}  what the checks of a case found
{"type": "repeat", ...}     one a process, with its raw times
{"type": "end", ...}        last; without it the supervisor was killed
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from gpuprof.analysis.stats import geometric_interval
from gpuprof.record import Case, Correctness, Estimate, Latency, PrecisionRecord, Repeat, RunRecord

HOST_BOUND = 0.9
DRIFT = 0.05
DIFFERENT = 1.1
_REASONS = {
    "device_span_s": "a CPU has no device events",
    "first_step_s": "the first process that ran this case did not end well; later ones may find its compiled kernels",
    "peak_memory_bytes": "this kernel reports no VmHWM",
}
TOO_FEW = "one process has no spread; an interval needs two"
INSPECTED = ("trainable_parameters", "parameters", "flops_per_sample", "flops", "bytes_per_sample", "weights")


def assemble(lines: Sequence[dict[str, Any]], now: str) -> tuple[RunRecord, dict[str, list[float]]]:
    """The record and its raw series. `now` is the time of finishing where the journal holds none (ISO 8601, UTC)."""
    header = dict(lines[0])
    if header.pop("type", None) != "run":
        raise ValueError("a journal starts with a line of type run")
    end = next((line for line in lines if line["type"] == "end"), None)
    cases = []
    raw: dict[str, list[float]] = {}
    on_gpu = header["device"]["kind"] == "gpu"
    for line in lines:
        if line["type"] == "repeat":
            prefix = f"{line['case_id']}/{line['repeat']['index']}"
            raw |= {f"{prefix}/{name}": values for name, values in line["raw"].items() if values}
        elif line["type"] == "case":
            repeats = [
                Repeat.model_validate(other["repeat"])
                for other in lines
                if other["type"] == "repeat" and other["case_id"] == line["case_id"]
            ]
            found = next(
                (o["data"] for o in lines if o["type"] == "inspected" and o["case_id"] == line["case_id"]), None
            )
            cases.append(_case(line, found, repeats, on_gpu))
    interrupted = "the supervisor was killed before the run was over" if end is None else end["interrupted"]
    outcome, reason = _run_outcome(cases, interrupted)
    record = RunRecord.model_validate(
        {
            **header,
            "cases": cases,
            "outcome": outcome,
            "reason": reason,
            "finished_at": now if end is None else end["finished_at"],
            "absent": {} if reason is not None else {"reason": "nothing went wrong"},
        }
    )
    return record, raw


def _case(line: dict[str, Any], found: dict[str, Any] | None, repeats: list[Repeat], on_gpu: bool) -> Case:
    request, absent = line["request"], {}
    outcome, reason = _case_outcome(repeats)
    if line["fallback_of"] is None:
        absent["fallback_of"] = "asked for by the configuration"
    if request["seq_len"] is None:
        absent["seq_len"] = "the workload has no sequence"
    if reason is None:
        absent["reason"] = "nothing went wrong"

    inspected: dict[str, Any] = dict(found or {})
    why_not = inspected.pop("failed", "the run ended before this case was checked")
    for name in INSPECTED:
        if inspected.get(name) is None:
            absent[name] = why_not
    correctness = inspected.get("correctness") or Correctness.unknown(why_not).model_dump()
    precision = inspected.get("precision") or PrecisionRecord(
        requested=request["precision"], effective=None, absent={"effective": why_not}
    )

    measured = _measured(repeats, on_gpu)
    why = "no repeat gave a measurement" if outcome != "not_run" else "the run ended before this case was measured"
    for name, value in measured.items():
        if value is None:
            absent[name] = _REASONS.get(name, why) if outcome == "ok" else why
    warnings = [*inspected.get("warnings", []), *_warnings(repeats, measured, correctness)]
    return Case.model_validate(
        {
            **request,
            **{name: inspected.get(name) for name in INSPECTED},
            **measured,
            "case_id": line["case_id"],
            "fallback_of": line["fallback_of"],
            "outcome": outcome,
            "reason": reason,
            "precision": precision,
            "correctness": correctness,
            "repeats": repeats,
            "warnings": warnings,
            "absent": absent,
        }
    )


def _measured(repeats: list[Repeat], on_gpu: bool) -> dict[str, Any]:
    """Headline numbers from the repeats that ended well."""
    good = [repeat for repeat in repeats if repeat.outcome == "ok"]
    throughputs = [r.throughput for r in good if r.throughput is not None]
    spans = [r.device_span.step_s for r in good if r.device_span is not None]
    if not throughputs:
        names = (
            "steady",
            "regime",
            "throughput_per_s",
            "throughput_total_per_s",
            "latency_s",
            "device_span_s",
            "first_step_s",
        )
        return dict.fromkeys((*names, "peak_memory_bytes"))
    first = min(repeats, key=lambda repeat: repeat.order)
    # Submission to an idle device: inside a block the host may wait for room in the launch queue.
    submitting = statistics.median(
        r.latency.submit_s / r.throughput.step_s for r in good if r.latency is not None and r.throughput is not None
    )
    peaks = [r.memory.peak_bytes for r in good if r.memory is not None and r.memory.peak_bytes is not None]
    return {
        "steady": all(_steady(repeat) for repeat in good),
        "regime": ("host-bound" if submitting > HOST_BOUND else "device-bound") if on_gpu else "cpu",
        "throughput_per_s": estimate([t.samples_per_s for t in throughputs]),
        "throughput_total_per_s": estimate([t.samples_per_s_total for t in throughputs]),
        "latency_s": _latency(good),
        "device_span_s": estimate(spans) if spans else None,
        # Later processes find compiled kernels of the first one; theirs is another quantity.
        "first_step_s": first.cold.first_step_s if first.cold is not None else None,
        "peak_memory_bytes": max(peaks) if peaks else None,
    }


def _steady(repeat: Repeat) -> bool:
    calm = repeat.throughput is None or repeat.throughput.drift is None or repeat.throughput.drift <= DRIFT
    return repeat.warmup is not None and repeat.warmup.steady and calm


def estimate(values: Sequence[float]) -> Estimate:
    """Geometric mean over processes with its 95% interval."""
    value, interval = geometric_interval(values)
    return Estimate(
        value=value, ci95=interval, processes=len(values), absent={} if interval is not None else {"ci95": TOO_FEW}
    )


def _latency(good: list[Repeat]) -> Latency:
    views = [r.latency for r in good if r.latency is not None]
    p50, interval = geometric_interval([v.p50 for v in views])
    absent = {} if interval is not None else {"ci95": TOO_FEW}
    values: dict[str, float | None] = {}
    for name in ("p90", "p99", "p50_upper95", "p90_upper95", "p99_upper95"):
        each = [getattr(v, name) for v in views]
        if any(value is None for value in each):
            values[name] = None
            absent[name] = next(v.absent[name] for v in views if name in v.absent)
        else:
            values[name] = max(each) if name.endswith("upper95") else math.exp(statistics.fmean(map(math.log, each)))
    requests = sum(v.requests for v in views)
    known = {"p50": p50, "ci95": interval, "requests": requests, "processes": len(views), "absent": absent}
    return Latency.model_validate(known | values)


def _case_outcome(repeats: list[Repeat]) -> tuple[str, str | None]:
    bad = [repeat for repeat in repeats if repeat.outcome != "ok"]
    if not repeats:
        return "not_run", "the run ended before this case was measured"
    if len(bad) < len(repeats):
        return "ok", f"{len(bad)} of {len(repeats)} repeats failed" if bad else None
    if all(repeat.outcome == "unsupported" for repeat in bad):
        return "unsupported", bad[0].reason
    return "failed", bad[0].reason


def _run_outcome(cases: list[Case], interrupted: str | None) -> tuple[str, str | None]:
    if interrupted is not None:
        return "interrupted", interrupted
    good = [case for case in cases if case.outcome == "ok"]
    bad = [case for case in cases if case.outcome in ("failed", "not_run")]
    lost = sum(repeat.outcome not in ("ok", "unsupported") for case in cases for repeat in case.repeats)
    if not good:
        return "failed", next((case.reason for case in cases if case.reason), "nothing was measured")
    if lost:
        return "partial", f"{lost} repeats failed; {len(bad)} of {len(cases)} cases have no measurement"
    return "ok", None


def _warnings(repeats: list[Repeat], measured: dict[str, Any], correctness: dict[str, Any]) -> Iterable[str]:
    if correctness.get("verdict") == "wrong":
        yield "WRONG RESULTS: this case's times are kept, but it takes part in no comparison"
    elif correctness.get("verdict") == "drift":
        yield "results drift from the float64 reference by more than this arithmetic explains"
    rates = [r.throughput.samples_per_s for r in repeats if r.throughput is not None]
    if len(rates) > 1 and max(rates) / min(rates) > DIFFERENT:
        low, high = min(rates), max(rates)
        yield (
            f"processes disagree by a factor of {high / low:.2f} ({low:.4g} to {high:.4g} samples/s): only differences "
            "larger than the interval can be told here; a quieter machine or fewer threads narrow it"
        )
    for repeat in repeats:  # counted from 1, as everywhere a person reads
        which = f"repeat {repeat.index + 1}"
        if repeat.outcome not in ("ok", "unsupported"):
            yield f"{which}: {repeat.outcome.replace('_', ' ')}: {repeat.reason}"
        if repeat.outcome == "ok" and repeat.warmup is not None and not repeat.warmup.steady:
            yield f"{which}: not steady: {repeat.warmup.reason}"
        yield from (f"{which}: {warning}" for warning in repeat.warnings)
