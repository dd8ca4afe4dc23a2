"""Runs of a store: named, found, read; damaged ones are named and never fatal."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.errors import StoreError
from gpuprof.record.case import CASE_TELEMETRY
from gpuprof.record.run import RunRecord
from gpuprof.store import runs as store
from support.running import DATA, KEPT
from support.stores import DAMAGE, finished, publish


def test_run_ids_sort_by_time_and_tame_hostile_names():
    hostile = store.new_run_id("../../etc/passwd\n<script>")
    assert store.RUN_ID.fullmatch(hostile)
    assert "/" not in hostile
    assert store.RUN_ID.fullmatch(store.new_run_id(""))
    assert len({store.new_run_id("x") for _ in range(100)}) == 100


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


@pytest.mark.parametrize("path", sorted(p.parent for p in DATA.glob("*/record.json")), ids=lambda p: p.name)
def test_kept_records_stay_readable(path):
    """Real runs of earlier versions; the folder's name gives date and device."""
    record = store.read(path)
    assert record.simulated is False
    assert record.started_at.startswith(path.name[:10])
    with np.load(path / "raw.npz", allow_pickle=False) as raw:
        assert len(raw.files) >= sum(len(case.repeats) for case in record.cases)


OLD_RECORD = KEPT


def test_a_record_of_the_first_schema_is_read_with_every_new_field_explained(old):
    assert old["schema"] == "gpuprof.record/1"
    record = store.read(OLD_RECORD)
    assert record.telemetry is None
    assert "before gpuprof had telemetry" in record.absent["telemetry"]
    for case in record.cases:
        assert all(getattr(case, name) is None and name in case.absent for name in CASE_TELEMETRY)
        assert all(repeat.telemetry is None and repeat.absent["telemetry"] for repeat in case.repeats)
        assert case.throughput_per_s.value == next(
            c["throughput_per_s"]["value"] for c in old["cases"] if c["case_id"] == case.case_id
        )
    assert json.loads(record.to_json())["schema"] == "gpuprof.record/4"
    assert RunRecord.model_validate_json(record.to_json()) == record
