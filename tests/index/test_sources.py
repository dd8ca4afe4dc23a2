"""Sides: what a person names, and the runs it stands for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gpuprof.analysis import evidence
from gpuprof.analysis.evidence import by_device
from gpuprof.errors import StoreError, UsageError
from gpuprof.index.sources import Sources
from gpuprof.store import runs as store
from support.indexed import names, publish


def side(text: str, directory: Path):
    with Sources(directory) as sources:
        return evidence.side(text, sources.side(text))


def test_a_side_is_a_run_a_record_a_directory_or_a_selector(runs, tmp_path):
    path = store.run_directories(runs)[1]
    elsewhere = tmp_path / "elsewhere"
    for text in (path.name, "00000001", str(path), str(path / "record.json")):
        assert [run for run, _, _ in side(text, runs if text in path.name else elsewhere).runs] == [path.name]
    assert len(side("last", runs).runs) == 1
    assert len(side(str(runs), elsewhere).runs) == 4
    assert len(side("host=host0", runs).runs) == 2


def test_a_side_says_what_it_left_out(runs):
    path = publish(runs, 77)
    (path / "record.json").write_bytes(b"")
    assert len(side(str(runs), runs).skipped) == 1
    with pytest.raises(StoreError, match="not a JSON document"):
        side(path.name, runs)


def test_a_side_without_runs_says_how_to_go_on(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=f"no run in {tmp_path / 'empty'}"):
        side(str(tmp_path / "empty"), runs)
    with pytest.raises(UsageError, match=r"matches 'vendor=amd'.*gpuprof list"):
        side("vendor=amd", runs)
    damaged = tmp_path / "damaged"
    (publish(damaged, 1) / "record.json").write_bytes(b"[]")
    with pytest.raises(StoreError, match=r"1 unreadable record, first: .*not a gpuprof record"):
        side(str(damaged), runs)


def test_a_long_selector_is_not_taken_for_a_file(runs):
    long = ",".join(["host!=" + "x" * 100] * 40)
    assert len(side(long, runs).runs) == 4
    with pytest.raises(StoreError, match="no run"):
        side("x" * 5000, runs)


def test_a_directory_with_a_strange_name_is_a_side(runs, tmp_path):
    for name in (b"caf\xe9 \xff", b"a=b", b"~tilde", b"new\nline"):
        strange = tmp_path / os.fsdecode(name)
        shutil.copytree(runs, strange)
        assert len(side(str(strange), runs).runs) == 4


def test_a_run_removed_while_it_is_looked_at_is_told(runs):
    path = store.run_directories(runs)[0]
    with Sources(runs) as sources:
        _, _, find = sources.dated(None).runs[0]
        shutil.rmtree(path)
        names(runs)  # another process takes it out of the index
        with pytest.raises(StoreError, match=f"{path.name}: was removed while it was being read"):
            find()


def test_by_device_simulated_runs_stand_apart(runs):
    publish(runs, 60, simulated=True)
    with Sources(runs) as sources:
        choice = sources.runs(None)
        devices, faults = by_device(choice.runs), choice.skipped
    assert sorted((len(d.runs), d.simulated) for d in devices) == [(1, {True}), (4, {False})]
    assert faults == []
