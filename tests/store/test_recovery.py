"""gpuprof recover: what a dead run measured is published or kept, never thrown away; nobody else's file is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gpuprof.store import runs as store
from gpuprof.store import upkeep
from gpuprof.store.journal import read_journal
from gpuprof.store.raw import read_raw
from support.journals import DAY_S, aged, dead, journal, repeat
from support.running import gpuprof

pytestmark = pytest.mark.slow
REPEATS = 50


def left(directory: Path, *, age_s: float = 90, name: str = "") -> Path:
    """What a run killed after 50 repeats leaves."""
    lines = journal(*(repeat(i) for i in range(REPEATS)), end=False)
    lines[0] |= {"run_id": store.new_run_id(name or "dead")}
    return dead(directory, *lines, age_s=age_s)


def garble(staging: Path, number: int, text: bytes) -> bytes:
    """Damage one line, counted from 0, the file's times as they were; the whole as it had been."""
    file = staging / "journal.jsonl"
    before, times = file.read_bytes(), file.stat()
    lines = before.splitlines(keepends=True)
    lines[number] = text
    file.write_bytes(b"".join(lines))
    os.utime(file, (times.st_atime, times.st_mtime))
    return before


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
    assert kept == {staging.name: "it holds no whole repeats and is 0.0 days old"}
    done = gpuprof("recover", "--store", tmp_path)
    assert (done.code, "its journal holds no whole line" in done.err, staging.exists()) == (code, code == 1, code == 1)


def test_a_record_that_could_not_be_published_is_not_nothing(tmp_path):
    """Where the disk was full from the first line on, the record lies beside an empty journal."""
    staging = dead(tmp_path)
    (staging / "record.json").write_text("{}")
    aged(staging, 90)
    done = gpuprof("recover", "--store", tmp_path)
    assert done.code == 1
    assert "its journal holds no whole line" in done.err
    assert (staging / "record.json").exists()


@pytest.mark.parametrize(
    ("data", "nothing"),
    [({"correctness": {"verdict": "pass"}}, True), ({"failed": "no memory"}, True), (None, True),
     ({"correctness": 5}, True), ({"correctness": {"verdict": "wrong"}}, False)],
)  # fmt: skip
def test_checks_alone_are_nothing_unless_they_found_wrong_results(tmp_path, data, nothing):
    lines = [{"type": "run"}, {"type": "case"}, {"type": "inspected", "case_id": "a", "data": data}]
    assert upkeep.nothing_measured(tmp_path, lines) is nothing


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
    assert "nothing had been measured" in gpuprof("recover", "--store", tmp_path).out
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
