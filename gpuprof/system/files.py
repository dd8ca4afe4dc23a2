"""Files that are there whole or not at all, and where a user's caches lie."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gpuprof.errors import GpuprofError, UsageError


def cache_directory() -> Path:
    """Of this user, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprof"


def to_file(path: Path, content: bytes, *, mode: int = 0o666, through_link: bool = False) -> None:
    """Raises GpuprofError when it cannot be written; what stood there before then stays. `mode` is less the umask.

    A link is replaced, for somebody else may have laid it, or is written through where a user named it.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a directory, and a file is to be written")
    try:
        if through_link and path.exists() and not path.is_file():
            path.write_bytes(content)  # a pipe or a device: nothing to put in its place
        else:
            _replace(path.resolve() if through_link else path, content, mode)
    except OSError as error:
        raise GpuprofError(f"{path}: cannot be written ({error.strerror})") from None


def _replace(path: Path, content: bytes, mode: int) -> None:
    # In the same directory, for the rename to be atomic; a hidden name that no collector takes for a finished file.
    # Made with the permissions of any new file: those who collect it are other users.
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
