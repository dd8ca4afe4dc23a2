"""A story as Markdown (GitHub's, with tables). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuprof.report.story import Block, Bullets, Cell, Chart, Glance, Notice, Story, Table
from gpuprof.text import unbroken

# Characters that Markdown, HTML in it or GitHub would read as more than text. "://" and "www." would become links.
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#!|~&$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def render(story: Story) -> str:
    """The whole story; of a chart only its words. Every text is escaped."""
    return "\n\n".join(_lines(story)) + "\n"


def brief(story: Story) -> str:
    """The answer with its numbers, to be pasted where it is discussed."""
    return "\n\n".join(_top(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    yield f"# {_text(story.title)}"
    yield from _top(story)
    if story.facts:
        yield "\n".join(f"- {_text(label)}: {_text(value)}" for label, value in story.facts)
    for section in story.sections:
        yield f"## {_text(section.title)}"
        for block in section.blocks:
            yield from _block(block)
    yield f"*{_text(story.made)}*"
    if story.again:
        yield f"Made again by: {_text(story.again)}"


def _top(story: Story) -> Iterator[str]:
    for banner in story.banners:
        yield f"> **{_text(banner)}**"
    yield f"**{_text(story.headline)}** {_text(story.detail)}".rstrip()
    if story.glance is not None:
        yield from _glance(story.glance)


def _glance(glance: Glance) -> Iterator[str]:
    yield "\n".join(f"- {_text(f'{side.name}: {side.device} · {side.facts}')}" for side in glance.sides)
    rows = [
        f"| {_text(tile.title)} | {_text(tile.ratio.text)} | {_text(tile.ratio.note)} | {_text(tile.says)} | "
        f"{_text(tile.measure)} |"
        for tile in glance.tiles
    ]  # fmt: skip
    yield "\n".join(["|  | ratio | interval | says | measure |", "| --- | ---: | ---: | --- | --- |", *rows])
    if remarks := " ".join(filter(None, (glance.scope, glance.trust, glance.power))):
        yield _text(remarks)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Notice):
        yield f"> **{_text(block.text)}**" if block.banner else _text(block.text)
    elif isinstance(block, Bullets):
        yield "\n".join(f"- {_text(item)}" for item in block.items)
    elif isinstance(block, Table):
        yield f"**{_text(block.caption)}**"
        rule = ["---:" if _numbers(block, column) else "---" for column in range(len(block.head))]
        rows = [[_text(name) for name in block.head], rule, *([_cell(cell) for cell in row] for row in block.rows)]
        yield "\n".join("| " + " | ".join(row) + " |" for row in rows)
    elif isinstance(block, Chart):
        yield f"*{_text(block.title)}:* {_text(block.says)}"


def _numbers(table: Table, column: int) -> bool:
    return any(row[column].number for row in table.rows)


def _cell(cell: Cell) -> str:
    text = _text(cell.text)
    if cell.struck and text:
        text = f"~~{text}~~"
    elif cell.tone in ("strong", "good", "bad") and text:
        text = f"**{text}**"
    return f"{text} <sub>{_text(cell.note)}</sub>" if cell.note else text


def _text(text: str) -> str:
    return _MARKS.sub(r"\\\1", unbroken(text))
