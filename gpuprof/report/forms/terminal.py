"""A story in a terminal: all but charts, folded tables and the section of raw numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpuprof.report.story import Block, Bullets, Cell, Chart, Notice, Story, Table, Tone
from gpuprof.text import plural, unbroken

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES: dict[Tone, str] = {
    "plain": "", "strong": "bold", "dim": "dim", "good": "bold green", "bad": "bold red", "warn": "yellow",
}  # fmt: skip


def render(story: Story) -> Iterator[RenderableType]:
    """What to print, from top to bottom; the last line names what only the page has."""
    from rich.text import Text

    for banner in story.banners:
        yield Text(unbroken(banner), "bold red")
    yield Text.assemble((unbroken(story.headline), _STYLES[story.tone] or "bold"), " ", unbroken(story.detail))
    for label, value in story.facts:
        yield Text.assemble((f"{unbroken(label):<10} ", "cyan"), unbroken(value))
    folded = [b for s in story.sections for b in s.blocks if isinstance(b, Table) and b.folded]
    for section in story.sections:
        if section.key == "raw":  # longer than all the others: left to the page
            continue
        parts = [part for block in section.blocks for part in _block(block)]
        if parts:
            yield Text(f"\n{unbroken(section.title)}", "bold underline")
            yield from parts
    more = f", method and {plural(len(folded), 'more table')}" if folded else " and method"
    yield Text(f"\nFor charts{more}, write the page: -o report.html", "dim")


def _block(block: Block) -> Iterator[RenderableType]:
    from rich.text import Text

    if isinstance(block, Notice):
        yield Text(unbroken(block.text), _STYLES[block.tone] or "dim")
    elif isinstance(block, Bullets):
        for item in block.items:
            yield Text(f"  · {unbroken(item)}", "dim")
    elif isinstance(block, Table) and not block.folded:
        yield _table(block)
    elif isinstance(block, Chart):
        return


def _table(block: Table) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(title=Text(unbroken(block.caption)), title_justify="left", box=box.SIMPLE_HEAD)
    for column, name in enumerate(block.head):
        right = any(row[column].number for row in block.rows)
        table.add_column(Text(unbroken(name)), justify="right" if right else "left")
    for row in block.rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    style = _STYLES[cell.tone] + (" strike" if cell.struck else "")
    text = Text(unbroken(cell.text), style.strip())
    if cell.note:
        text.append(f"\n{unbroken(cell.note)}", "dim")
    return text
