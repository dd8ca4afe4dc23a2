"""What a report says, apart from how it looks: sections of blocks, which terminal, Markdown and HTML render alike.

Pure data. A text here is plain text, never markup: each renderer escapes it for its own form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Tone = Literal["plain", "strong", "dim", "good", "bad", "warn"]


@dataclass(frozen=True)
class Cell:
    text: str
    tone: Tone = "plain"
    struck: bool = False  # shown, and not to be counted
    number: bool = False  # right-aligned
    note: str = ""  # a second, smaller line: an interval, a reason
    bar: tuple[float, float, float] | None = None  # low, middle, high of a small interval picture on the table's scale


@dataclass(frozen=True)
class Table:
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False  # long: closed until asked for, where the form can do that


def without_empty(table: Table) -> Table:
    """The table less the columns in which no row says anything."""
    kept = [i for i in range(len(table.head)) if any(row[i].text not in ("", "–") or row[i].note for row in table.rows)]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, head=[table.head[i] for i in kept], rows=rows)


@dataclass(frozen=True)
class Notice:
    """A sentence or two. `banner` cannot be overlooked."""

    text: str
    tone: Tone = "plain"
    banner: bool = False


@dataclass(frozen=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification. `says` is the same in words, for readers and forms without pictures."""

    key: str  # a name of [a-z0-9-] letters, unique in the story
    title: str
    says: str
    spec: dict[str, Any]


Block = Table | Notice | Bullets | Chart


@dataclass(frozen=True)
class Section:
    key: str  # [a-z0-9-]: the anchor
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Story:
    title: str
    headline: str  # one sentence: the answer
    tone: Tone
    banners: Sequence[str]  # above everything, in every form, always
    sections: Sequence[Section]
    made: str  # who made it, when, of what: one line at the foot
    detail: str = ""  # the headline's numbers
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)  # label, value: the sides at a glance
