"""`gpuprof report` from outside, on a store of real runs and damaged ones."""

from __future__ import annotations

import json

import pytest

from support.compared import CPU, FORMS, LSTM_1
from support.running import SAMPLES, gpuprof, imported_by

pytestmark = pytest.mark.slow


def test_a_page_from_an_index_at_hand_needs_no_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    page = ("report", "--store", SAMPLES / "cpu", "-o", tmp_path / "page.html")
    assert gpuprof(*page).code == 0
    assert not imported_by(*page) & {"torch", "torchvision", "scipy", "numpy", "pydantic"}


@pytest.mark.parametrize("form", FORMS)
def test_a_report_of_a_store_in_every_form(reported, form):
    said = reported[form]
    if form == "json":
        told = json.loads(said)
        assert told["simulated"] is True
        assert len(told["devices"]) == 3
        assert len(told["skipped"]) == 3
        return
    assert "SIMULATED" in said
    plain = said.replace("\\", "")
    for name in ("cut", "foreign", "future"):
        assert f"20261124T000000Z-{name}-00000000" in plain
    for device in ("AMD EPYC", "NVIDIA H100 80GB HBM3", "AMD Instinct MI300X"):
        assert device in plain
    assert "GPU against CPU" not in plain, "simulated GPUs and a measured CPU"


def test_a_report_of_some(mixed):
    done = gpuprof("report", "workload=lstm,vendor=amd", "--store", mixed, "--json")
    assert [len(device["cases"]) for device in done.json["devices"]] == [1]
    assert gpuprof("report", LSTM_1.name, "--store", mixed, "--json").json["devices"][0]["runs"] == [LSTM_1.name]
    assert "1 run on 1 device model" in gpuprof("report", LSTM_1 / "record.json").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "empty"], "Measure one with `gpuprof run CONFIG`"),
        (["--store", "nowhere"], "Measure one with `gpuprof run CONFIG`"),
        (["vendor=intel", "--store", str(CPU)], "nothing matches 'vendor=intel'"),
        (["--store", str(LSTM_1 / "record.json")], "cannot be listed"),
        (["colour=red"], "unknown field 'colour'"),
    ],
)
def test_a_report_of_nothing_says_so(arguments, message, tmp_path):
    (tmp_path / "empty").mkdir()
    done = gpuprof("report", *arguments, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
