"""What is seen of a record makes the digest that the whole record makes, and damage in what is seen is found."""

from __future__ import annotations

import json
import shutil

import pytest
from pydantic import ValidationError

from gpuprof.errors import StoreError
from gpuprof.index import database
from gpuprof.index.database import Index
from gpuprof.index.digest import digest
from gpuprof.index.seen import RunSeen
from gpuprof.index.sources import Sources
from gpuprof.record.run import RunRecord
from gpuprof.record.versions import upgrade
from gpuprof.store import runs as store
from support.journals import NOW, journal, repeat
from support.made import made
from support.running import DATA, SAMPLES

STORED = sorted(DATA.rglob("record.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_stored_records_give_the_same_digest(path):
    record = store.read(path)
    assert digest(RunSeen.model_validate_json(record.to_json())) == digest(record)
    assert database.digest_of(path.parent) == digest(record, str(path.parent))


def test_a_record_with_every_quantity_gives_the_same_digest():
    record = made()[0] if isinstance(made(), tuple) else made()
    assert digest(RunSeen.model_validate_json(record.to_json())) == digest(record)


@pytest.mark.parametrize(("place", "value"), [
    (("cases", 0, "throughput_per_s", "value"), "fast"), (("cases", 0, "repeats"), None),
    (("environment", "hostname"), 7), (("run_id",), "x"), (("schema",), "gpuprof.record/99"),
    (("cases", 0, "repeats", 0, "throughput", "samples_per_s"), -1),
])  # fmt: skip
def test_damage_in_what_is_seen_is_told_as_reading_all_of_it_tells(tmp_path, place, value):
    from gpuprof.store.assemble import assemble

    record, _ = assemble(journal(repeat(0), repeat(1)), NOW)
    data = json.loads(record.to_json())
    target = data
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    text = json.dumps(data)
    with pytest.raises(ValidationError):
        RunSeen.model_validate_json(text)
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(StoreError) as whole:
        store.read(tmp_path)
    with pytest.raises(StoreError) as seen:
        database.digest_of(tmp_path)
    assert str(seen.value) == str(whole.value)


def test_nothing_is_seen_that_the_record_does_not_hold():
    assert set(RunSeen.model_fields) <= set(RunRecord.model_fields)


@pytest.mark.parametrize(("place", "value"), [
    (("cases", 0, "batch_size"), 10**400), (("started_at",), "\ud800"),
    (("cases", 0, "repeats", 0, "phases", 0, "end_ns"), 10**400),
])  # fmt: skip
@pytest.mark.parametrize("schema", ["as stored", "as of today"])
def test_a_valid_record_that_nothing_can_be_done_with_is_a_fault_of_its_own(tmp_path, place, value, schema):
    """It neither ends the command nor takes the others' index with it."""
    good, bad = sorted((SAMPLES / "simulated").iterdir())[:2]
    for run in (good, bad):
        shutil.copytree(run, tmp_path / "store" / run.name)
    file = tmp_path / "store" / bad.name / "record.json"
    data = json.loads(file.read_text())
    target = data = upgrade(data) if schema == "as of today" else data
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    file.write_text(json.dumps(data))
    for _ in range(2):
        with Index(tmp_path / "store", place=tmp_path / "cache") as index:
            assert [one.name for one, _ in index.briefs()] == [good.name]
            assert [bad.name in fault and "damaged record" in fault for fault in index.faults] == [True]
    with Sources(tmp_path / "store") as sources, pytest.raises(StoreError, match="damaged record"):
        sources.runs(bad.name)
