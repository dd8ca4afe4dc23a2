"""Files written whole or not at all, and the user's cache directory."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gpuprof.errors import GpuprofError, UsageError


def cache_directory() -> Path:
    """This user's directory for gpuprof's caches, by the XDG base directory specification; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprof"


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
