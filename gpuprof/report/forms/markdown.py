"""A story as Markdown (GitHub's, with tables). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuprof.report.story import Block, Bullets, Cell, Chart, Notice, Story, Table
from gpuprof.text import unbroken

# Characters that Markdown, HTML in it or GitHub would read as more than text. "://" and "www." would become links.
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#!|~&$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def render(story: Story) -> str:
    """The whole story; of a chart only its words. Every text is escaped."""
    return "\n\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    yield f"# {_text(story.title)}"
    for banner in story.banners:
        yield f"> **{_text(banner)}**"
    yield f"**{_text(story.headline)}** {_text(story.detail)}".rstrip()
    yield "\n".join(f"- {_text(label)}: {_text(value)}" for label, value in story.facts)
    for section in story.sections:
        yield f"## {_text(section.title)}"
        for block in section.blocks:
            yield from _block(block)
    yield f"*{_text(story.made)}*"


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
