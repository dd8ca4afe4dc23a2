"""gpuprof recover: what a dead run measured is published or kept, never thrown away; nobody else's file is touched."""

from __future__ import annotations

import json
import os

import pytest

from gpuprof.store import runs as store
from gpuprof.store.raw import read_raw
from support.journals import DAY_S, REPEATS, aged, dead, garble, left
from support.running import gpuprof

pytestmark = pytest.mark.slow


def test_a_damaged_journal_is_named_and_kept_until_it_is_old(tmp_path):
    staging = left(tmp_path, age_s=6 * DAY_S)
    before = garble(staging, 0, b"\x00" * 30 + b"\n")
    done = gpuprof("recover", "--store", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert f"{staging}: cannot be recovered" in done.err
    assert "line 1 is damaged" in done.err
    kept = gpuprof("store", "gc", "--store", tmp_path)
    assert kept.code == 0
    assert f"kept {staging}: it is 6.0 days old: {staging / 'journal.jsonl'}: line 1" in kept.out
    assert staging.exists()
    garble(staging, 0, before.splitlines(keepends=True)[0])
    assert f"with {REPEATS} repeats" in gpuprof("recover", "--store", tmp_path).out
    old = left(tmp_path, age_s=8 * DAY_S)
    garble(old, 0, b"{\n")
    assert set(gpuprof("store", "gc", "--store", tmp_path, "--json").json["removed"]) == {old.name}


def test_a_last_line_that_was_cut_off_costs_itself_alone(tmp_path):
    staging = left(tmp_path)
    file = staging / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 0
    assert f"with {REPEATS - 1} repeats" in done.out
    assert len(store.run_names(tmp_path)) == len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("whole", "code"), [(0, 1), (2, 0)], ids=["header", "first repeat"])
def test_a_journal_whose_only_result_was_cut_off_is_not_cleared_as_empty(tmp_path, whole, code):
    staging = left(tmp_path)
    file = staging / "journal.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:whole]) + b'{"type": "repe')
    aged(staging, 90)
    kept = gpuprof("store", "gc", "--store", tmp_path, "--json").json["kept"]
    assert kept == {staging.name: "it has no complete repeat and is 0.0 days old"}
    done = gpuprof("recover", "--store", tmp_path)
    assert (done.code, "its journal has no complete line" in done.err, staging.exists()) == (code, code == 1, code == 1)


def test_a_record_that_could_not_be_published_is_not_nothing(tmp_path):
    """Where the disk was full from the first line on, the record lies beside an empty journal."""
    staging = dead(tmp_path)
    (staging / "record.json").write_text("{}")
    aged(staging, 90)
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 1
    assert "its journal has no complete line" in done.err
    assert (staging / "record.json").exists()


def test_a_journal_that_holds_the_wrong_things_is_named(tmp_path):
    staging = left(tmp_path)
    header = json.loads((staging / "journal.jsonl").read_bytes().splitlines()[0])
    garble(staging, 0, json.dumps(header | {"device": "a card"}).encode() + b"\n")
    other = left(tmp_path)
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 1
    assert f"{staging}: cannot be recovered" in done.err
    assert f"with {REPEATS} repeats" in done.out
    assert staging.exists()
    assert not other.exists()


def test_the_room_made_before_the_first_line_is_no_line(tmp_path):
    staging = dead(tmp_path)
    (staging / "journal.jsonl").write_text("\n" * 65536)
    aged(staging, 90)
    assert "nothing was measured" in gpuprof("recover", "--store", tmp_path).out
    assert not staging.exists()


@pytest.mark.parametrize("name", ["raw.npz", "record.json"])
def test_a_link_planted_in_a_staging_directory_is_not_written_through(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    staging = left(tmp_path / "s")
    (staging / name).symlink_to(victim)
    assert gpuprof("recover", "--store", tmp_path / "s").code == 0
    (run,) = store.run_directories(tmp_path / "s")
    assert victim.read_text() == "mine"
    assert not (run / name).is_symlink()
    assert len(store.read(run).cases[0].repeats) == REPEATS
    assert len(read_raw(run)) == REPEATS


@pytest.mark.parametrize("what", ["staging", "journal", "pipe"])
def test_a_staging_directory_or_journal_that_is_a_link_is_nobodys_run(tmp_path, what):
    elsewhere, directory = left(tmp_path / "elsewhere"), tmp_path / "s"
    staging = directory / elsewhere.name
    directory.mkdir()
    if what == "staging":
        staging.symlink_to(elsewhere)
    else:
        staging.mkdir()
        if what == "journal":
            (staging / "journal.jsonl").symlink_to(elsewhere / "journal.jsonl")
        else:
            os.mkfifo(staging / "journal.jsonl")
    before = sorted(elsewhere.iterdir())
    for command in (("recover",), ("store", "gc", "--older-than", "0")):
        done = gpuprof(*command, "--store", directory)
        assert (done.code, "Nothing to re" in done.out) == (0, True)
    assert sorted(elsewhere.iterdir()) == before
    assert [path.name for path in directory.iterdir()] == [staging.name]
    assert store.run_names(directory) == []
