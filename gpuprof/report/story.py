"""What a report says, apart from how it looks: sections of blocks, rendered alike in every form.

Pure data. All text is plain text, never markup: each form escapes it in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Tone = Literal["plain", "strong", "dim", "good", "bad", "warn"]


@dataclass(frozen=True)
class Dots:
    """The processes of one side, a value each, in the side's colour."""

    values: Sequence[float]
    hue: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = "plain"
    struck: bool = False  # crossed out: a number that must not be compared
    number: bool = False  # right-aligned
    note: str = ""  # a second, smaller line: an interval, a reason
    bar: tuple[float, float, float] | None = None  # low, middle, high of a ratio, drawn on a scale the table shares
    hue: str = ""  # a side's, for its name and its bar
    dots: Sequence[Dots] = ()  # each side's processes, drawn on a scale the cell shares


@dataclass(frozen=True)
class Table:
    """Rows of cells, as many in each as `head` has names."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False  # long: closed until clicked, where the form can do that


def without_empty(table: Table) -> Table:
    """The table without the columns that are empty, or a dash without a note, in every row."""
    kept = [i for i in range(len(table.head)) if any(_says(row[i]) for row in table.rows)]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, head=[table.head[i] for i in kept], rows=rows)


def _says(cell: Cell) -> bool:
    return cell.text not in ("", "–") or bool(cell.note or cell.dots or cell.bar)


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
class Side:
    """One of the two that are compared: what it is called here, in whose colour, and what it is."""

    name: str
    hue: str  # a CSS variable, as in var(--amd)
    device: str
    facts: str  # which runs, machines, versions


@dataclass(frozen=True)
class Tile:
    """One number at a glance: what it measures, its ratio with interval and bar, what that says."""

    title: str
    measure: str
    ratio: Cell
    says: str


@dataclass(frozen=True)
class Glance:
    """What the first screen holds beside the headline.

    `bars` has a row for each ratio (label, bar, ratio with interval), the first over all of them; `more` says how many
    it leaves out. `trust` is a line about the ledger, `power` one about what would settle it; "" where there is none.
    """

    sides: tuple[Side, Side]
    bars: Table
    more: str
    tiles: Sequence[Tile]
    scope: str  # of the tiles, in a sentence
    trust: str
    power: str


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
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)  # label, value: what it is about
    glance: Glance | None = None  # of two sides
    left_out: Sequence[str] = ()  # records that could not be read, and why: a line each
    again: str = ""  # the command that makes it again
