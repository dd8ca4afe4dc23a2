"""What a hostile statistician tried, on record files through the command, with the sentence that it prints now."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from support import rivals
from support.rivals import WORKLOADS, document, told
from support.running import gpuprof

pytestmark = pytest.mark.slow


def rates(mean: float, seed: int, sd: float = 0.004, n: int = 5) -> list[float]:
    rng = random.Random(seed)
    return [mean * (1 + rng.gauss(0, sd)) for _ in range(n)]


@pytest.fixture
def sides(tmp_path):
    """Two stores, each filled by the cases of its runs."""

    def fill(baseline, candidate, names=("H100", "MI300X"), **more):
        for place, name, runs in (("b", names[0], baseline), ("c", names[1], candidate)):
            for number, cases in enumerate(runs if isinstance(runs, list) else [runs]):
                rivals.run(tmp_path / place, number + 30 * (place == "c"), cases, device=name, **more)
        return tmp_path / "b", tmp_path / "c"

    return fill


EQUAL = {w: rates(100, i) for i, w in enumerate(WORKLOADS)}


def test_what_ran_out_of_memory_is_in_the_first_line(sides):
    b, c = sides(EQUAL, dict.fromkeys(WORKLOADS[:4], "out_of_memory") | {"vgg16": rates(120, 9)})
    first = told(b, c)
    assert first.startswith("Only 1 of 5 workloads can be compared. There MI300X was faster than H100: 1.20×")
    assert "Not compared: 4 cases (ran out of memory on MI300X)." in first
    assert "MI300X is faster" not in first
    refused = gpuprof("compare", b, c, "--strict")
    assert refused.code == 4
    assert "20% of the cases can be compared, and --strict wants 80%" in refused.err


def test_what_never_ran_is_in_the_first_line(sides):
    b, c = sides(EQUAL, {w: rates(140, i + 20) for i, w in enumerate(WORKLOADS[:2])})
    first = told(b, c)
    assert first.startswith("Only 2 of 5 workloads can be compared.")
    assert "Not compared: 3 cases (not run on MI300X)." in first
    assert gpuprof("compare", b, c, "--strict").code == 4


def test_one_workload_alone_does_not_make_a_device_faster(sides):
    slower = {w: rates(98, i + 20) for i, w in enumerate(WORKLOADS)} | {"cnn": rates(9900, 40)}
    first = told(*sides(EQUAL, slower))
    assert first.startswith("MI300X is faster than H100 in 1 of 5 workloads (cnn), no difference shown in 4.")
    assert "That mean is cnn alone." in first


def test_batch_sizes_that_contradict_each_other_are_told(sides):
    # At equal batch sizes slower; at its own best size, which the baseline cannot run, much faster.
    base = {("cnn", 8): rates(100, 1), ("cnn", 64): rates(300, 2)}
    other = {("cnn", 8): rates(80, 3), ("cnn", 64): rates(240, 4), ("cnn", 512): rates(700, 5)}
    first = told(*sides(base, other))
    assert first.startswith("It depends on the batch size: MI300X is slower on cnn")
    assert "faster with each side at its best (2.3" in first


def test_hosts_are_not_called_devices(sides):
    first = told(*sides(EQUAL, {w: rates(70, i + 20) for i, w in enumerate(WORKLOADS)}, regime="host-bound"))
    assert first.startswith(
        "These runs compare hosts: every case is bound by its CPU. With its host, MI300X was slower"
    )


def test_quick_runs_weaken_the_first_line(sides):
    first = told(*sides(EQUAL, {w: rates(140, i + 20) for i, w in enumerate(WORKLOADS)}, quick=True))
    assert first.startswith("MI300X is faster than H100, by 32% to 49%.")
    assert "Weakened: runs are quick ones." in first


def test_copies_under_other_ids_are_no_measurements(sides, tmp_path):
    b, c = sides({"cnn": rates(100, 1)}, {"cnn": rates(101, 2)})
    alone = document(b, c)["overall"]
    for place in (b, c):
        (run,) = place.iterdir()
        for copy in range(4):
            record = json.loads((run / "record.json").read_text())
            record["run_id"] = record["run_id"][:-8] + f"{copy + 70:08x}"
            target = place / record["run_id"]
            shutil.copytree(run, target)
            (target / "record.json").write_text(json.dumps(record))
    copied = document(b, c)
    assert copied["overall"]["interval"] == alone["interval"]
    assert len(copied["skipped"]) == 8
    assert all("under another id, counted once" in line for line in copied["skipped"])


def test_the_same_values_on_both_sides_are_no_comparison(sides):
    values = rates(100, 1)
    found = document(*sides({"cnn": values}, {"cnn": values}, names=("H100", "H100")))
    assert found["overall"]["verdict"] is None
    assert "both sides have the same measurements" in found["overall"]["reason"] + json.dumps(found["alike"])


@pytest.mark.parametrize("value", [1e29, 130.0])
def test_a_headline_that_its_processes_do_not_give_is_named_and_left_out(sides, value):
    b, c = sides({"cnn": rates(100, 1)}, {"cnn": rates(101, 2)})
    (path,) = c.glob("*/record.json")
    record = json.loads(path.read_text())
    record["cases"][0]["throughput_per_s"] |= {"value": value, "ci95": [value, value]}
    path.write_text(json.dumps(record))
    found = document(b, c)
    assert found["overall"]["verdict"] is None
    assert any("its processes give another value" in claim["reason"] for claim in found["claims"] if claim["reason"])


def test_the_same_machines_on_both_sides_are_compared_one_by_one(tmp_path):
    """Machines of very different speed, each 5% faster: their spread is no part of the difference."""
    for number, speed in enumerate((50, 100, 200)):
        rivals.run(tmp_path / "b", number, {"cnn": rates(speed, number)}, device="H100", card=f"card {number}")
        rivals.run(tmp_path / "c", number + 30, {"cnn": rates(1.05 * speed, number + 9)}, device="H100",
                   card=f"card {number}")  # fmt: skip
    overall = document(tmp_path / "b", tmp_path / "c")["overall"]
    assert overall["verdict"] == "faster"
    assert overall["interval"][0] > 1.03
    assert overall["interval"][1] < 1.07
    text = gpuprof("compare", tmp_path / "b", tmp_path / "c", "-v").out
    assert "The same 3 machines on both sides: verdicts hold for two settings or runs on them." in text


def test_a_run_a_workload_still_takes_turns(tmp_path):
    """A suite makes a run a workload: cases that share theirs are paired, whatever other runs there are."""
    rng = random.Random(3)
    for number, workload in enumerate(WORKLOADS[:3]):
        drift = [100 * (1 + rng.gauss(0, 0.1)) for _ in range(5)]
        both = {(workload, 8): drift, (workload, 16): [1.03 * value * (1 + rng.gauss(0, 0.002)) for value in drift]}
        rivals.run(tmp_path / "s", number, both, device="H100")
    found = document("batch_size=8", "batch_size=16", "--store", tmp_path / "s", "--vary", "batch_size")
    assert {claim["unit"] for claim in found["claims"] if claim["view"] == "iso-batch"} == {"pair of processes"}
    assert found["overall"]["verdict"] == "faster"
    assert found["overall"]["interval"][1] - found["overall"]["interval"][0] < 0.01


def test_two_processes_get_no_verdict(sides):
    found = document(*sides({"cnn": rates(100, 1, n=2)}, {"cnn": rates(300, 2, n=2)}))
    assert found["overall"]["verdict"] is None
    assert "fewer than 3 processes" in found["overall"]["reason"]


def test_a_case_that_failed_in_one_of_two_runs_ends_no_comparison(tmp_path):
    for number, lstm in ((0, rates(100, 1)), (1, rates(100, 2))):
        rivals.run(tmp_path / "b", number, {"cnn": rates(100, 9 + number), "lstm": lstm}, device="H100")
    for number, lstm in ((30, rates(120, 3)), (31, "out_of_memory")):
        rivals.run(tmp_path / "c", number, {"cnn": rates(120, 9 + number), "lstm": lstm}, device="MI300X")
    found = document(tmp_path / "b", tmp_path / "c")
    assert found["overall"]["ratio"] == pytest.approx(1.2, rel=0.01)
    # And where no run of the candidate has both.
    rivals.run(tmp_path / "d", 40, {"cnn": "out_of_memory", "lstm": rates(120, 5)}, device="MI300X")
    rivals.run(tmp_path / "d", 41, {"cnn": rates(120, 6), "lstm": "out_of_memory"}, device="MI300X")
    assert document(tmp_path / "b", tmp_path / "d")["overall"]["ratio"] == pytest.approx(1.2, rel=0.01)
