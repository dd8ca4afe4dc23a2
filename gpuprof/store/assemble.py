"""Journal lines -> record. A pure function: finished and recovered runs go through the same code.

{"type": "run", ...}        first, once: everything of the record that is known before measuring
{"type": "case", ...}       one per case, also for a fallback that joins later; before items were counted, without them
{"type": "inspected", ...}  what the checks of a case found
{"type": "repeat", ...}     one per process, with its raw times
{"type": "end", ...}        last; missing where the supervisor was killed
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from gpuprof.case_keys import LENGTHS
from gpuprof.metrics import joules_per_sample
from gpuprof.record.case import CASE_TELEMETRY, Case, Correctness, Latency, PrecisionRecord, no_length
from gpuprof.record.part import Estimate, Summary
from gpuprof.record.repeat import Energy, Repeat
from gpuprof.record.run import RunRecord
from gpuprof.record.versions import OLDER, upgrade
from gpuprof.stats import geometric_interval
from gpuprof.text import plural

HOST_BOUND = 0.9  # of a step's time spent submitting it
DRIFT = 0.05  # relative, over the throughput window
DIFFERENT = 1.1  # fastest process / slowest
SAME_TEMPERATURE_C = 3.0
_REASONS = {
    "device_span_s": "a CPU has no device events",
    "first_step_s": "the first process of this case failed, and later ones may reuse its compiled kernels",
    "peak_memory_bytes": "this kernel reports no VmHWM",
}
TOO_FEW = "an interval needs at least two processes"
INSPECTED = ("trainable_parameters", "parameters", "flops_per_sample", "flops", "bytes_per_sample", "weights")


def assemble(lines: Sequence[dict[str, Any]], now: str) -> tuple[RunRecord, dict[str, list[float]]]:
    """The record, and its raw series by `CASE_ID/REPEAT/NAME`, in seconds where they are times.

    `now` (ISO 8601, UTC) is the time the run finished where the journal has no end line. Raises ValueError, LookupError
    or TypeError for lines that make no record.
    """
    header = dict(lines[0])
    if header.pop("type", None) != "run":
        raise ValueError("a journal starts with a line of type run")
    end = next((line for line in lines if line["type"] == "end"), None)
    no_telemetry = header.pop("no_telemetry")
    if end is not None:
        header["telemetry"] = end["telemetry"]  # by then the cost of sampling is known
    cases = []
    raw: dict[str, list[float]] = {}
    on_gpu = header["device"]["kind"] == "gpu"
    for line in lines:
        if line["type"] == "repeat":
            prefix = f"{line['case_id']}/{line['repeat']['index']}"
            raw |= {f"{prefix}/{name}": values for name, values in line["raw"].items() if values}
        elif line["type"] == "case":
            repeats = [
                Repeat.model_validate(entry["repeat"])
                for entry in lines
                if entry["type"] == "repeat" and entry["case_id"] == line["case_id"]
            ]
            findings = next(
                (
                    entry["data"]
                    for entry in lines
                    if entry["type"] == "inspected" and entry["case_id"] == line["case_id"]
                ),
                None,
            )
            cases.append(_case(line, findings, repeats, on_gpu))
    interrupted = "the supervisor was killed before the run finished" if end is None else end["interrupted"]
    outcome, reason = _run_outcome(cases, interrupted, None if end is None else end.get("fault"))
    document = {
        **header,
        "cases": cases,
        "outcome": outcome,
        "reason": reason,
        "finished_at": now if end is None else end["finished_at"],
        "absent": {
            **({} if reason is not None else {"reason": "nothing went wrong"}),
            **({} if header["telemetry"] is not None else {"telemetry": no_telemetry}),
        },
    }
    if document["schema"] in OLDER:  # an earlier version wrote the journal, and was killed
        document = upgrade(document)
    return RunRecord.model_validate(document), raw


def _case(line: dict[str, Any], findings: dict[str, Any] | None, repeats: list[Repeat], on_gpu: bool) -> Case:
    request, absent = line["request"], {}
    outcome, reason = _case_outcome(repeats)
    if line["fallback_of"] is None:
        absent["fallback_of"] = "requested by the configuration"
    absent |= no_length(key for key in LENGTHS if key.name in request and request[key.name] is None)
    if reason is None:
        absent["reason"] = "nothing went wrong"

    inspected: dict[str, Any] = dict(findings or {})
    failed = inspected.pop("failed", None)
    unchecked = failed or "the run ended before this case was checked"
    for name in INSPECTED:
        if inspected.get(name) is None:
            absent[name] = unchecked
    correctness = inspected.get("correctness") or Correctness.unknown(unchecked).model_dump()
    precision = inspected.get("precision") or PrecisionRecord(
        requested=request["precision"], effective=None, absent={"effective": unchecked}
    )

    measured = _measured(repeats, on_gpu)
    why = "no repeat produced a measurement" if outcome != "not_run" else "the run ended before this case was measured"
    for name, value in measured.items():
        if value is None:
            absent[name] = _REASONS.get(name, why) if outcome == "ok" else why
    sensed, reasons = _telemetry(repeats, line["request"]["batch_size"])
    absent |= {name: why if outcome != "ok" else reasons[name] for name, value in sensed.items() if value is None}
    warnings = [*inspected.get("warnings", []), *_warnings(repeats, measured, correctness)]
    if failed is not None and outcome == "ok":
        # The check is where pretrained weights are loaded and found good.
        warnings.insert(0, f"measured without a check, with random weights: {failed}")
    return Case.model_validate(
        {
            **request,
            **{name: inspected.get(name) for name in INSPECTED},
            **measured,
            **sensed,
            "case_id": line["case_id"],
            "fallback_of": line["fallback_of"],
            **{name: line[name] for name in ("item", "items_per_sample") if name in line},
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
    # Submission to an idle device: within a block the host may have to wait for room in the launch queue.
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
        # Later processes find kernels that the first one compiled: their first step is not comparable.
        "first_step_s": first.cold.first_step_s if first.cold is not None else None,
        "peak_memory_bytes": max(peaks) if peaks else None,
    }


def _steady(repeat: Repeat) -> bool:
    calm = repeat.throughput is None or repeat.throughput.drift is None or repeat.throughput.drift <= DRIFT
    return repeat.warmup is not None and repeat.warmup.steady and calm


def estimate(values: Sequence[float]) -> Estimate:
    """Geometric mean over processes, one value each (> 0), with its 95% interval: None for a single process."""
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


def _telemetry(repeats: list[Repeat], batch_size: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The telemetry fields of a case from its good repeats, and a reason for every field.

    The reasons of fields that have a value are not used. Energy is that of the throughput window, in J per sample.
    """
    good = [repeat for repeat in repeats if repeat.outcome == "ok"]
    watched = [(r.telemetry, r.throughput) for r in good if r.telemetry is not None and r.throughput is not None]
    values: dict[str, Any] = dict.fromkeys(CASE_TELEMETRY)
    if not watched:
        reason = next((r.absent["telemetry"] for r in good if r.telemetry is None), "no repeat produced a measurement")
        return values, dict.fromkeys(CASE_TELEMETRY, reason)
    first = watched[0][0]
    reasons = dict.fromkeys(CASE_TELEMETRY, "the device did not report it")

    # One method's values are averaged: that of the first process with energy.
    energies = [t.energy["throughput"] for t, _ in watched if "throughput" in t.energy]
    method = energies[0].method if energies else None

    def per_sample(field: str) -> list[float]:
        """In J, of each process with energy by that method and a step in its window."""
        known = (joules_per_sample(repeat, batch_size, field, method) for repeat in good)
        return [value for value in known if value is not None]

    energy_faults = (t.energy_absent["throughput"] for t, _ in watched if "throughput" in t.energy_absent)
    no_energy = next(energy_faults, "no step finished in the window")
    reasons |= dict.fromkeys([name for name in CASE_TELEMETRY if name.startswith("energy_")], no_energy)
    if totals := per_sample("energy_j"):
        values["energy_method"] = method
        # A mean of errors, not the error of the mean: what a single process's value is off by.
        values["energy_error_j_per_sample"] = statistics.fmean(per_sample("error_j"))
        values["energy_j_per_sample"] = _positive(totals)
        reasons["energy_j_per_sample"] = "the counter did not move in the window"
        # All processes or none: a mean over fewer would stand beside an energy of all.
        above = per_sample("above_idle_j")
        values["energy_above_idle_j_per_sample"] = _positive(above) if len(above) == len(totals) else None
        reasons["energy_above_idle_j_per_sample"] = _none_above(
            [t.energy["throughput"] for t, window in watched
             if "throughput" in t.energy and t.energy["throughput"].method == method and window.steps]
        )  # fmt: skip

    idle = [t.idle_power_w for t, _ in watched if t.idle_power_w is not None]
    values["idle_power_w"] = statistics.fmean(idle) if idle else None
    reasons["idle_power_w"] = first.absent.get("idle_power_w", "")
    for name in ("power_w", "temperature_c", "gpu_utilization_pct", "core_clock_hz"):
        values[name] = _merged([t.window[name] for t, _ in watched if name in t.window])
        reasons[name] = next(
            (t.window_absent[name].reason or "" for t, _ in watched if name in t.window_absent),
            "not sampled on a CPU",
        )
    shares = [t.throttled_share for t, _ in watched if t.throttled_share is not None]
    if shares:
        names = sorted({name for share in shares for name in share})
        values["throttled_share"] = {n: statistics.fmean(share.get(n, 0.0) for share in shares) for n in names}
    reasons["throttled_share"] = first.absent.get("throttled_share", "")
    return values, reasons


