"""Journal lines become a valid record: nothing measured is lost or invented on the way."""

from __future__ import annotations

import json
import math
from typing import get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof import metrics
from gpuprof.record.case import CASE_TELEMETRY
from gpuprof.record.part import RepeatOutcome
from gpuprof.record.run import RunRecord, json_schema
from gpuprof.record.versions import upgrade
from gpuprof.store import assemble as assembling
from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble
from support import simulators
from support.backends import needs_libraries
from support.journals import NOW, journal, repeat
from support.phases import IDLE_W, NVIDIA
from support.running import SAMPLES


def test_case_value_is_the_geometric_mean_over_processes():
    case = assemble(journal(repeat(0, samples_per_s=100), repeat(1, samples_per_s=121)), NOW)[0].cases[0]
    assert case.throughput_per_s.value == pytest.approx(110)
    assert case.throughput_per_s.ci95[0] < 100 < 121 < case.throughput_per_s.ci95[1]
    assert case.first_step_s == 0.5
    assert case.peak_memory_bytes == 1001
    assert case.regime == "cpu"


@pytest.mark.parametrize("repeats", [(), (repeat(),), (repeat(outcome="error"),)], ids=["none", "good", "bad"])
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_new_record_names_every_field(repeats, kind):
    """What it left out would be taken for a field that came later."""
    (case,) = assemble(journal(*repeats, kind=kind), NOW)[0].cases
    assert set(type(case).model_fields) - case.model_fields_set <= {"item", "items_per_sample"}  # of old journals


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
    assert "later ones may reuse its compiled kernels" in case.absent["first_step_s"]


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
    assert json.loads(record.to_json())["schema"] == "gpuprof.record/4"
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
    samples = SAMPLES / "simulated"
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


def test_energy_above_idle_that_one_process_lacks_is_missing_for_that_process_reason():
    runs = store.run_directories(SAMPLES / "simulated")
    case = next(case for path in runs for case in store.read(path).cases if case.energy_method)
    first, second, *rest = case.repeats
    energy = second.telemetry.energy["throughput"].model_copy(
        update={"above_idle_j": None, "absent": {"above_idle_j": "idle power was not measured"}}
    )
    telemetry = second.telemetry.model_copy(update={"energy": {"throughput": energy}})
    repeats = [first, second.model_copy(update={"telemetry": telemetry}), *rest]
    values, reasons = assembling._telemetry(repeats, case.batch_size)
    assert values["energy_j_per_sample"] is not None
    assert values["energy_above_idle_j_per_sample"] is None
    assert reasons["energy_above_idle_j_per_sample"] == "idle power was not measured"


def lines_of(record: dict, telemetry: dict | None, source: dict | None, simulated: bool) -> list[dict]:
    """The journal that a record was made of, with telemetry in its repeats."""
    header = {k: v for k, v in record.items() if k not in ("cases", "outcome", "reason", "finished_at", "absent")}
    lines = [{**header, "type": "run", "simulated": simulated, "telemetry": source, "no_telemetry": "switched off"}]
    for case in record["cases"]:
        names = ("workload", "mode", "variant", "batch_size", "seq_len", "threads", "seed", "params")
        request = {name: case[name] for name in names} | {"precision": case["precision"]["requested"]}
        lines.append(
            {"type": "case", "case_id": case["case_id"], "request": request, "fallback_of": case["fallback_of"]}
        )
        checked = ("trainable_parameters", "parameters", "flops_per_sample", "flops", "bytes_per_sample", "weights",
                   "precision", "correctness")  # fmt: skip
        lines.append({"type": "inspected", "case_id": case["case_id"], "data": {name: case[name] for name in checked}})
        for done in case["repeats"]:
            absent = {k: v for k, v in done["absent"].items() if k != "telemetry" or telemetry is None}
            changed = {**done, "telemetry": telemetry, "absent": absent}
            lines.append({"type": "repeat", "case_id": case["case_id"], "repeat": changed, "raw": {}})
    lines.append({"type": "end", "finished_at": record["finished_at"], "interrupted": None, "telemetry": source,
                  "no_telemetry": "switched off"})  # fmt: skip
    return lines


