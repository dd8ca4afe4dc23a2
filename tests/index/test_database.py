"""The index: a cache that may be lost, damaged, locked or old at any time, and whose answers are those of the runs."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gpuprof.index import database as indexing
from gpuprof.index.database import Index
from gpuprof.index.selector import parse
from gpuprof.store import runs as store
from support.indexed import cache, from_records, names, publish, told, unread
from support.running import ROOT, gpuprof, variables
from support.stores import DAMAGE


def test_an_index_says_what_the_records_say(runs):
    assert told(runs) == from_records(runs)
    assert told(runs) == from_records(runs)
    assert names(runs) == [path.name for path in store.run_directories(runs)]


def test_records_are_read_once(runs, monkeypatch):
    opened = unread(monkeypatch)
    names(runs)
    assert len(opened) == 4
    names(runs)
    publish(runs, 9)
    assert len(names(runs)) == 5
    assert len(opened) == 5


def test_it_is_made_anew_where_it_was_deleted(runs):
    before = told(runs)
    cache(runs).unlink()
    assert told(runs) == before
    shutil.rmtree(cache(runs).parent)
    assert told(runs) == before


def test_it_lies_in_the_users_cache_and_leaves_the_store_alone(runs):
    before = sorted(path.name for path in runs.iterdir())
    names(runs)
    assert sorted(path.name for path in runs.iterdir()) == before
    assert cache(runs).parent.stat().st_mode & 0o077 == 0


def test_each_store_has_an_index_of_its_own(runs, tmp_path):
    other = tmp_path / "other"
    publish(other, 50)
    names(runs)
    assert len(names(other)) == 1
    assert len(names(runs)) == 4
    assert len(list((tmp_path / "cache" / "gpuprof").glob("*.sqlite"))) == 2


def test_selectors_choose(runs):
    everything = names(runs)
    assert names(runs, parse("host=host1")) == everything[1::2]
    assert names(runs, parse("run~00000002")) == [everything[2]]
    assert names(runs, parse("workload=cnn,batch_size>=8")) == everything
    assert names(runs, parse("workload=lstm")) == []
    assert names(runs, parse("date>=2026-11-24")) == []


# ---- runs that change


def test_a_deleted_run_is_gone(runs):
    everything = names(runs)
    shutil.rmtree(runs / everything[1])
    assert names(runs) == [everything[0], *everything[2:]]


def test_a_changed_record_is_read_again(runs):
    names(runs)
    path = store.run_directories(runs)[0]
    data = json.loads((path / "record.json").read_text())
    data["device"]["name"] = "another device"
    (path / "record.json").write_text(json.dumps(data))
    assert told(runs) == from_records(runs)
    assert told(runs)[0][3][0].device == "another device"
    assert names(runs, parse("device~another")) == [path.name]


def test_a_record_damaged_after_it_was_indexed_is_named_and_left_out(runs):
    everything = names(runs)
    (runs / everything[2] / "record.json").write_text("{")
    with Index(runs) as index:
        assert [brief.name for brief, _ in index.briefs()] == [*everything[:2], everything[3]]
        (fault,) = index.faults
    assert everything[2] in fault
    (runs / everything[0] / "record.json").unlink()
    assert names(runs) == [everything[1], everything[3]]


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_foreign_and_future_records_are_named_and_skipped(runs, name):
    good = names(runs)
    path = publish(runs, 77)
    (path / "record.json").write_bytes(DAMAGE[name])
    for _ in range(2):
        with Index(runs) as index:
            assert [brief.name for brief, _ in index.briefs()] == good
            assert len(index.faults) == 1
            assert str(path / "record.json") in index.faults[0]


def test_a_future_schema_says_so(runs):
    path = publish(runs, 77)
    (path / "record.json").write_bytes(DAMAGE["future"])
    with Index(runs) as index:
        assert "written by a newer gpuprof" in index.faults[0]


@pytest.mark.parametrize("what", ["empty", "record.json is a directory"])
def test_directories_that_hold_no_record_are_named(runs, what):
    path = runs / "20261124T000000Z-x-00000000"
    (path if what == "empty" else path / "record.json").mkdir(parents=True)
    with Index(runs) as index:
        assert len(list(index.briefs())) == 4
        assert "cannot be read" in index.faults[0]


def test_what_is_no_run_is_no_fault(runs):
    (runs / "notes.txt").write_text("x")
    (runs / ".tmp-20261124T000000Z-x-00000000").mkdir()
    (runs / "20261124T000000Z-x-00000000").write_text("a file")
    with Index(runs) as index:
        assert len(list(index.briefs())) == 4
        assert index.faults == []


def test_a_record_without_cases_is_in_no_side(runs):
    path = publish(runs, 88)
    data = json.loads((path / "record.json").read_text()) | {"cases": []}
    (path / "record.json").write_text(json.dumps(data))
    assert len(names(runs)) == 4
    assert told(runs) == [one for one in from_records(runs) if one[0] != path.name]


# ---- the file itself


def corrupt_head(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)


def corrupt_middle(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    file.write_bytes(data)


def corrupt_pages(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start + 100 : start + 2000] = b"\xa5" * 1900
    file.write_bytes(data)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def other_version(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE runs")
        database.execute("CREATE TABLE runs (something TEXT)")
        database.execute("PRAGMA user_version = 9999")


def other_texts(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE texts SET text = text || 'x'")


def other_digests(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE runs SET digest = '{}'")


def other_cases(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE runs SET cases = 'x y'")


@pytest.mark.parametrize(
    "damage",
    [corrupt_head, corrupt_middle, corrupt_pages, cut, emptied, other_version, other_texts, other_digests, other_cases],
)
def test_a_damaged_index_is_made_anew(runs, damage):
    before = told(runs)
    damage(cache(runs))
    assert told(runs) == before
    assert told(runs) == before


def test_another_version_makes_it_anew(runs, monkeypatch):
    names(runs)
    opened = unread(monkeypatch)
    monkeypatch.setattr(indexing, "VERSION", indexing.VERSION + 1)
    assert len(names(runs)) == 4
    assert len(opened) == 4
    names(runs)
    assert len(opened) == 4


# A gpuprof with one headline number more, run as a command.
ONE_MORE = """
import dataclasses, sys
from gpuprof import metrics
more = dataclasses.replace(metrics.METRICS[0], key="another", title="another")
metrics.METRICS += (more,)
metrics.INDEXED += (more,)
metrics.BY_KEY[more.key] = more
from gpuprof.cli.app import run
sys.exit(run())
"""


def test_an_index_of_another_table_is_made_anew_without_a_word(runs):
    ask = ("compare", "--store", runs, "host=host0", "host=host1", "--format", "md")
    assert gpuprof(*ask).code == 0  # makes the index
    command = [sys.executable, "-c", ONE_MORE, *map(str, ask)]
    done = subprocess.run(command, env=variables(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "another" in done.stdout


def test_an_index_that_version_10_made_is_made_anew(runs, monkeypatch):
    """The real file that `gpuprof store index` left before the version followed the tables."""
    samples = ROOT / "tests" / "data" / "samples" / "simulated"
    names(samples)
    cache(samples).write_bytes(gzip.decompress((ROOT / "tests" / "data" / "index-version-10.sqlite.gz").read_bytes()))
    with sqlite3.connect(cache(samples)) as database:  # the records are those it was made from, whatever their times
        for path in store.run_directories(samples):
            database.execute("UPDATE runs SET stamp = ? WHERE name = ?", (indexing._stamp(path), path.name))
    opened = unread(monkeypatch)
    found = told(samples)
    assert len(opened) == 4
    assert found == from_records(samples)


def test_without_a_cache_directory_everything_works(runs, monkeypatch, tmp_path):
    expected = told(runs)
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert told(runs) == expected


def test_a_cache_that_cannot_be_written_is_no_fault(runs):
    """Where its place is taken by something else, as by another user's directory of that name."""
    expected = told(runs)
    file = cache(runs)
    file.unlink()
    file.mkdir()
    assert told(runs) == expected


