"""What a report says, apart from how it looks: sections of blocks, rendered alike in every form.

Pure data. All text is plain text, never markup: each form escapes it in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Tone = Literal["plain", "strong", "dim", "good", "bad", "warn"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = "plain"
    struck: bool = False  # crossed out: a number that must not be compared
    number: bool = False  # right-aligned
    note: str = ""  # a second, smaller line: an interval, a reason
    bar: tuple[float, float, float] | None = None  # low, middle, high of a ratio, drawn on a scale the table shares


@dataclass(frozen=True)
class Table:
    """Rows of cells, as many in each as `head` has names."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False  # long: closed until clicked, where the form can do that


def without_empty(table: Table) -> Table:
    """The table without the columns that are empty, or a dash without a note, in every row."""
    kept = [i for i in range(len(table.head)) if any(row[i].text not in ("", "–") or row[i].note for row in table.rows)]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, head=[table.head[i] for i in kept], rows=rows)


@dataclass(frozen=True)
class Notice:
    """A sentence or two; as a `banner`, set off so that nobody overlooks it."""

    text: str
    tone: Tone = "plain"
    banner: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of short texts."""

    items: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification. `says` has its content in words, for readers and forms without pictures."""

    key: str  # of [a-z0-9-], unique in the story
    title: str
    says: str
    spec: dict[str, Any]


Block = Table | Notice | Bullets | Chart


@dataclass(frozen=True)
class Section:
    """A part of a story under a heading of its own."""

    key: str  # [a-z0-9-]: the anchor
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Story:
    """A whole report."""

    title: str
    headline: str  # one sentence: the answer
    tone: Tone
    banners: Sequence[str]  # above everything, in every form
    sections: Sequence[Section]
    made: str  # by which version, when, from which records: one line at the foot
    detail: str = ""  # the headline's numbers
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)  # label, value: the sides at a glance
