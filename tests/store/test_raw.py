"""The series of a run: packed small and exact, read back, or refused."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from gpuprof.errors import GpuprofError, StoreError
from gpuprof.store.raw import npz, read_raw
from support.made import RUN_ID, made
from support.made import publish as publish_made
from support.stores import publish


def test_npz_is_small_exact_and_reproducible():
    series = {"a/0/block_step_s": [1e-3 * (1 + i % 7) for i in range(5000)], "empty": []}
    packed = npz(series)
    assert packed == npz(dict(reversed(series.items())))
    with np.load(io.BytesIO(packed)) as found:
        assert found["a/0/block_step_s"].tolist() == series["a/0/block_step_s"]
        assert found["empty"].tolist() == []
    assert len(packed) < 5000


def test_series_that_are_no_file_are_not_waited_for(tmp_path):
    path = publish(tmp_path)
    (path / "raw.npz").unlink()
    os.mkfifo(path / "raw.npz")
    with pytest.raises(StoreError, match=r"raw\.npz: cannot be read"):
        read_raw(path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", b"\x93NUMPY", b"\x00" * 64])
def test_damaged_raw_series_are_a_store_error(tmp_path, damage):
    path = publish_made(tmp_path, made()) / RUN_ID.format(0)
    whole = (path / "raw.npz").read_bytes()
    for content in (
        damage,
        whole[: len(whole) // 2],
        whole.replace(b"NUMPY", b"numpy"),
        whole[:200] + damage + whole[200:],
    ):
        (path / "raw.npz").write_bytes(content)
        try:
            read_raw(path)
        except GpuprofError as error:
            assert "raw.npz" in str(error)
