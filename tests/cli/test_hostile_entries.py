"""An entry of the store that leads nowhere, or to what is no record, is named and skipped; the rest is there."""

from __future__ import annotations

import os
import shutil

import pytest

from gpuprof.store import runs as store
from support.compared import LSTM_1, LSTM_2
from support.running import gpuprof

BAD = "20261124T090000Z-loop-00000000"


def loop(place):
    place.symlink_to(place.name)


def into_nothing(place):
    place.symlink_to("/nonexistent-directory/x", target_is_directory=True)


def fifo(place):
    place.mkdir()
    os.mkfifo(place / "record.json")


def device(place):
    place.mkdir()
    (place / "record.json").symlink_to("/dev/zero")


def looping_record(place):
    place.mkdir()
    (place / "record.json").symlink_to("record.json")


def nested(place):
    (place / "record.json").mkdir(parents=True)


ENTRIES = (loop, fifo, device, looping_record, nested)


@pytest.fixture(params=ENTRIES, ids=lambda entry: entry.__name__)
def spoilt(request, tmp_path):
    """A store with two runs and one bad entry."""
    for run in (LSTM_1, LSTM_2):
        shutil.copytree(run, tmp_path / "s" / run.name)
    request.param(tmp_path / "s" / BAD)
    return tmp_path / "s"


def test_it_takes_no_command_away(spoilt, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    listed = gpuprof("list", "--store", spoilt, env=env)
    assert listed.code == 0
    assert LSTM_1.name in listed.out
    assert BAD in listed.err
    verified = gpuprof("store", "verify", "--store", spoilt, env=env)
    assert verified.code == 1
    assert BAD in verified.out + verified.err
    assert "2 intact" in verified.out + verified.err
    for command in (("history", "workload=lstm"), ("report",), ("show", LSTM_1.name), ("store", "index"),
                    ("compare", LSTM_1.name, LSTM_2.name), ("recover",), ("store", "gc")):  # fmt: skip
        done = gpuprof(*command, "--store", spoilt, env=env)
        assert done.code == 0, (command, done.err)


def test_a_link_to_nothing_is_no_run(tmp_path):
    into_nothing(tmp_path / BAD)
    assert store.run_names(tmp_path) == []


def test_a_link_that_may_not_be_looked_at_is_named_when_it_is_read(tmp_path, monkeypatch):
    """As where it leads into a directory that this user may not search: root, as in containers, may search all."""

    class Hidden:
        name = BAD

        def is_dir(self) -> bool:
            raise PermissionError(13, "Permission denied")

    assert store._may_be_run(Hidden())
