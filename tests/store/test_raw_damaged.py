"""Raw series that are damaged are told as such."""

from __future__ import annotations

import pytest

from gpuprof.errors import GpuprofError
from gpuprof.store.raw import read_raw
from support.made import RUN_ID, made, publish


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", b"\x93NUMPY", b"\x00" * 64])
def test_damaged_raw_series_are_a_store_error(tmp_path, damage):
    path = publish(tmp_path, made()) / RUN_ID.format(0)
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
