"""`gpuprof list` and `show` from outside: stored runs, an empty store, a damaged one."""

from __future__ import annotations

from support.running import gpuprof


def test_the_stored_run_is_listed_and_shown(stored_run):
    store, run = stored_run
    run_id = run.json["run_id"]
    assert run_id in gpuprof("list", "--store", store).out
    listed = gpuprof("list", "--store", store, "--json").json
    assert [row["run_id"] for row in listed["runs"]] == [run_id]
    assert listed["damaged"] == listed["unfinished"] == []
    assert gpuprof("show", "last", "--store", store, "--json").json == run.json
    text = gpuprof("show", "last", "-v", env={"GPUPROF_STORE": str(store)}).out
    for word in ("throughput", "samples/s", "95%", "p50", "correctness", "pass", "4,865 trainable", "2 ok"):
        assert word in text


def test_an_empty_store_says_how_to_begin(tmp_path):
    assert "Measure one with `gpuprof run lstm`" in gpuprof("list", cwd=tmp_path).out
    assert gpuprof("list", "--store", tmp_path, "--json").json == {"runs": [], "damaged": [], "unfinished": []}
    assert "Nothing to recover" in gpuprof("recover", "--store", tmp_path).out


def test_a_damaged_run_is_skipped_by_name(stored_run, tmp_path):
    import shutil

    store, run = stored_run
    shutil.copytree(store, tmp_path / "s")
    bad = tmp_path / "s" / "20260101T000000Z-bad-00000000"
    bad.mkdir()
    (bad / "record.json").write_text("{")
    done = gpuprof("list", "--store", tmp_path / "s")
    assert done.code == 0
    assert run.json["run_id"] in done.out
    assert "skipped" in done.err
    assert bad.name in done.err
