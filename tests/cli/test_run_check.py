"""`gpuprof run --check`: the gates of each case, without timing."""

from __future__ import annotations

import re

import pytest

from support import on_cuda
from support.running import CONFIGS, SHORT, gpuprof
from support.toys import package_with_toys

pytestmark = pytest.mark.slow
BOTH = ("--set", "sweep.variant=[eager,graph]")


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    place = tmp_path_factory.mktemp("check")
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--device", "cpu", "--check", *BOTH, cwd=place)
    return done, place


def test_what_runs_and_what_does_not_stands_in_a_table(checked):
    done, place = checked
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert ["rnn-train-ieee-b32-t100-eager", "pass", "ieee"] in [row[:3] for row in rows]
    assert ["rnn-train-ieee-b32-t100-graph", "unsupported"] in rows  # it ran in nothing
    assert done.out.splitlines()[-1] == "2 checked: 1 pass, 1 unsupported"
    assert "[1/2] rnn-train-ieee-b32-t100-eager: pass   (" in done.err
    assert list(place.iterdir()) == [], "nothing is stored"


def test_a_machine_gets_all_of_it(cuda_libraries, tmp_path):
    env = on_cuda.environment(cuda_libraries)
    done = gpuprof(
        "run", CONFIGS / "lstm.yaml", "--check", "--json", *BOTH, "--set", "precision=bf16", cwd=tmp_path, env=env
    )
    assert done.code == 0, done.err
    assert done.json["planned"] == 2
    eager, graph = done.json["cases"]
    assert (eager["state"], graph["state"]) == ("pass", "pass")
    assert eager["precision"]["requested"] == "bf16"
    assert eager["precision"]["effective"] == "mixed(rnn=fp16, matmul=bf16)"
    assert eager["precision"]["probe"]["matmul"]["error"] > 0
    assert 0 < eager["error"] < 0.05
    assert eager["correctness"]["batch_error"] is not None
    assert graph["device"].startswith("Simulated")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    place = tmp_path_factory.mktemp("toys")
    (place / "fault.yaml").write_text("workload: toyfault\nbatch_size: 32\n")
    return place, package_with_toys(place)


@pytest.mark.parametrize(
    ("fault", "code", "says"), [("none", 0, "1 pass"), ("size", 1, "1 wrong"), ("crash", 1, "1 failed"),
                                ("hang", 1, "1 failed"), ("raise", 1, "1 failed")]
)  # fmt: skip
def test_the_exit_code_says_whether_something_is_wrong(toys, fault, code, says):
    place, env = toys
    done = gpuprof("run", "fault.yaml", "--device", "cpu", "--check", "--set", f"params.fault={fault}", "--set",
                   f"timeout_s={10 if fault == 'hang' else 100}", cwd=place, env=env)  # fmt: skip
    assert done.code == code, done.out + done.err
    assert done.out.splitlines()[-1] == f"1 checked: {says}"


def test_where_nothing_can_run_the_device_is_to_blame(tmp_path):
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--device", "cpu", "--check", "--set", "variant=graph", cwd=tmp_path)
    assert done.code == 3
    assert "a CPU has no device graphs" in done.out


def test_a_wrong_case_says_by_how_much_and_in_which_batch(toys):
    place, env = toys
    done = gpuprof("run", "fault.yaml", "--device", "cpu", "--check", "--set", "params.fault=size", cwd=place, env=env)
    assert re.search(r"toyfault-train-ieee-b32-eager-fault=size +wrong +ieee +\d\.\de[-+]\d\d", done.out), done.out
    assert "fault=size: its batch of 32 and the few rows that it repeats disagree" in done.out


def test_a_case_whose_own_batch_cannot_run_is_no_pass(toys):
    place, env = toys
    done = gpuprof("run", "fault.yaml", "--device", "cpu", "--check", "--json", "--set", "params.fault=raise",
                   cwd=place, env=env)  # fmt: skip
    (case,) = done.json["cases"]
    assert case["state"] == "failed"
    assert case["why"] == "the batch could not be checked: RuntimeError: can't allocate memory"
    assert case["correctness"]["verdict"] == "pass", "of the small batch"


def test_a_run_says_in_which_batch_its_results_are_wrong(toys):
    place, env = toys
    done = gpuprof("run", "fault.yaml", *SHORT, "--set", "params.fault=wrap", "--store", "store", "--json",
                   cwd=place, env=env)  # fmt: skip
    assert done.code == 1
    (case,) = done.json["cases"]
    assert (case["correctness"]["verdict"], case["correctness"]["found_by"]) == ("wrong", "batch")
    assert "WRONG RESULTS in a batch of this size" in case["warnings"][0]
    assert "correctness wrong in a batch of this size" in done.err


@pytest.mark.parametrize("option", ["--resume", "--dry-run", "--quick", "--store=there", "--telemetry-hz=5"])
def test_options_of_measuring_are_refused(tmp_path, option):
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--check", option, cwd=tmp_path)
    assert done.code == 2
    assert f"leave out {option.partition('=')[0]}" in done.err


def test_a_store_named_by_the_environment_is_no_option(tmp_path):
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--check", "--device", "cpu", "--set", "variant=graph", cwd=tmp_path,
                   env={"GPUPROF_STORE": "there"})  # fmt: skip
    assert done.code == 3
