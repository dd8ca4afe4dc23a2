"""The store: published at once or not at all, shared without locks, damaged runs named and never fatal."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.errors import PublishError, StoreError
from gpuprof.store import runs as store
from gpuprof.store.journal import Journal, read_journal, unfinished
from gpuprof.store.raw import npz, read_raw
from support.journals import journal, repeat
from support.running import DATA, gpuprof
from support.stores import DAMAGE, finished, publish


def test_a_published_run_is_complete_and_the_staging_is_gone(tmp_path):
    path = publish(tmp_path)
    assert sorted(p.name for p in path.iterdir()) == ["raw.npz", "record.json"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert store.read(path) == finished(path.name)[0]
    with np.load(path / "raw.npz") as raw:
        assert raw["a/0/x"].tolist() == [1.0]


def test_npz_is_small_exact_and_reproducible():
    series = {"a/0/block_step_s": [1e-3 * (1 + i % 7) for i in range(5000)], "empty": []}
    packed = npz(series)
    assert packed == npz(dict(reversed(series.items())))
    with np.load(io.BytesIO(packed)) as found:
        assert found["a/0/block_step_s"].tolist() == series["a/0/block_step_s"]
        assert found["empty"].tolist() == []
    assert len(packed) < 5000


def test_run_ids_sort_by_time_and_tame_hostile_names():
    hostile = store.new_run_id("../../etc/passwd\n<script>")
    assert store.RUN_ID.fullmatch(hostile)
    assert "/" not in hostile
    assert store.RUN_ID.fullmatch(store.new_run_id(""))
    assert len({store.new_run_id("x") for _ in range(100)}) == 100


def _publish_many(directory: str, count: int) -> None:
    for _ in range(count):
        publish(Path(directory))


def test_writers_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_publish_many, args=(str(tmp_path), 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    runs = store.run_directories(tmp_path)
    assert len(runs) == 100
    assert all(store.read(run).run_id == run.name for run in runs)


def test_unfinished_tells_the_dead_from_the_living(tmp_path):
    alive = Journal(tmp_path, store.new_run_id("alive"))
    dead = Journal(tmp_path, store.new_run_id("dead"))
    dead.append({"type": "run"})
    dead._close()
    (tmp_path / ".tmp-not-a-run").mkdir()
    assert list(unfinished(tmp_path)) == [dead.path]
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 0
    assert f"left {dead.path} alone: nothing had been measured, but it may just be starting" in done.out
    assert dead.path.exists()
    alive._close()


def test_a_run_killed_before_its_first_line_is_cleared_once_it_is_old(tmp_path):
    log = Journal(tmp_path, store.new_run_id("early"))
    log._close()
    assert gpuprof("recover", "--store", tmp_path).code == 0
    assert log.path.exists()  # it may just be starting
    os.utime(log.path / "journal.jsonl", (0, 0))
    assert "nothing had been measured" in gpuprof("recover", "--store", tmp_path).out
    assert list(tmp_path.iterdir()) == []


def test_what_fails_after_publishing_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: fsync(fd) if not os.path.isdir(f"/proc/self/fd/{fd}") else _refuse())
    assert store.read(publish(tmp_path)).outcome == "ok"


def _refuse():
    raise OSError(22, "Invalid argument")


def test_a_journal_cut_off_in_a_line_gives_its_complete_lines(tmp_path):
    log = Journal(tmp_path, store.new_run_id("cut"))
    lines = journal(repeat(0), repeat(1))
    for line in lines:
        log.append(line)
    log._close()
    whole = (log.path / "journal.jsonl").read_bytes()
    for cut in (len(whole) - 3, len(whole) // 2):
        (log.path / "journal.jsonl").write_bytes(whole[:cut])
        found, begun = read_journal(log.path)
        assert begun
        assert found == lines[: len(found)]
        assert len(found) < len(lines)


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_records_are_named(tmp_path, name):
    path = publish(tmp_path)
    (path / "record.json").write_bytes(DAMAGE[name])
    with pytest.raises(StoreError, match=r"record\.json"):
        store.read(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_is_a_store_error_or_a_valid_record(data):
    text = finished("20261123T090000Z-test-00000000")[0].to_json().encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = text[:start] + data.draw(st.binary(max_size=12)) + text[end:]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(damaged)
        file.flush()
        try:
            store.read(Path(file.name))
        except StoreError as error:
            assert file.name in str(error)


def test_a_record_with_strange_json_is_refused(tmp_path):
    path = publish(tmp_path)
    data = json.loads((path / "record.json").read_text())
    data["cases"][0]["throughput_per_s"]["value"] = float("nan")
    (path / "record.json").write_text(json.dumps(data))
    with pytest.raises(StoreError, match="damaged record"):
        store.read(path)


def test_find_by_part_path_and_last(tmp_path):
    one, two = publish(tmp_path, "one"), publish(tmp_path, "two")
    assert store.find(tmp_path, "one") == store.find(tmp_path, str(one)) == one
    assert store.find(tmp_path, str(two / "record.json")) == two / "record.json"
    assert store.find(tmp_path, "last") == store.run_directories(tmp_path)[-1]
    for name, message in (("zebra", "no run 'zebra'"), ("2", "2 runs match")):
        with pytest.raises(StoreError, match=message):
            store.find(tmp_path, name)
    with pytest.raises(StoreError, match="no run"):
        store.find(tmp_path / "nowhere", "last")


def test_a_store_that_is_a_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used as the store"):
        Journal(tmp_path / "file", store.new_run_id("x"))


def test_what_cannot_be_published_is_saved_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_id = store.new_run_id("x")
    log = Journal(tmp_path / "store", run_id)
    record, raw = finished(run_id)
    shutil.rmtree(tmp_path / "store")  # the store goes away under a running measurement
    with pytest.raises(PublishError, match="Nothing is lost") as caught:
        log.publish(record, raw)
    saved = tmp_path / "gpuprof-rescued" / run_id
    assert str(saved) in str(caught.value)
    assert store.read(saved) == record


def test_a_lost_answer_to_the_rename_is_no_failure(tmp_path, monkeypatch):
    """NFS asks again when it hears nothing, and is told that what it renamed is not there."""
    rename = Path.rename

    def unheard(path, target):
        rename(path, target)
        return rename(path, target)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "rename", unheard)
    path = publish(tmp_path / "store")
    assert sorted(p.name for p in path.iterdir()) == ["raw.npz", "record.json"]
    assert store.run_directories(tmp_path / "store") == [path]
    assert not (tmp_path / "gpuprof-rescued").exists()


def test_a_run_of_that_name_by_another_is_not_taken_for_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_id = store.new_run_id("x")
    log = Journal(tmp_path / "store", run_id)
    record, raw = finished(run_id)

    def replaced(path, target):
        target.mkdir()
        (target / "record.json").write_text("{}")
        shutil.rmtree(path)
        raise FileNotFoundError(2, "No such file or directory")

    with monkeypatch.context() as patch, pytest.raises(PublishError):
        patch.setattr(Path, "rename", replaced)
        log.publish(record, raw)
    assert (tmp_path / "store" / run_id / "record.json").read_text() == "{}"


def test_series_that_are_no_file_are_not_waited_for(tmp_path):
    path = publish(tmp_path)
    (path / "raw.npz").unlink()
    os.mkfifo(path / "raw.npz")
    with pytest.raises(StoreError, match=r"raw\.npz: cannot be read"):
        read_raw(path)


@pytest.mark.parametrize("path", sorted(p.parent for p in DATA.glob("*/record.json")), ids=lambda p: p.name)
def test_kept_records_stay_readable(path):
    """Real runs of earlier versions; the folder's name gives date and device."""
    record = store.read(path)
    assert record.simulated is False
    assert record.started_at.startswith(path.name[:10])
    with np.load(path / "raw.npz", allow_pickle=False) as raw:
        assert len(raw.files) >= sum(len(case.repeats) for case in record.cases)
