"""Vendor libraries print from C to stdout and stderr; a tool whose output machines read must not."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Captured:
    """What was printed, up to 4000 bytes of it; empty until the block is left."""

    text = ""


@contextmanager
def quiet() -> Iterator[Captured]:
    """Catch what this process prints, C libraries included, by redirecting file descriptors 1 and 2 to a file.

    Not for use while other threads print.
    """
    captured = Captured()
    with tempfile.TemporaryFile() as file:
        _flush()
        saved = [(number, _duplicate(number)) for number in (1, 2)]
        try:
            for number, _ in saved:
                os.dup2(file.fileno(), number)
            yield captured
        finally:
            _flush()  # what was buffered meanwhile, by Python or by C, belongs into the file
            for number, original in saved:
                if original is None:
                    os.close(number)
                else:
                    os.dup2(original, number)
                    os.close(original)
            file.seek(0)
            captured.text = file.read(4000).decode("utf-8", errors="replace").strip()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as under `>&-`
            with suppress(OSError, ValueError):
                stream.flush()
    ctypes.CDLL(None).fflush(None)


def _duplicate(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:  # closed, as under `2>&-`
        return None
