"""Workloads are the files of some folders."""

from __future__ import annotations

import importlib
import sys

import pytest

from gpuprof import workloads


@pytest.fixture
def further(tmp_path, monkeypatch):
    """A second folder of workloads: what is written into it is found."""
    folder = tmp_path / "gpuprof_further"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(workloads, "FOLDERS", (*workloads.FOLDERS, importlib.import_module("gpuprof_further")))
    workloads._modules.cache_clear()
    yield folder
    workloads._modules.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[module]


def test_a_second_folder_is_looked_into(further):
    before = set(workloads.names())
    workloads._modules.cache_clear()
    (further / "press.py").write_text("WORKLOAD = 'a press'")
    (further / "_shared.py").touch()
    assert set(workloads.names()) == before | {"press"}
    assert workloads.get("press") == "a press"
    assert workloads.get("cnn").name == "cnn"


def test_two_workloads_of_one_name_are_refused(further):
    (further / "cnn.py").touch()
    with pytest.raises(ValueError, match="two workloads are called cnn"):
        workloads.names()


def test_no_workload_is_a_key_error():
    with pytest.raises(KeyError):
        workloads.get("nothing")
