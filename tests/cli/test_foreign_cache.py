"""What another user laid into a shared cache is not believed: neither numbers nor scripts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct

import pytest

from support.compared import LSTM_1, LSTM_2
from support.running import gpuprof

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def forged(tmp_path):
    """A store, and a cache in which an index says that one run was a hundred times as fast."""
    for run in (LSTM_1, LSTM_2):
        shutil.copytree(run, tmp_path / "s" / run.name)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    compare = ("compare", f"run={LSTM_1.name}", f"run={LSTM_2.name}", "--store", tmp_path / "s", "--json")
    honest = gpuprof(*compare, env=env).json["overall"]["ratio"]
    (index,) = (tmp_path / "cache" / "gpuprof").glob("index-*.sqlite")
    with sqlite3.connect(index) as database:
        (text,) = database.execute("SELECT digest FROM runs WHERE name = ?", (LSTM_2.name,)).fetchone()
        blob = bytearray(database.execute("SELECT numbers FROM runs WHERE name = ?", (LSTM_2.name,)).fetchone()[0])

        struct.pack_into("d", blob, 8, struct.unpack_from("d", blob, 8)[0] + 4.6)  # the mean logarithm
        database.execute("UPDATE runs SET numbers = ?, digest = ? WHERE name = ?", (bytes(blob), text, LSTM_2.name))
    return tmp_path / "cache" / "gpuprof", index, lambda: gpuprof(*compare, env=env), honest


def test_it_would_be_believed_if_it_were_ones_own(forged):
    _, _, compare, honest = forged
    assert compare().json["overall"]["ratio"] > 50 * honest


def test_another_users_index_is_removed_and_made_anew(forged):
    _, index, compare, honest = forged
    os.chown(index, 65534, 65534)
    assert compare().json["overall"]["ratio"] == pytest.approx(honest)


def test_an_index_that_others_may_write_is_removed_and_made_anew(forged):
    _, index, compare, honest = forged
    index.chmod(0o666)
    assert compare().json["overall"]["ratio"] == pytest.approx(honest)
    assert index.stat().st_mode & 0o777 == 0o600


def test_another_users_directory_is_not_used_and_named(forged):
    place, _, compare, honest = forged
    os.chown(place, 65534, 65534)
    found = compare().json
    assert found["overall"]["ratio"] == pytest.approx(honest)
