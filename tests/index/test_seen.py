"""What is seen of a record makes the digest that the whole record makes, and damage in what is seen is found."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from gpuprof.errors import StoreError
from gpuprof.index import database
from gpuprof.index.digest import digest
from gpuprof.index.seen import RunSeen
from gpuprof.record.run import RunRecord
from gpuprof.store import runs as store
from support.journals import NOW, journal, repeat
from support.made import made
from support.running import DATA

STORED = sorted(DATA.rglob("record.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_stored_records_give_the_same_digest(path):
    record = store.read(path)
    assert digest(RunSeen.model_validate_json(record.to_json())) == digest(record)
    assert database._read(path.parent) == digest(record, str(path.parent))


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
        database._read(tmp_path)
    assert str(seen.value) == str(whole.value)


def test_nothing_is_seen_that_the_record_does_not_hold():
    assert set(RunSeen.model_fields) <= set(RunRecord.model_fields)
