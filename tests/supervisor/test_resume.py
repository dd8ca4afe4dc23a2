"""--resume: what the store holds under the same conditions is left out, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from gpuprof.config import suite
from gpuprof.index.brief import brief
from gpuprof.index.database import Index
from gpuprof.index.digest import digest
from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from gpuprof.supervisor import plan
from gpuprof.supervisor.resume import Conditions, conditions, held
from gpuprof.telemetry.device import Backend, Device, NoReading
from support.journals import NOW, journal, repeat
from support.running import CONFIGS, SAMPLES

CORES = 2
SIMULATED = SAMPLES / "simulated"
NOW_HERE = Conditions("test", simulated=False, facts={"gpuprof": "0", "torch": "2.9", "libraries": {}, "variables": {}})


def planned(*options: str):
    (found,) = suite.load([CONFIGS / "cnn.yaml"], ["repeats=2", *options])
    return found


def put(directory: Path, *repeats: dict, options: tuple[str, ...] = (), **environment) -> str:
    """Publish a run of the planned cases with these repeats, in this environment."""
    what = planned(*options)
    header, _, *_, end = journal()
    header |= {"run_id": store.new_run_id("x"), "protocol": plan.protocol(what, quick=False).model_dump()}
    header["environment"] |= {"torch": "2.9", **environment}
    absent = header["environment"]["absent"]
    header["environment"]["absent"] = {n: why for n, why in absent.items() if header["environment"][n] is None}
    lines = [header]
    for spec in what.cases:
        request = asdict(plan.resolved(spec, CORES))
        lines.append({"type": "case", "case_id": spec.case_id, "request": request, "fallback_of": None})
        lines += [{"type": "repeat", "case_id": spec.case_id, "repeat": one, "raw": {}} for one in repeats]
    log = Journal(directory, header["run_id"])
    record, raw = assemble([*lines, end], NOW)
    return log.publish(record, raw).name


def find(directory: Path, tmp_path: Path, now=NOW_HERE, *, quick=False, options=(), cores=CORES):
    with Index(directory, place=tmp_path / "index") as index:
        what = planned(*options)
        return held(index, what, plan.protocol(what, quick=quick), now, cores)


GOOD = (repeat(0), repeat(1))


def test_the_newest_run_that_holds_a_case_is_named(tmp_path):
    newest = max(put(tmp_path / "s", *GOOD) for _ in range(3))
    put(tmp_path / "s", repeat(0, outcome="crashed"), repeat(1, outcome="crashed"))
    assert find(tmp_path / "s", tmp_path) == {"cnn-train-ieee-b64-eager": newest}


@pytest.mark.parametrize(
    "other",
    [{"gpuprof": "1"}, {"gpuprof_commit": "0123456789ab"}, {"torch": "2.10"}, {"torch_build": "rocm"},
     {"libraries": {"cudnn": "91002"}}, {"variables": {"CUDA_LAUNCH_BLOCKING": "1"}}, {"driver_version": "575.1"},
     {"partition": "MIG"}, {"power_limit_w": 300.0}, {"ecc_enabled": False}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_other_conditions_hold_nothing(tmp_path, other):
    put(tmp_path / "s", *GOOD)
    assert find(tmp_path / "s", tmp_path)
    assert find(tmp_path / "s", tmp_path, dataclasses.replace(NOW_HERE, facts=NOW_HERE.facts | other)) == {}


def test_another_device_or_a_simulated_one_holds_nothing(tmp_path):
    put(tmp_path / "s", *GOOD)
    for other in ({"device": "test 2"}, {"simulated": True}):
        assert find(tmp_path / "s", tmp_path, dataclasses.replace(NOW_HERE, **other)) == {}


def test_what_was_different_then_holds_nothing_now(tmp_path):
    stored = {"torch_build": "cuda", "gpuprof_commit": "0123456789ab", "libraries": {"cudnn": "91002"}}
    put(tmp_path / "s", *GOOD, **stored, variables={"CUDA_LAUNCH_BLOCKING": "1"})
    assert find(tmp_path / "s", tmp_path) == {}
    same = NOW_HERE.facts | stored | {"variables": {"CUDA_LAUNCH_BLOCKING": "1"}}
    assert find(tmp_path / "s", tmp_path, dataclasses.replace(NOW_HERE, facts=same))


def test_another_card_or_job_is_no_other_condition(tmp_path):
    """The tasks of an array share the work of one store, each on its own card."""
    put(tmp_path / "s", *GOOD, variables={"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "3", "ROCR_VISIBLE_DEVICES": ""})
    assert find(tmp_path / "s", tmp_path)


def test_another_case_protocol_or_number_of_threads_holds_nothing(tmp_path):
    put(tmp_path / "s", *GOOD)
    for options in (("seed=1",), ("batch_size=8",), ("precision=bf16",), ("threads=2",)):
        assert find(tmp_path / "s", tmp_path, options=options) == {}
    assert find(tmp_path / "s", tmp_path, quick=True) == {}
    assert find(tmp_path / "s", tmp_path, cores=4) == {}
    assert find(tmp_path / "s", tmp_path, options=("repeats=3",)) == {}
    assert find(tmp_path / "s", tmp_path, options=("repeats=1", "timeout_s=9")) != {}


@pytest.mark.parametrize("repeats", [(repeat(0), repeat(1, outcome="interrupted")), (repeat(0),), ()])
def test_a_case_with_too_few_good_repeats_is_measured_again(tmp_path, repeats):
    put(tmp_path / "s", *repeats)
    assert find(tmp_path / "s", tmp_path) == {}


def test_wrong_results_are_no_results(tmp_path):
    name = put(tmp_path / "s", *GOOD)
    file = tmp_path / "s" / name / "record.json"
    data = json.loads(file.read_text())
    correctness = data["cases"][0]["correctness"]
    correctness["verdict"] = "wrong"
    del correctness["absent"]["verdict"]
    file.write_text(json.dumps(data))
    assert find(tmp_path / "s", tmp_path) == {}


def test_a_sweep_is_held_in_part_and_over_several_runs(tmp_path):
    one = put(tmp_path / "s", *GOOD, options=("batch_size=1",))
    two = put(tmp_path / "s", *GOOD, options=("sweep.batch_size=[2,4]",))
    found = find(tmp_path / "s", tmp_path, options=("sweep.batch_size=[1,2,4,8]",))
    ids = {size: f"cnn-train-ieee-b{size}-eager" for size in (1, 2, 4)}
    assert found == {ids[1]: one, ids[2]: two, ids[4]: two}


class Sensor(Device):
    def read_identity(self):
        return {"driver_version": "575.51", "partition": NoReading("no such call", "unsupported")}

    def read_facts(self):
        return {"power_limit_w": 700.0, "ecc_enabled": False}


def test_conditions_are_what_torch_the_shell_and_telemetry_say(monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    backend = Backend("nvidia", "NVML", (Sensor("nvidia", 0, "gpu", "NVML", simulated=True, uuids=frozenset({"a1"})),))
    device = {"kind": "gpu", "vendor": "nvidia", "name": "GPU", "uuid": "a1", "pci": None, "index": 0}
    torch = {"torch": "2.9", "torch_build": "cuda", "libraries": {"cudnn": "91002"}}
    found = conditions(device, torch, [backend])
    assert (found.device, found.simulated) == ("GPU", True)
    sensed = {"driver_version": "575.51", "power_limit_w": 700.0, "ecc_enabled": False}
    assert found.facts.items() >= (torch | sensed).items()
    assert found.facts["variables"]["CUDA_LAUNCH_BLOCKING"] == "1"
    assert not {"HIP_VISIBLE_DEVICES", "SLURM_JOB_ID"} & set(found.facts["variables"])
    assert "partition" not in found.facts
    unknown = conditions(device | {"uuid": "b2"}, torch, [backend])
    assert not sensed.keys() & unknown.facts.keys()


@pytest.mark.parametrize("path", sorted(SIMULATED.iterdir()), ids=lambda path: path.name)
def test_a_stored_run_tells_what_its_telemetry_said(path):
    record = store.read(path)
    said = record.telemetry.identity | record.cases[0].repeats[0].telemetry.before
    names = ("driver_version", "partition", "power_limit_w", "ecc_enabled")
    facts = Conditions.of(brief(digest(record))).facts
    assert {name: facts.get(name) for name in names} == {name: said[name].value for name in names}
    assert (facts["torch_build"], facts["libraries"]) == (record.environment.torch_build, record.environment.libraries)
