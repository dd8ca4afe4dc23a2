"""What is printed where the terminal, or whatever reads, knows fewer characters: the nearest that it knows."""

from __future__ import annotations

import codecs
import sys

_HANDLER = "gpuprof.nearest"
_NEAREST = {
    "×": "x", "±": "+-", "–": "-", "…": "...", "·": "-", "→": "->", "←": "<-", "µ": "u", "°": "", "≥": ">=",
    "├": "|", "┤": "|", "┼": "+", "─": "-", "┊": ":", "●": "o", "◂": "<", "▸": ">", "█": "#",
    **dict.fromkeys("▁▂▃▄", "."), **dict.fromkeys("▅▆▇", ":"),
}  # fmt: skip


def plainly() -> None:
    """From now on stdout and stderr write the nearest characters in place of those that their encoding lacks."""
    codecs.register_error(_HANDLER, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if not (stream.encoding or "").lower().startswith("utf") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_NEAREST.get(character, "?") for character in lacking), error.end
