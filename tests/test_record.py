"""Records: a None has its reason, every record validates, and nothing measured is lost or invented on the way."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gpuprof import metrics
from gpuprof.record.part import Estimate, RepeatOutcome
from gpuprof.record.repeat import Cpu, Memory
from gpuprof.record.run import RunRecord, json_schema
from gpuprof.store import assemble as assembling
from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble

NOW = "2026-11-23T09:00:00.000Z"


def repeat(index: int = 0, *, outcome: str = "ok", samples_per_s: float = 100.0, submit: float = 0.1, **more) -> dict:
    """A repeat as the journal holds it."""
    parts = ("cold", "warmup", "throughput", "device_span", "latency", "memory", "cpu", "telemetry")
    base = {
        "index": index, "order": index, "outcome": outcome, "reason": None, "exit_code": None, "started_at": NOW,
        "duration_s": 1.0, "phases": [], "warnings": [], "output_tail": "", **dict.fromkeys(parts),
        "absent": dict.fromkeys((*parts, "reason", "exit_code"), "made for a test"),
    }  # fmt: skip
    if outcome == "ok":
        step_s = 8 / samples_per_s
        base |= {
            "cold": {"import_s": 1, "build_s": 1, "capture_s": None, "first_step_s": 0.5 + index, "settle_steps": 1,
                     "settle_s": 0.1, "absent": {"capture_s": "eager"}},
            "warmup": {"steady": True, "reason": "", "steps": 20, "seconds": 3.0},
            "throughput": {"samples_per_s": samples_per_s, "samples_per_s_total": samples_per_s, "step_s": step_s,
                           "submit_s": submit * step_s, "blocks": 30, "steps": 300, "steps_per_block": 10,
                           "total_s": 300 * step_s, "drift": 0.01},
            "latency": {"p50": 0.1, "p90": 0.2, "p99": 0.3, "p50_upper95": 0.11, "p90_upper95": 0.21,
                        "p99_upper95": 0.4, "requests": 400, "submit_s": submit * step_s},
            "memory": {"peak_bytes": 1000 + index, "scope": "test", "reserved_bytes": 1, "alloc_retries": 0},
            "cpu": {"seconds": 1, "wall_s": 1, "threads": 1, "utilisation": 1, "waiting": 0, "stolen": 0},
        }  # fmt: skip
        base["absent"] = dict.fromkeys(("device_span", "reason", "exit_code", "telemetry"), "made for a test")
    else:
        base |= {"reason": f"because of {outcome}"}
        del base["absent"]["reason"]
    base |= more
    base["absent"] = {k: v for k, v in base["absent"].items() if base[k] is None}
    return base


def journal(*repeats: dict, kind: str = "cpu", interrupted: str | None = None, end: bool = True) -> list[dict]:
    request = {"workload": "cnn", "mode": "train", "precision": "ieee", "batch_size": 8, "seq_len": None,
               "variant": "eager", "threads": 1, "seed": 0, "params": {}}  # fmt: skip
    device = dict.fromkeys(("vendor", "index", "uuid", "pci", "architecture", "memory_total_bytes", "compute_units"))
    reasons = dict.fromkeys(device, "made for a test")
    environment = dict.fromkeys(("cpu", "memory_total_bytes", "container", "gpuprof_commit", "torch", "torch_build"))
    lines = [
        {
            "type": "run", "schema": "gpuprof.record/3", "run_id": "20261123T090000Z-test-00000000", "simulated": False,
            "started_at": NOW, "config": {"file": "x", "sha256": "0" * 64, "text": ""},
            "protocol": {"name": "full", "repeats": 5, "warmup_min_steps": 1, "warmup_min_s": 1, "warmup_max_s": 1,
                         "block_min_s": 1, "measure_min_blocks": 1, "measure_min_s": 1, "measure_max_s": 1,
                         "latency_max_requests": 1, "latency_min_requests": 1, "latency_min_s": 1, "latency_max_s": 1,
                         "idle_s": 0, "energy_error": 0.01, "timeout_s": 1},
            "device": {"kind": kind, "name": "test", **device, "absent": reasons},
            "environment": {"hostname": "h", "os": "o", "kernel": "k", "cpu_physical_cores": 1, "cpu_logical_cores": 1,
                            "python": "3", "gpuprof": "0", **environment,
                            "absent": dict.fromkeys(environment, "made for a test")},
            "telemetry": None, "no_telemetry": "made for a test",
        },
        {"type": "case", "case_id": "a", "request": request, "fallback_of": None},
    ]  # fmt: skip
    lines += [{"type": "repeat", "case_id": "a", "repeat": r, "raw": {"x": [1.0]}} for r in repeats]
    last = {"type": "end", "finished_at": NOW, "interrupted": interrupted, "telemetry": None}
    return [*lines, last] if end else lines


def test_none_needs_a_reason_and_a_value_must_not_have_one():
    with pytest.raises(ValidationError, match="null without a reason"):
        Estimate(value=1.0, ci95=None, processes=1)
    with pytest.raises(ValidationError, match="has a value or does not exist"):
        Estimate(value=1.0, ci95=(1.0, 2.0), processes=1, absent={"ci95": "why"})
    with pytest.raises(ValidationError):
        Estimate(value=float("nan"), ci95=(1.0, 2.0), processes=1)
    with pytest.raises(ValidationError):
        Memory(peak_bytes=-1, scope="", reserved_bytes=0, alloc_retries=0)
    with pytest.raises(ValidationError):
        Cpu(seconds=1, wall_s=1, threads=1, utilisation=1, waiting="N/A", stolen=0)


def test_a_real_record_validates_against_the_printed_schema(stored_run):
    _, done = stored_run
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(done.json)


def test_a_real_record_survives_reading_and_writing(stored_run):
    store, done = stored_run
    text = next(store.glob("*/record.json")).read_text()
    record = RunRecord.model_validate_json(text)
    assert record.to_json() == text
    assert json.loads(text) == done.json


def test_case_value_is_the_geometric_mean_over_processes():
    case = assemble(journal(repeat(0, samples_per_s=100), repeat(1, samples_per_s=121)), NOW)[0].cases[0]
    assert case.throughput_per_s.value == pytest.approx(110)
    assert case.throughput_per_s.ci95[0] < 100 < 121 < case.throughput_per_s.ci95[1]
    assert case.first_step_s == 0.5
    assert case.peak_memory_bytes == 1001
    assert case.regime == "cpu"


@pytest.mark.parametrize(("submit", "regime"), [(0.95, "host-bound"), (0.3, "device-bound")])
def test_regime_on_a_gpu(submit, regime):
    assert assemble(journal(repeat(submit=submit), kind="gpu"), NOW)[0].cases[0].regime == regime


def test_p99_is_withheld_when_one_process_has_too_few_requests():
    few = repeat(1)["latency"] | {"p99": None, "p99_upper95": None, "requests": 12,
                                  "absent": {"p99": "12 requests", "p99_upper95": "12 requests"}}  # fmt: skip
    latency = assemble(journal(repeat(0), repeat(1, latency=few)), NOW)[0].cases[0].latency_s
    assert latency.p99 is None
    assert latency.absent["p99"] == "12 requests"
    assert latency.requests == 412


@pytest.mark.parametrize("outcome", [o for o in get_args(RepeatOutcome) if o not in ("ok", "unsupported")])
def test_a_lost_repeat_costs_that_repeat_alone(outcome):
    record, raw = assemble(journal(repeat(0), repeat(1, outcome=outcome), repeat(2)), NOW)
    case = record.cases[0]
    assert (record.outcome, case.outcome) == ("partial", "ok")
    assert case.throughput_per_s.processes == 2
    assert any(f"because of {outcome}" in warning for warning in case.warnings)
    assert set(raw) == {"a/0/x", "a/1/x", "a/2/x"}


def test_a_window_that_drifts_is_not_steady():
    moved = repeat(1)
    moved["throughput"] |= {"drift": 0.2}
    assert assemble(journal(repeat(0)), NOW)[0].cases[0].steady is True
    assert assemble(journal(repeat(0), moved), NOW)[0].cases[0].steady is False


def test_processes_that_disagree_are_a_warning():
    calm, torn = (
        assemble(journal(repeat(0, samples_per_s=100), repeat(1, samples_per_s=rate)), NOW)[0].cases[0].warnings
        for rate in (105, 200)
    )
    assert calm == []
    assert any("processes disagree by a factor of 2.00" in warning for warning in torn)


def test_the_first_step_is_that_of_the_first_process_or_none():
    assert assemble(journal(repeat(0), repeat(1)), NOW)[0].cases[0].first_step_s == 0.5
    case = assemble(journal(repeat(0, outcome="timeout"), repeat(1)), NOW)[0].cases[0]
    assert case.first_step_s is None
    assert "later ones may find its compiled kernels" in case.absent["first_step_s"]


def test_a_full_launch_queue_is_not_taken_for_a_slow_host():
    """Inside a block the host waits for room in the queue; a single request shows what it really needs."""
    queued = repeat()
    queued["throughput"] |= {"submit_s": 0.99 * queued["throughput"]["step_s"]}
    assert assemble(journal(queued, kind="gpu"), NOW)[0].cases[0].regime == "device-bound"


def test_outcomes_of_a_whole_run():
    assert assemble(journal(repeat(outcome="crashed")), NOW)[0].outcome == "failed"
    assert assemble(journal(repeat(outcome="unsupported")), NOW)[0].cases[0].outcome == "unsupported"
    nothing = assemble(journal(interrupted="interrupted from the keyboard"), NOW)[0]
    assert (nothing.outcome, nothing.cases[0].outcome) == ("interrupted", "not_run")
    killed = assemble(journal(repeat(), end=False), NOW)[0]
    assert (killed.outcome, killed.cases[0].throughput_per_s.processes) == ("interrupted", 1)
    assert "killed" in killed.reason


def test_the_journal_of_an_earlier_version_is_folded_into_a_record_of_this_one():
    lines = journal(repeat(), end=False)
    lines[0]["schema"] = "gpuprof.record/2"
    record = assemble(lines, NOW)[0]
    assert json.loads(record.to_json())["schema"] == "gpuprof.record/3"
    assert (record.config.shard, record.config.held) == ("1/1", {})


_OUTCOMES = st.sampled_from(get_args(RepeatOutcome))


@settings(deadline=None)  # of a shared machine
@given(st.lists(_OUTCOMES, max_size=6), st.booleans(), st.sampled_from(["cpu", "gpu"]))
def test_any_mixture_of_outcomes_makes_a_valid_record(outcomes, end, kind):
    repeats = [repeat(i, outcome=outcome) for i, outcome in enumerate(outcomes)]
    record, _ = assemble(journal(*repeats, kind=kind, end=end), NOW)
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(record.to_json()))
    assert RunRecord.model_validate_json(record.to_json()) == record
    assert len(record.cases[0].repeats) == len(outcomes)
    assert (record.cases[0].throughput_per_s is not None) == ("ok" in outcomes)


def test_a_case_and_its_processes_have_their_energy_from_one_function():
    """A process by another method, or without a step in its window, counts in neither."""
    samples = Path(__file__).parent / "data" / "samples" / "simulated"
    case = next(
        case for path in store.run_directories(samples) for case in store.read(path).cases if case.energy_method
    )
    first, second, third, *others = case.repeats
    energy = second.telemetry.energy["throughput"].model_copy(update={"method": "power_trapezoid", "energy_j": 1e9})
    telemetry = second.telemetry.model_copy(update={"energy": {"throughput": energy}})
    repeats = [
        first, second.model_copy(update={"telemetry": telemetry}),
        third.model_copy(update={"throughput": third.throughput.model_copy(update={"steps": 0})}), *others,
    ]  # fmt: skip
    found, _ = assembling._telemetry(repeats, case.batch_size)
    for key in ("energy_j_per_sample", "energy_above_idle_j_per_sample"):
        known = [metrics.BY_KEY[key].each(case, repeat) for repeat in repeats]
        assert known[1:3] == [None, None]
        values = [value for value in known if value is not None]
        assert found[key].value == pytest.approx(math.prod(values) ** (1 / len(values)))