@needs_libraries
def test_a_case_gets_its_joules_per_sample_from_the_repeats(watched, old):
    said = watched(NVIDIA)
    record, _ = assemble(lines_of(upgrade(old), said["result"], said["source"], said["simulated"]), "now")
    assert RunRecord.model_validate_json(record.to_json()) == record
    assert record.simulated is True
    assert record.telemetry.device == "nvidia:0"
    for case in record.cases:
        energy = said["result"]["energy"]["throughput"]
        samples = [r.throughput.steps * case.batch_size for r in case.repeats if r.outcome == "ok"]
        mean = 1.0
        for count in samples:
            mean *= (energy["energy_j"] / count) ** (1 / len(samples))
        assert case.energy_j_per_sample.value == pytest.approx(mean)
        assert case.energy_j_per_sample.processes == len(samples)
        assert case.energy_above_idle_j_per_sample.value == pytest.approx(
            mean * energy["above_idle_j"] / energy["energy_j"]
        )
        assert case.energy_error_j_per_sample == pytest.approx(
            sum(energy["error_j"] / count for count in samples) / len(samples)
        )
        assert case.energy_method == "counter"
        assert case.idle_power_w == pytest.approx(IDLE_W, rel=0.01)
        assert case.power_w.median == pytest.approx(620)
        assert case.power_w.samples == 49 * len(samples)  # less the first, which a sensor's average still holds idle in
        assert case.power_w.min == pytest.approx(620)
        assert case.throttled_share["power_cap"] == pytest.approx(0.12, rel=0.02)
        assert any(warning.endswith("throttled: power cap in 12% of the window") for warning in case.warnings)


@needs_libraries
@pytest.mark.parametrize("name", ["silent", "lost", "refused"])
def test_a_case_without_telemetry_validates_and_says_why(watched, old, name):
    if name == "refused":
        cpu = {"kind": "cpu", "vendor": None, "name": "CPU", "index": None, "uuid": None, "pci": None}
        said = watched(NVIDIA, worker=cpu)
        lines = lines_of(upgrade(old), None, said["source"], True)
        for line in lines:
            if line["type"] == "repeat":
                line["repeat"]["absent"]["telemetry"] = said["result"]
    else:
        gpus = simulators.load("all_absent")["gpus"] if name == "silent" else [{**NVIDIA, "lost_at_s": 100.2}]
        said = watched(*gpus)
        lines = lines_of(upgrade(old), said["result"], said["source"], True)
    record, _ = assemble(lines, "now")
    for case in record.cases:
        for field in CASE_TELEMETRY:
            assert getattr(case, field) is None, field
            assert case.absent[field].strip(), field
    RunRecord.model_validate_json(record.to_json())


def test_hot_starts_are_told(old):
    record = upgrade(old)
    lines = lines_of(record, None, None, False)
    repeats = [line["repeat"] for line in lines if line["type"] == "repeat"]
    for index, made in enumerate(repeats):
        part = {"mean": 50, "median": 50, "min": 40, "max": 60, "start": 40 + 5 * index, "end": 60, "samples": 5}
        made["telemetry"] = {
            "samples": 5, "achieved_hz": 10, "missed": 0, "tick_s": None, "idle_power_w": None,
            "idle_power_error_w": None, "energy": {},
            "energy_absent": dict.fromkeys(("cold", "warmup", "throughput"), "none"),
            "window": {"temperature_c": part}, "throttled_share": None, "before": {}, "after": {},
            "absent": dict.fromkeys(("tick_s", "idle_power_w", "idle_power_error_w", "throttled_share"), "none"),
        }  # fmt: skip
        made["absent"].pop("telemetry")
    made, _ = assemble(lines, "now")
    assert any(
        warning.startswith("hot start: processes began between ") for case in made.cases for warning in case.warnings
    )


def test_a_case_whose_check_failed_says_that_it_was_measured_without_one():
    lines = journal(repeat())
    lines.insert(2, {"type": "inspected", "case_id": "a", "data": {"failed": "the check failed: timeout: slow"}})
    (case,) = assemble(lines, NOW)[0].cases
    assert case.warnings[0] == "measured without a check, with random weights: the check failed: timeout: slow"
