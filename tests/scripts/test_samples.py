"""The sample runs of tests/data/samples are what their README says: as the store made them, private, marked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gpuprof.record.run import RunRecord
from gpuprof.store import runs as store
from support import simulators
from support.running import SAMPLES

CPU, SIMULATED = (store.run_directories(SAMPLES / kind) for kind in ("cpu", "simulated"))
MODELS = {"Simulated NVIDIA H100 80GB HBM3": "h100", "Simulated AMD Instinct MI300X": "mi300x_spx"}
# Files of the kernel are the same everywhere; any other absolute path tells of the machine that ran.
MACHINE_PATH = re.compile(r"(?<![\w.~/])/(?!sys/|proc/|dev/)[\w.-]+/[\w.-]+")


def by_name(path: Path) -> str:
    return path.name


def identity(record: RunRecord) -> list:
    return [(case.case_id, len(case.repeats)) for case in record.cases]


def read_all(paths: list[Path]) -> list[RunRecord]:
    return [store.read(path) for path in paths]


def test_every_kind_of_run_is_there():
    cpu = read_all(CPU)
    threads = {case.threads for record in cpu for case in record.cases if case.workload == "lstm"}
    assert threads == {1, 2}
    assert {case.workload for record in cpu for case in record.cases} == {"lstm", "cnn", "rnn"}
    assert any(len({case.batch_size for case in record.cases}) == 3 for record in cpu)
    simulated = read_all(SIMULATED)
    asked = {name: sorted(identity(r) for r in simulated if r.device.name == name) for name in MODELS}
    first, second = asked.values()
    assert len(first) == 2
    assert first == second, "both GPUs ran the same cases"


@pytest.mark.parametrize("path", [*CPU, *SIMULATED], ids=by_name)
def test_a_sample_is_whole(path):
    record = store.read(path)
    assert record.outcome == "ok"
    assert record.run_id == path.name
    assert sorted(file.name for file in path.iterdir()) == ["raw.npz", "record.json"]
    assert sum(file.stat().st_size for file in path.iterdir()) < 300_000
    for case in record.cases:
        assert case.outcome == "ok"
        assert case.correctness.verdict == "pass"
        assert case.throughput_per_s.processes == len(case.repeats) >= 3
    with np.load(path / "raw.npz") as raw:
        for case in record.cases:
            blocks = raw[f"{case.case_id}/0/block_step_s"]
            assert np.median(blocks) == pytest.approx(case.repeats[0].throughput.step_s)


@pytest.mark.parametrize("path", [*CPU, *SIMULATED], ids=by_name)
def test_a_sample_tells_nothing_of_the_machine_that_made_it(path):
    record = store.read(path)
    assert record.environment.hostname == "sample-host"
    assert record.environment.variables == {}
    assert record.config.file == f"configs/{record.cases[0].workload}.yaml"
    text = (path / "record.json").read_text("utf-8")
    assert json.loads(text)["simulated"] == (path in SIMULATED)
    assert not MACHINE_PATH.findall(text.replace("\\n", "\n"))


@pytest.mark.parametrize("path", CPU, ids=by_name)
def test_a_cpu_sample_has_no_energy_and_says_why(path):
    record = store.read(path)
    assert not record.simulated
    assert record.device.kind == "cpu"
    for case in record.cases:
        assert case.regime == "cpu"
        assert case.energy_j_per_sample is None
        assert "RAPL" in case.absent["energy_j_per_sample"]


@pytest.mark.parametrize("path", SIMULATED, ids=by_name)
def test_a_simulated_sample_has_the_scripted_energy(path):
    """The scenario's power: low at rest, high while the simulated device was given work, but for moments."""
    record = store.read(path)
    assert record.simulated
    assert record.telemetry.simulated
    scripted = simulators.load(MODELS[record.device.name])["gpus"][0]
    low_w, high_w = scripted["power"]["low_w"], scripted["power"]["high_w"]
    assert record.device.vendor == record.telemetry.vendor == scripted["vendor"]
    assert record.telemetry.attributed_by == "UUID"
    for case in record.cases:
        assert case.energy_method == "counter"
        assert case.idle_power_w == pytest.approx(low_w, rel=0.01)
        assert case.power_w.max == pytest.approx(high_w, rel=0.01)
        assert case.throttled_share["power_cap"] == pytest.approx(max(scripted["throttle_share"].values()), abs=0.01)
        assert case.temperature_c is not None
        assert case.core_clock_hz is not None
        for repeat in case.repeats:
            energy = repeat.telemetry.energy["throughput"]
            assert energy.method == "counter"
            # Five standard deviations, and the milliseconds between the supervisor's word and the worker's mark.
            slack_j = 5 * energy.error_j + 0.005 * high_w
            assert 0.85 * high_w * energy.seconds < energy.energy_j < high_w * energy.seconds + slack_j
            idle_j = low_w * energy.seconds
            assert energy.above_idle_j == pytest.approx(energy.energy_j - idle_j, abs=slack_j + 0.01 * idle_j)
    with np.load(path / "raw.npz") as raw:
        watts = raw[f"{record.cases[0].case_id}/0/telemetry/power_instant_w"]
        assert high_w in np.round(watts)
