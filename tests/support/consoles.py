"""What a terminal of a fixed width shows."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Any

from rich.console import Console

WIDTH = 100


def printed(parts: Iterable[Any], width: int = WIDTH) -> str:
    console = Console(width=width, file=StringIO())
    for part in parts:
        console.print(part)
    # Tables fill their lines with blanks, and no editor leaves those alone.
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
