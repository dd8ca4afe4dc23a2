"""An export to stdout; into a file it goes by `files.to_file`."""

from __future__ import annotations

import sys

from gpuprof.errors import GpuprofError, UsageError


def to_stdout(content: str | bytes, name: str) -> None:
    """Text in UTF-8 whatever the locale. Raises UsageError for bytes in a terminal, GpuprofError when it is full."""
    if isinstance(content, bytes) and sys.stdout.isatty():
        raise UsageError(f"{name} is binary and would garble a terminal: name a file with -o FILE, or pipe it on")
    try:
        sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has enough
    except OSError as error:
        raise GpuprofError(f"stdout: cannot be written ({error.strerror})") from None
