"""Files written whole or not at all, and the user's cache directory."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from pathlib import Path

from gpuprof.errors import GpuprofError, UsageError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_directory() -> Path:
    """This user's directory for gpuprof's caches, by the XDG base directory specification; it may not exist yet."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprof"
    except RuntimeError:  # no HOME, and no entry in the passwd file, as some containers have it
        return Path(tempfile.gettempdir()) / f"gpuprof-cache-{os.geteuid()}"


def make_private(directory: Path) -> None:
    """Make the cache directory where it is missing, closed to others. Raises OSError, also where it is not ours.

    Whatever others could have put there is not to be believed: an index of theirs may hold any number, and a script
    would go into a report.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user")
    if status.st_mode & _OTHERS_WRITE:
        directory.chmod(0o700)


def is_ours(file: Path) -> bool:
    """Whether nobody else, but root, can have written this file; also where there is none."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_uid in (os.geteuid(), 0) and not status.st_mode & _OTHERS_WRITE


def to_file(path: Path, content: bytes, *, mode: int = 0o666, through_link: bool = False) -> None:
    """Write the file whole, or raise GpuprofError and leave what was there before. `mode` is less the umask.

    A link is replaced, since somebody else may have laid it; with `through_link`, for a path that the user named, its
    target is written.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a directory, not a file")
    try:
        if through_link and path.exists() and not path.is_file():
            path.write_bytes(content)  # a pipe or a device: nothing to put in its place
        else:
            _replace(path.resolve() if through_link else path, content, mode)
    except OSError as error:
        raise GpuprofError(f"{path}: cannot be written ({error.strerror})") from None


def _replace(path: Path, content: bytes, mode: int) -> None:
    # In the same directory, for the rename to be atomic; hidden, so that no collector takes it for a finished file; and
    # with the permissions of any new file, since other users collect it.
    temporary = path.with_name(f".gpuprof-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
