"""From the lines of a journal to the record: what telemetry leaves in a case."""

from __future__ import annotations

import pytest

from gpuprof.record.case import CASE_TELEMETRY
from gpuprof.record.run import RunRecord
from gpuprof.record.versions import upgrade
from gpuprof.store.assemble import assemble
from support import simulators
from support.backends import needs_libraries
from support.phases import IDLE_W, NVIDIA


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
        for repeat in case["repeats"]:
            absent = {k: v for k, v in repeat["absent"].items() if k != "telemetry" or telemetry is None}
            changed = {**repeat, "telemetry": telemetry, "absent": absent}
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
    for index, repeat in enumerate(repeats):
        part = {"mean": 50, "median": 50, "min": 40, "max": 60, "start": 40 + 5 * index, "end": 60, "samples": 5}
        repeat["telemetry"] = {
            "samples": 5, "achieved_hz": 10, "missed": 0, "tick_s": None, "idle_power_w": None,
            "idle_power_error_w": None, "energy": {},
            "energy_absent": dict.fromkeys(("cold", "warmup", "throughput"), "none"),
            "window": {"temperature_c": part}, "throttled_share": None, "before": {}, "after": {},
            "absent": dict.fromkeys(("tick_s", "idle_power_w", "idle_power_error_w", "throttled_share"), "none"),
        }  # fmt: skip
        repeat["absent"].pop("telemetry")
    made, _ = assemble(lines, "now")
    assert any(
        warning.startswith("hot start: processes began between ") for case in made.cases for warning in case.warnings
    )