def test_a_locked_index_is_no_fault(runs, monkeypatch):
    expected = told(runs)
    monkeypatch.setattr(indexing.sqlite3, "connect", impatient(sqlite3.connect))
    other = sqlite3.connect(cache(runs), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert told(runs) == expected
    finally:
        other.close()


def impatient(connect):
    return lambda file, **options: connect(file, **{**options, "timeout": 0.0})


def test_a_full_disk_costs_the_index_and_nothing_else(runs):
    """A limit on the size of files fails writes as a full disk does."""
    code = (
        "import resource, sys; from pathlib import Path; from gpuprof.index.database import Index\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "with Index(Path(sys.argv[1])) as index: print(len(list(index.briefs())), index.faults)"
    )
    for limit in (0, 4096, 20_000):
        done = subprocess.run(
            [sys.executable, "-c", code, str(runs), str(limit)], env=variables(), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (done.stdout.strip(), done.returncode) == ("4 []", 0), done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def _index_and_count(directory: str, barrier, results) -> None:
    barrier.wait(30)
    found = [len(told(Path(directory))) for _ in range(3)]
    results.put((set(found), told(Path(directory)) == from_records(Path(directory))))


def test_processes_that_index_at_once_agree(runs):
    for number in range(10, 30):
        publish(runs, number)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_index_and_count, args=(str(runs), barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=60) for _ in workers] == [({24}, True)] * 4
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_runs_that_arrive_while_the_index_is_open_do_not_disturb_it(runs):
    with Index(runs) as index:
        publish(runs, 40, host="a new host")
        assert len(names(runs)) == 5
        assert len([*index.briefs(), *index.briefs()]) >= 8