def _none_above(counted: Sequence[Energy]) -> str:
    """Why a case has no energy above idle: a process that lacks it, or a value that is not positive."""
    lacking = (energy.absent["above_idle_j"] for energy in counted if energy.above_idle_j is None)
    return next(lacking, "the device drew no more than when idle, as far as its sensor can resolve")


def _positive(values: list[float]) -> Estimate | None:
    """None unless every value is above 0: the mean is geometric."""
    return estimate(values) if values and min(values) > 0 else None


def _merged(parts: list[Summary]) -> Summary | None:
    """Over processes: means of mean, median, start and end; smallest min, largest max; None without any."""
    if not parts:
        return None
    return Summary(
        mean=statistics.fmean(part.mean for part in parts),
        median=statistics.fmean(part.median for part in parts),
        start=statistics.fmean(part.start for part in parts),
        end=statistics.fmean(part.end for part in parts),
        min=min(part.min for part in parts),
        max=max(part.max for part in parts),
        samples=sum(part.samples for part in parts),
    )


def _case_outcome(repeats: list[Repeat]) -> tuple[str, str | None]:
    bad = [repeat for repeat in repeats if repeat.outcome != "ok"]
    if not repeats:
        return "not_run", "the run ended before this case was measured"
    if len(bad) < len(repeats):
        return "ok", f"{len(bad)} of {len(repeats)} repeats failed" if bad else None
    if all(repeat.outcome == "unsupported" for repeat in bad):
        return "unsupported", bad[0].reason
    return "failed", bad[0].reason


