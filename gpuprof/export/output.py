"""Where an export goes: a file that is there whole or not at all, or stdout."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

from gpuprof.errors import UsageError


def to_file(path: Path, content: bytes) -> None:
    """Raises UsageError when it cannot be written; what stood there before then stays."""
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; -o names a file")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a pipe or a device: nothing to put in its place
        else:
            _replace(path.resolve(), content)  # through a link, to what it points at
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _replace(path: Path, content: bytes) -> None:
    # In the same directory, for the rename to be atomic; a hidden name that no collector takes for a finished file.
    # Made with the permissions of any new file: those who collect it are other users.
    temporary = path.with_name(f".gpuprof-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def to_stdout(content: str | bytes, name: str) -> None:
    """Text in UTF-8 whatever the locale. Raises UsageError for bytes in a terminal, and when stdout takes no more."""
    if isinstance(content, bytes) and sys.stdout.isatty():
        raise UsageError(f"{name} is binary and would garble a terminal: name a file with -o FILE, or pipe it on")
    try:
        sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has enough
    except OSError as error:
        raise UsageError(f"stdout: cannot be written ({error.strerror})") from None
