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


def test_a_cache_of_ones_own_is_closed_to_others(tmp_path):
    place = tmp_path / "cache"
    files.make_private(place)
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o777)
    files.make_private(place)
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_cache_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "cache").symlink_to("theirs")
    with pytest.raises(PermissionError):
        files.make_private(tmp_path / "cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_cache_is_refused(tmp_path):
    place = tmp_path / "cache"
    place.mkdir()
    os.chown(place, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to another user"):
        files.make_private(place)


def test_a_file_that_others_may_write_is_not_ours(tmp_path):
    file = tmp_path / "x"
    assert files.is_ours(file)
    file.write_text("")
    file.chmod(0o600)
    assert files.is_ours(file)
    file.chmod(0o660)
    assert not files.is_ours(file)
    (tmp_path / "link").symlink_to("x")
    assert not files.is_ours(tmp_path / "link")


def test_a_user_without_a_home_has_a_cache_of_their_own(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert files.cache_directory().name == f"gpuprof-cache-{os.geteuid()}"