def _run_outcome(cases: list[Case], interrupted: str | None, fault: str | None) -> tuple[str, str | None]:
    if interrupted is not None:
        return "interrupted", interrupted
    good = [case for case in cases if case.outcome == "ok"]
    if fault:
        return "partial" if good else "failed", fault
    bad = [case for case in cases if case.outcome in ("failed", "not_run")]
    lost = sum(repeat.outcome not in ("ok", "unsupported") for case in cases for repeat in case.repeats)
    if cases and all(case.outcome == "unsupported" for case in cases):
        return "failed", "nothing of it is supported here"
    if not good:
        return "failed", next((case.reason for case in cases if case.reason), "nothing was measured")
    if lost:
        return "partial", f"{plural(lost, 'repeat')} failed; {len(bad)} of {len(cases)} cases not measured"
    return "ok", None


def _warnings(repeats: list[Repeat], measured: dict[str, Any], correctness: dict[str, Any]) -> Iterable[str]:
    at_size = correctness.get("found_by") == "batch"
    if correctness.get("verdict") == "wrong":
        where = " in a batch of this size" if at_size else ""
        yield f"WRONG RESULTS{where}: this case's times are kept, but it is left out of comparisons"
    elif correctness.get("verdict") == "drift":
        source = "those of a few rows" if at_size else "the float64 reference"
        yield f"results drift from {source} by more than this precision explains"
    rates = [r.throughput.samples_per_s for r in repeats if r.throughput is not None]
    if len(rates) > 1 and max(rates) / min(rates) > DIFFERENT:
        low, high = min(rates), max(rates)
        yield (
            f"processes disagree by a factor of {high / low:.2f} ({low:.4g} to {high:.4g} samples/s): smaller "
            "differences cannot be resolved here; use a quieter machine or fewer threads"
        )
    for repeat in repeats:  # counted from 1, as everywhere a person reads
        which = f"repeat {repeat.index + 1}"
        if repeat.outcome not in ("ok", "unsupported"):
            yield f"{which}: {repeat.outcome.replace('_', ' ')}: {repeat.reason}"
        if repeat.outcome == "ok" and repeat.warmup is not None and not repeat.warmup.steady:
            yield f"{which}: not steady: {repeat.warmup.reason}"
        yield from (f"{which}: {warning}" for warning in repeat.warnings)
        if repeat.telemetry is not None:
            yield from (f"{which}: {check}" for check in repeat.telemetry.checks)
    starts = [r.telemetry.window["temperature_c"].start for r in repeats
              if r.telemetry is not None and "temperature_c" in r.telemetry.window]  # fmt: skip
    if starts and max(starts) - min(starts) > SAME_TEMPERATURE_C:
        yield (
            f"hot start: processes began between {min(starts):.0f} and {max(starts):.0f} °C; a hotter device draws "
            "more power, so their energies are not strictly comparable"
        )
