"""Text on its way to a reader: foreign names made harmless, and small words. The one place for both.

Names of hosts, devices, files and cases, and the errors of libraries, come from anywhere. On a screen, in a mail or in
another tool's page they must not move the cursor, end a line or turn the direction of what stands beside them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

# Controls, invisible signs (they turn the direction, join, hide), halves of characters, separators that end a line.
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
_BREAKS = str.maketrans("\n\t", "  ")


def printable(text: str) -> str:
    """The text with a visible mark for each character that steers its display; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in _STEERING else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def unbroken(text: str) -> str:
    """Printable, without line ends and tabs: a name cannot pass for a line or a column of its own."""
    return printable(text).translate(_BREAKS)


def one_line(text: str) -> str:
    """Printable, on one line, every stretch of blanks a single one."""
    return " ".join(printable(text).split())


def cleaned(value: Any, clean: Callable[[str], str] = printable) -> Any:
    """Plain data with every text inside it cleaned, keys as well."""
    if isinstance(value, dict):
        return {cleaned(key, clean): cleaned(inner, clean) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(inner, clean) for inner in value]
    return clean(value) if isinstance(value, str) else value


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
