"""Text on its way to a reader: the one place where foreign names are made harmless, and for small words.

Names of hosts, devices, files and cases, and the errors of libraries, come from anywhere. On a screen, in a mail or in
another tool's page they must not move the cursor, end a line or turn the direction of the text beside them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

# Controls, invisible characters (they turn the direction, join, hide), lone surrogates, separators that end a line.
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
_BREAKS = str.maketrans("\n\t", "  ")


def printable(text: str) -> str:
    """The text with U+FFFD for each character that steers its display; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or not (unicodedata.category(c) in _STEERING or _no_character(c))
        else "\N{REPLACEMENT CHARACTER}" for c in text
    )  # fmt: skip


def _no_character(c: str) -> bool:
    """Code points that stand for no character and never will: some libraries abort the process on them."""
    return ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF


def unbroken(text: str) -> str:
    """Printable, with blanks for line ends and tabs: a name cannot pass for a line or a column of its own."""
    return printable(text).translate(_BREAKS)


def one_line(text: str) -> str:
    """Printable, on one line, each run of white space a single blank."""
    return " ".join(printable(text).split())


def cleaned(value: Any, clean: Callable[[str], str] = printable) -> Any:
    """Plain data with every text inside it cleaned, keys included; tuples become lists."""
    if isinstance(value, dict):
        return {cleaned(key, clean): cleaned(inner, clean) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(inner, clean) for inner in value]
    return clean(value) if isinstance(value, str) else value


def plural(count: int, singular: str, many: str = "") -> str:
    """A count with its noun, as in `1 run` and `2,000 runs`; `many` is the plural where no -s makes it."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names with commas between, and how many more there are: `a, b, c and 2 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortened(text: str, most: int = 60) -> str:
    """The text in at most so many characters, with an ellipsis at the end where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
