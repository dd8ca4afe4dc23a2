"""`gpuprof run` on the simulated CUDA device, with its sensors: PyTorch's own CUDA build through every GPU branch."""

from __future__ import annotations

import json

import pytest

from support.running import CONFIGS, ROOT, gpuprof
from support.simulators import cuda
from support.simulators.machine import machine
from support.toys import package_with_toys

QUICK = ("--quick", "--device", "gpu", "--set", "threads=1", "--set", "repeats=1", "--set", "precision=tf32")
# As short as a run can be: what is looked at is not its times.
BRIEF = ("--quick", "--set", "threads=1", "--set", "repeats=1", "--telemetry-hz", "0", "--json")


def loaded(load: str, start_ns: int, end_ns: int) -> float:
    """Joules between two instants, by the lines that the simulated sensor followed."""
    lines = [(int(ns), float(w)) for ns, w in (line.split() for line in load.splitlines())]
    joules = 0.0
    for (from_ns, watts), (to_ns, _) in zip(lines, [*lines[1:], (end_ns, 0.0)], strict=True):
        joules += watts * max(0, min(to_ns, end_ns) - max(from_ns, start_ns)) / 1e9
    return joules


@pytest.fixture(scope="module", params=["h100", "mi300x_spx"])
def measured(request, tmp_path_factory, libraries, cuda_libraries):
    """A record of the LSTM, eager and as a graph, on a GPU of either vendor; and what its sensor followed."""
    place = tmp_path_factory.mktemp(request.param)
    (place / "counts").mkdir()
    env = machine(request.param, libraries, cuda_libraries, place, counts=place / "counts", path=[ROOT])
    done = gpuprof("run", CONFIGS / "lstm.yaml", *QUICK, "--set", "sweep.variant=[eager,graph]", "--json", "--store",
                   place / "store", env=env)  # fmt: skip
    assert done.code == 0, done.err
    assert sum(each.illegal for each in cuda.Counts.of(place / "counts")) == 0, "a capture was given what it forbids"
    return request.param, done.json, (place / "load.txt").read_text()


def test_it_says_that_it_is_simulated(measured):
    model, record, _ = measured
    assert record["simulated"] is True
    assert record["device"]["name"].startswith("Simulated ")
    vendor, build = {"h100": ("nvidia", "cuda"), "mi300x_spx": ("amd", "rocm")}[model]
    assert (record["device"]["vendor"], record["environment"]["torch_build"]) == (vendor, build)
    assert record["device"]["architecture"] in ("sm_90", "gfx942:sramecc+:xnack-")


def test_its_numbers_are_right_and_in_the_precision_asked_for(measured):
    _, record, _ = measured
    for case in record["cases"]:
        assert case["correctness"]["verdict"] == "pass"
        assert case["precision"]["effective"] == "tf32"
        assert not [w for w in case["warnings"] if "finite" in w or "FLOPs" in w]


def test_a_graph_is_captured_and_takes_no_more_memory(measured):
    _, record, _ = measured
    eager, graph = record["cases"]
    assert (eager["variant"], graph["variant"]) == ("eager", "graph")
    assert all(repeat["cold"]["capture_s"] > 0 for repeat in graph["repeats"])
    assert all(repeat["device_span"]["step_s"] > 0 for repeat in (*eager["repeats"], *graph["repeats"]))
    assert graph["throughput_per_s"]["value"] > 2 * eager["throughput_per_s"]["value"]
    peaks = [case["peak_memory_bytes"] for case in (eager, graph)]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


def test_its_energy_is_that_of_the_load(measured):
    """Power follows what the runtime is given to do; the window is read back through the vendor's own binding."""
    _, record, load = measured
    for case in record["cases"]:
        for repeat in case["repeats"]:
            (window,) = (phase for phase in repeat["phases"] if phase["name"] == "throughput")
            joules = loaded(load, window["start_ns"], window["end_ns"])
            told = repeat["telemetry"]["energy"]["throughput"]["energy_j"]
            assert told == pytest.approx(joules, rel=0.05)


def test_of_two_devices_only_the_one_that_was_asked_for_is_used(cuda_libraries, tmp_path):
    (tmp_path / "counts").mkdir()
    env = cuda.variables(cuda_libraries, [cuda.H100, cuda.SECOND], counts=tmp_path / "counts", path=[ROOT])
    done = gpuprof("run", CONFIGS / "cnn.yaml", *BRIEF, "--device", "gpu:1", "--set", "batch_size=4", "--store",
                   tmp_path / "store", env=env)  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["device"]["index"] == 1
    counts = cuda.Counts.of(tmp_path / "counts")
    assert sum(each.allocations[1] for each in counts) > 0
    assert sum(each.allocations[0] for each in counts) == 0
    assert sum(each.illegal for each in counts) == 0


def test_a_device_that_is_full_is_told_as_such(cuda_libraries, tmp_path):
    small = cuda.Device("Simulated T4", cuda.H100.uuid, 0x1B, 2**27, 40, (7, 5))
    env = cuda.variables(cuda_libraries, [small], path=[ROOT])
    done = gpuprof("run", CONFIGS / "cnn.yaml", *BRIEF, "--device", "gpu", "--set", "batch_size=4096", "--store",
                   tmp_path, env=env)  # fmt: skip
    (case,) = done.json["cases"]
    assert done.code == 1
    assert "out of memory; try a smaller batch_size" in case["reason"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, cuda_libraries):
    place = tmp_path_factory.mktemp("faulty")
    toys = package_with_toys(place)
    (place / "faulty.yaml").write_text("workload: toyfault\nbatch_size: 4\n")

    def run(fault: str, variant: str, batch_size: int = 4):
        counts = place / f"{fault}-{variant}"
        counts.mkdir()
        env = cuda.variables(cuda_libraries, [cuda.H100, cuda.SECOND], counts=counts, path=[place])
        store = place / f"store-{fault}-{variant}"
        gpuprof("run", "faulty.yaml", *BRIEF[:-1], "--set", f"params.fault={fault}", "--set", f"variant={variant}",
                "--set", f"batch_size={batch_size}",
                "--device", "gpu:1", "--store", store, cwd=place, env=toys | env)  # fmt: skip
        (case,) = json.loads(next(store.glob("*/record.json")).read_text())["cases"]
        return case, [sum(each.allocations[i] for each in cuda.Counts.of(counts)) for i in range(2)]

    return run


@pytest.mark.parametrize("variant", ["eager", "graph"])
def test_a_step_without_a_fault_runs(faulty, variant):
    case, allocations = faulty("none", variant)
    assert case["outcome"] == "ok", case["reason"]
    assert case["correctness"]["verdict"] == "pass"
    assert allocations[0] == 0


@pytest.mark.parametrize(
    ("fault", "says"),
    [("item", "not permitted when stream is capturing"), ("stream", "Unjoined"), ("stale", "stale")],
)
def test_a_step_that_cannot_be_captured_is_no_graph(faulty, fault, says):
    case, _ = faulty(fault, "graph")
    assert case["outcome"] != "ok"
    assert says in case["reason"] or says in str(case["correctness"]["absent"])


@pytest.mark.parametrize("variant", ["eager", "graph"])
def test_a_kernel_that_is_wrong_only_above_batch_16_is_wrong(faulty, variant):
    case, _ = faulty("size", variant, 32)
    assert case["correctness"]["verdict"] == "wrong"
    assert case["correctness"]["batch_error"] > case["correctness"]["wrong_above"]
    assert case["correctness"]["output_error"] < 1e-4


def test_memory_of_another_device_does_not_go_unseen(faulty):
    assert faulty("device", "eager")[1][0] > 0
