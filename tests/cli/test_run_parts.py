"""gpuprof run with --resume or --shard: what is held, or another machine's, is left out."""

from __future__ import annotations

import json
import shutil

from gpuprof.store import runs as store
from support.running import CONFIGS, SHORT, SLURM, gpuprof


def test_a_real_run_is_resumed(stored_run, tmp_path):
    shutil.copytree(stored_run[0], tmp_path / "s")
    run_id = stored_run[1].json["run_id"]
    asked = ("--set", "seq_len=20", "--set", "batch_size=8", "--store", tmp_path / "s", "--resume")
    again = ("run", CONFIGS / "rnn.yaml", *SHORT, *asked)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = gpuprof(*again, "--set", "sweep.mode=[train,infer]", env=env)
    assert done.code == 0
    assert f"Nothing left to measure: every case is already in {tmp_path / 's'}." in done.out
    assert done.err.count(f"already in run {run_id}") == 2
    assert len(store.run_directories(tmp_path / "s")) == 1
    more = gpuprof(*again, "--set", "sweep.seed=[0,1]", "--json", env=env)
    assert more.code == 0
    assert [case["seed"] for case in more.json["cases"]] == [1]
    assert more.json["config"]["held"] == {more.json["cases"][0]["case_id"].replace("-seed1", ""): run_id}


def test_resume_and_dry_run_exclude_each_other():
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--dry-run", "--resume")
    assert (done.code, done.out) == (2, "")
    assert "leave one of them out" in done.err


def test_dry_run_shows_a_shard_and_an_empty_one_is_no_fault():
    plan = [CONFIGS / "reference.yaml", "--quick", "--dry-run"]
    whole = gpuprof("run", *plan, "--json")
    assert whole.code == 0
    assert len(whole.json) == 5
    tasks = [SLURM | {"SLURM_ARRAY_TASK_ID": task} for task in ("0", "7")]
    parts = [gpuprof("run", *plan, "--shard", "auto", "--json", env=task) for task in tasks]
    assert [part.code for part in parts] == [0, 0]
    assert parts[0].json["shard"] == "1/8"
    assert json.loads(parts[1].out) == []
    assert "shard 8/8: none of 5 planned cases, nothing to do" in gpuprof("run", *plan, "--shard", "8/8").out
    wrong = gpuprof("run", *plan, "--shard", "9/8")
    assert (wrong.code, wrong.out) == (2, "")
    assert "K must be from 1" in wrong.err
