"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuprof.errors import GpuprofError
from gpuprof.system import files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "out.prom"
    files.to_file(file, b"old")
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()  # for a collector that runs as somebody else

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GpuprofError, match="No space left"):
        files.to_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(GpuprofError, match="cannot be written"):
        files.to_file(tmp_path / "nowhere" / "out", b"new")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stays_and_a_device_is_written_to(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.to_file(tmp_path / "link", b"new", through_link=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    files.to_file(tmp_path / "link", b"newer")  # nobody named it
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    files.to_file(Path("/dev/null"), b"new", through_link=True)
    assert Path("/dev/null").is_char_device()
