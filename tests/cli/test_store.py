"""gpuprof store: what is damaged is named, what the dead left is cleared, what lives or is published stays."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from gpuprof.store import runs as store
from gpuprof.store import upkeep
from gpuprof.store.journal import STAGING, Journal
from gpuprof.store.raw import npz
from support.journals import DAY_S, aged, dead, journal, repeat
from support.running import gpuprof
from support.stores import publish

pytestmark = pytest.mark.slow


def spoil_record(run: Path) -> None:
    (run / "record.json").write_text("{")


def spoil_name(run: Path) -> None:
    run.rename(run.with_name(run.name[:-8] + "ffffffff"))


def without_raw(run: Path) -> None:
    (run / "raw.npz").unlink()


def cut_raw(run: Path) -> None:
    data = (run / "raw.npz").read_bytes()
    (run / "raw.npz").write_bytes(data[: len(data) // 2])


def strange_raw(run: Path) -> None:
    (run / "raw.npz").write_bytes(npz({"b/0/x": [1.0]}))


def no_raw(run: Path) -> None:
    (run / "raw.npz").write_bytes(npz({}))


def half_raw(run: Path) -> None:
    """Samples of both repeats, times of one alone."""
    series = {"a/0/x": [1.0], "a/1/x": [], "a/0/telemetry/t_s": [1.0], "a/1/telemetry/t_s": [1.0]}
    (run / "raw.npz").write_bytes(npz(series))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (spoil_record, "record.json: not a JSON document"), (spoil_name, "contains the record of another run"),
        (without_raw, "raw.npz: cannot be read"), (cut_raw, "raw.npz: damaged"),
        (strange_raw, "contains 'b/0/x', which belongs to no repeat in the record"), (shutil.rmtree, None),
        (no_raw, "has no times for 'a/0'"), (half_raw, "has no times for 'a/1'"),
    ],
)  # fmt: skip
def test_verify_names_what_is_wrong(tmp_path, spoil, what):
    runs = [publish(tmp_path) for _ in range(3)]
    assert gpuprof("store", "verify", "--store", tmp_path).code == 0
    spoil(runs[1])
    done = gpuprof("store", "verify", "--store", tmp_path, "--json")
    if what is None:
        assert (done.code, done.json["runs"], done.json["faults"]) == (0, 2, {})
        return
    assert (done.code, done.json["runs"], len(done.json["faults"])) == (1, 3, 1)
    ((name, fault),) = done.json["faults"].items()
    assert what in fault
    assert name[:-8] == runs[1].name[:-8]
    text = gpuprof("store", "verify", "--store", tmp_path)
    assert (text.code, what in text.out, "3 runs in" in text.out, "2 intact" in text.out) == (1, True, True, True)


def test_gc_clears_the_dead_and_nothing_else(tmp_path):
    header, case, *_ = journal()
    measured = {"type": "repeat", "case_id": "a", "repeat": repeat(), "raw": {}}
    published = publish(tmp_path)
    alive = Journal(tmp_path, store.new_run_id("alive"))
    aged(alive.staging, 99 * DAY_S)
    other = tmp_path / ".tmp-of-somebody-else"
    other.mkdir()
    starting = dead(tmp_path)
    recent = dead(tmp_path, header, case, measured, age_s=6 * DAY_S)
    kept = {published, alive.staging, other, starting, recent}
    empty, unmeasured = dead(tmp_path, age_s=90), dead(tmp_path, header, case, age_s=90)
    old = dead(tmp_path, header, case, measured, age_s=8 * DAY_S)
    bare = tmp_path / f"{STAGING}{store.new_run_id('bare')}"
    bare.mkdir()
    aged(bare, 90)
    half = tmp_path / f"{upkeep.CONDEMNED}{store.new_run_id('half')}"
    half.mkdir()
    goes = {empty, unmeasured, old, bare, half}
    assert set(tmp_path.iterdir()) == kept | goes

    told = gpuprof("store", "gc", "--store", tmp_path, "--dry-run")
    assert told.code == 0
    assert {path.name for path in goes} == {line.split(":")[0].rpartition("/")[2] for line in told.out.splitlines()
                                            if line.startswith("would remove ")}  # fmt: skip
    assert f"kept {recent}: it has 1 repeat and is 6.0 days old; save it with gpuprof recover" in told.out
    assert set(tmp_path.iterdir()) == kept | goes

    done = gpuprof("store", "gc", "--store", tmp_path, "--json")
    assert set(done.json["removed"]) == {path.name for path in goes}
    assert set(done.json["kept"]) == {recent.name, starting.name}
    assert set(tmp_path.iterdir()) == kept
    assert upkeep.verify(published) is None

    assert recent.name in gpuprof("store", "gc", "--store", tmp_path, "--older-than", "5").out
    assert set(tmp_path.iterdir()) == kept - {recent}
    alive._close()


def test_gc_leaves_alone_what_only_looks_like_its_own(tmp_path):
    store_, elsewhere = tmp_path / "s", tmp_path / "elsewhere"
    for directory in (store_ / ".gone-mine", elsewhere):
        directory.mkdir(parents=True)
        (directory / "thesis.tex").write_text("mine")
    run_id = store.new_run_id("x")
    (store_ / ".gone-a").symlink_to(elsewhere)
    (store_ / f".gone-{run_id}").symlink_to(elsewhere)
    (store_ / f".tmp-{run_id}").symlink_to(elsewhere)
    (store_ / f".gone-{store.new_run_id('file')}").write_text("mine")
    full = store_ / f".tmp-{store.new_run_id('full')}"
    full.mkdir()
    (full / "record.json").write_text("{}")
    aged(full, 90)
    aged(elsewhere, 90)
    before = sorted(tmp_path.rglob("*"))
    done = gpuprof("store", "gc", "--store", store_)
    assert (done.code, done.out) == (0, f"Nothing to remove in {store_}.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_gc_goes_on_where_something_cannot_be_removed(tmp_path):
    stuck, other = dead(tmp_path, age_s=90), dead(tmp_path, age_s=90)
    in_the_way = stuck.with_name(stuck.name.replace(STAGING, upkeep.CONDEMNED))
    in_the_way.write_text("a directory cannot be renamed to this")
    told = gpuprof("store", "gc", "--store", tmp_path)
    assert told.code == 2
    assert f"{stuck}: cannot be removed (Not a directory)" in told.err
    assert set(tmp_path.iterdir()) == {stuck, in_the_way}
    done = gpuprof("store", "gc", "--store", tmp_path, "--json")
    assert (done.code, done.json["removed"], list(done.json["failed"])) == (2, {}, [stuck.name])
    assert not other.exists()


def test_the_index_is_counted_and_made_anew(tmp_path):
    runs = [publish(tmp_path / "s") for _ in range(3)]
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = gpuprof("store", "index", "--store", tmp_path / "s", "--json", env=env).json
    assert (found["runs"], found["faults"]) == (3, [])
    assert found["bytes"] == Path(found["file"]).stat().st_size > 0
    assert Path(found["file"]).parent == tmp_path / "cache" / "gpuprof"
    shutil.rmtree(runs[0])
    spoil_record(runs[1])
    assert len(list((tmp_path / "s").iterdir())) == 2
    for options in ((), ("--rebuild",)):
        done = gpuprof("store", "index", "--store", tmp_path / "s", *options, env=env)
        assert f"1 run of {tmp_path / 's'}" in done.out
        assert runs[1].name in done.err
    (tmp_path / "file").write_text("")
    nowhere = gpuprof("store", "index", "--store", tmp_path / "s", env={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert "in memory only" in nowhere.out


@pytest.mark.parametrize("options", [(), ("--rebuild",)])
def test_a_damaged_index_is_no_fault_of_the_store(tmp_path, options):
    publish(tmp_path / "s")
    bad = publish(tmp_path / "s")
    spoil_record(bad)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    ask = ("store", "index", "--store", tmp_path / "s", "--json")
    before = gpuprof(*ask, env=env).json
    with sqlite3.connect(before["file"]) as database:
        database.execute("UPDATE texts SET text = text || 'x'")
    for _ in range(2):
        done = gpuprof(*ask, *options, env=env)
        assert (done.code, done.json["runs"], len(done.json["faults"])) == (0, 1, 1)
    assert done.json["file"] == before["file"]


@pytest.mark.parametrize("action", ["verify", "gc", "index"])
def test_a_store_that_is_not_there_is_a_mistake(tmp_path, action):
    done = gpuprof("store", action, "--store", tmp_path / "none", "--json")
    assert (done.code, done.json["error"]["exit_code"]) == (2, 2)
    assert "no such directory" in done.json["error"]["message"]
