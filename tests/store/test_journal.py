"""The journal: published at once or not at all, shared without locks, read as far as it is whole."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpuprof.errors import PublishError, StoreError
from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal, read_journal, unfinished
from support.journals import NOW, REPEATS, garble, journal, left, repeat
from support.running import ROOT, gpuprof, variables
from support.stores import finished, publish


def test_a_published_run_is_complete_and_the_staging_is_gone(tmp_path):
    path = publish(tmp_path)
    assert sorted(p.name for p in path.iterdir()) == ["raw.npz", "record.json"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert store.read(path) == finished(path.name)[0]
    with np.load(path / "raw.npz") as raw:
        assert raw["a/0/x"].tolist() == [1.0]


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
    assert list(unfinished(tmp_path)) == [dead.staging]
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 0
    assert f"left {dead.staging} alone: nothing was measured, but it may just be starting" in done.out
    assert dead.staging.exists()
    alive._close()


def test_a_run_killed_before_its_first_line_is_cleared_once_it_is_old(tmp_path):
    log = Journal(tmp_path, store.new_run_id("early"))
    log._close()
    assert gpuprof("recover", "--store", tmp_path).code == 0
    assert log.staging.exists()  # it may just be starting
    os.utime(log.staging / "journal.jsonl", (0, 0))
    assert "nothing was measured" in gpuprof("recover", "--store", tmp_path).out
    assert list(tmp_path.iterdir()) == []


def _refuse_directories(monkeypatch, number: int) -> None:
    def refused(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", refused)


def test_a_file_system_that_syncs_no_directories_is_a_store_all_the_same(tmp_path, monkeypatch):
    _refuse_directories(monkeypatch, errno.EINVAL)
    assert store.read(publish(tmp_path)).outcome == "ok"


def test_a_disk_that_fails_before_the_rename_publishes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _refuse_directories(monkeypatch, errno.EIO)
    with pytest.raises(PublishError):
        publish(tmp_path / "store")
    assert store.run_directories(tmp_path / "store") == []


def test_what_fails_after_publishing_is_no_failure(tmp_path, monkeypatch):
    unlink = Path.unlink

    def refused(path, **options):
        if path.name == "journal.jsonl":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refused)
    assert store.read(publish(tmp_path)).outcome == "ok"


def test_a_run_has_its_files_on_disk_before_it_is_published(tmp_path, monkeypatch):
    """A rename can outlive a power cut that the names of the files within do not."""
    steps = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append(Path(os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd)))
    monkeypatch.setattr(Path, "rename", lambda path, target: (steps.append("rename"), rename(path, target)))
    path = publish(tmp_path)
    staging = tmp_path / f".tmp-{path.name}"
    assert steps[-5:] == [staging / "raw.npz", staging / "record.json", staging, "rename", tmp_path]


def test_a_journal_cut_off_in_a_line_gives_its_complete_lines(tmp_path):
    log = Journal(tmp_path, store.new_run_id("cut"))
    lines = journal(repeat(0), repeat(1))
    for line in lines:
        log.append(line)
    log._close()
    whole = (log.staging / "journal.jsonl").read_bytes()
    for cut in (len(whole) - 3, len(whole) // 2):
        (log.staging / "journal.jsonl").write_bytes(whole[:cut])
        found, begun = read_journal(log.staging)
        assert begun
        assert found == lines[: len(found)]
        assert len(found) < len(lines)


def test_a_store_that_is_a_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used as the store"):
        Journal(tmp_path / "file", store.new_run_id("x"))


def test_a_run_that_has_the_name_already_keeps_its_journal(tmp_path):
    living = Journal(tmp_path, store.new_run_id("x"))
    living.append({"type": "run"})
    with pytest.raises(StoreError, match="File exists"):
        Journal(tmp_path, living.staging.name.removeprefix(".tmp-"))
    assert read_journal(living.staging)[0] == [{"type": "run"}]


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


@pytest.mark.parametrize("number", [0, 1, 20, -2], ids=["header", "case", "repeat", "last but one"])
@pytest.mark.parametrize(
    "text", [b'{"type": "re\n', b"\xff\x00\n", b"17\n", b"{}\n", b"[" * 10_000 + b"\n"],
    ids=["cut", "binary", "number", "no type", "deep"],
)  # fmt: skip
def test_a_line_damaged_with_others_behind_it_costs_none_of_them(tmp_path, number, text):
    staging = left(tmp_path)
    before = garble(staging, number, text)
    with pytest.raises(store.StoreError, match=f"line {number % (REPEATS + 2) + 1} is damaged and others follow it"):
        read_journal(staging)
    garble(staging, number, before.splitlines(keepends=True)[number])
    assert read_journal(staging) == ([json.loads(line) for line in before.splitlines()], False)


@pytest.mark.slow
def test_writers_that_are_killed_lose_double_or_halve_nothing():
    """8 processes; the full size of 1,000 runs each is the script's default."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/bench/store_writers.py", "--runs", "250", "--json"],
        env=variables(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] == 2
    assert found["published"] >= 6 * 250


def test_a_run_that_is_published_while_dead_ones_are_looked_for_is_none_of_them(tmp_path, monkeypatch):
    record, raw = assemble(journal(repeat()), NOW)
    log = Journal(tmp_path, record.run_id)
    flock = fcntl.flock

    def published_in_between(file, operation):
        if not (tmp_path / record.run_id).exists():
            log.publish(record, raw)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", published_in_between)
    assert list(unfinished(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == [record.run_id]


def test_a_run_that_is_just_starting_is_never_seen_without_its_lock(tmp_path, monkeypatch):
    seen, flock = [], fcntl.flock

    def looked_for_in_between(file, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        seen.append(list(unfinished(tmp_path)))
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", looked_for_in_between)
    log = Journal(tmp_path, "20261123T090000Z-test-00000000")
    assert seen == [[]]
    assert list(unfinished(tmp_path)) == []
    log._close()
    assert list(unfinished(tmp_path)) == [log.staging]
