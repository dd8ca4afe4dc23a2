"""A story in a terminal: at a glance in 24 lines, the answer last; or all but charts and what is folded. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpuprof.report.story import Block, Bullets, Cell, Chart, Glance, Notice, Story, Table, Tone
from gpuprof.text import plural, shortened, unbroken

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES: dict[Tone, str] = {
    "plain": "", "strong": "bold", "dim": "dim", "good": "bold green", "bad": "bold red", "warn": "yellow",
}  # fmt: skip
_HUES = {"var(--nvidia)": "bright_blue", "var(--amd)": "dark_orange", "var(--cpu)": "medium_purple"}
_LABEL, _BAR = 26, 25  # columns of a bar's label, and of the bar: odd, so that 1 has a column of its own
_MOST_ROWS = 8  # of a table at a glance
_ENDS = (1 / 4, 4.0)  # of the scale at most; an interval that goes beyond ends in an arrow


def render(story: Story, width: int = 132, *, verbose: bool = True) -> Iterator[RenderableType]:
    """What to print, from top to bottom, the answer last: at a glance in `width` columns, or `verbose`, in full."""
    from rich.text import Text

    for banner in story.banners:
        yield Text(unbroken(banner), "bold red")
    if story.glance is not None:
        yield from _glance(story.glance, width)
    for label, value in story.facts if verbose or story.glance is None else ():
        yield Text.assemble((f"{unbroken(label):<10} ", "cyan"), unbroken(value))
    if verbose:
        yield from _whole(story)
    elif story.glance is None:
        first = next((b for s in story.sections for b in s.blocks if isinstance(b, Table) and not b.folded), None)
        if first is not None:
            yield from _top(first, width)
    if story.left_out and not verbose:
        left_out = f"{plural(len(story.left_out), 'record')} left out: {unbroken(story.left_out[0])}"
        yield Text(shortened(left_out, max(60, 2 * width)), "yellow")
    folded = sum(isinstance(block, Table) and block.folded for section in story.sections for block in section.blocks)
    more = f"charts and {plural(folded, 'more table')} " if folded else "charts "
    yield Text(
        f"\nWith {more}as a page: -o report.html" if verbose else "All numbers: -v; as a page: -o report.html", "dim"
    )
    yield Text.assemble(
        "\n", (unbroken(story.headline), _STYLES[story.tone] or "bold"), " ", unbroken(story.detail)
    )  # fmt: skip


def _whole(story: Story) -> Iterator[RenderableType]:
    from rich.text import Text

    for section in story.sections:
        if section.key in ("raw", "glossary"):  # longer than all the others: left to the page
            continue
        parts = [part for block in section.blocks for part in _block(block)]
        if parts:
            yield Text(f"\n{unbroken(section.title)}", "bold underline")
            yield from parts


def _glance(glance: Glance, width: int) -> Iterator[Text]:
    from rich.text import Text

    wide = max(len(unbroken(side.name)) for side in glance.sides)
    for side in glance.sides:
        facts = shortened(unbroken(f"{side.device} · {side.facts}"), max(20, width - wide - 2))
        yield Text.assemble((f"{unbroken(side.name):<{wide}}  ", _hue(side.hue)), (facts, "dim"))
    rows = [
        *((row[0].text, row[1], row[2], "") for row in glance.bars.rows),
        *((f"{tile.title.lower()}, {_better(tile.measure)}", tile.ratio, tile.ratio, "")
          for tile in glance.tiles[1:] if tile.ratio.tone != "dim"),
    ]  # fmt: skip
    reach = _reach([bar for _, bar, _, _ in rows])
    half = _BAR // 2
    names = [unbroken(side.name) for side in glance.sides]
    left, right = (f"{name} more" if len(name) + 5 < half else name for name in names)
    yield Text("")
    yield Text(
        f"{'throughput':<{_LABEL}}{shortened(left, half - 1):<{half}}1{shortened(right, half - 1):>{half}}", "dim"
    )
    for count, (label, bar, ratio, says) in enumerate(rows):
        if count == len(glance.bars.rows):
            if glance.more:
                yield Text(glance.more, "dim")
            yield Text("")
        tone = "bold" if ratio.tone == "strong" else ""
        yield Text.assemble(
            (f"{shortened(unbroken(label), _LABEL - 2):<{_LABEL}}", tone), (_drawn(bar, reach), _hue(bar.hue)),
            "  ", (unbroken(ratio.text), "bold"), " ", (unbroken(ratio.note), "dim"), (says and f"  {says}", "dim"),
        )  # fmt: skip
    yield Text("")
    if glance.trust:
        yield Text(unbroken(glance.trust), "yellow" if "eakened" in glance.trust or "locked" in glance.trust else "dim")
    if glance.power:
        yield Text(unbroken(glance.power), "dim")


def _better(measure: str) -> str:
    return "less is better" if "less" in measure else "more is better"


def _hue(hue: str) -> str:
    return _HUES.get(hue, "bold" if hue else "")


def _reach(cells: Sequence[Cell]) -> float:
    """How far the scale goes to either side of 1, as a logarithm."""
    ends = [abs(math.log(v)) for cell in cells for v in cell.bar or () if math.isfinite(v) and v > 0]
    return min(math.log(_ENDS[1]), max([*ends, math.log(1.1)]))


def _drawn(cell: Cell, reach: float) -> str:
    """An interval in characters, `_BAR` of them, with 1 in the middle: ├──●──┤."""
    middle = _BAR // 2
    line = [" "] * _BAR
    line[middle] = "┊"
    if cell.bar is not None and all(math.isfinite(v) and v > 0 for v in cell.bar):
        places = [round(middle + math.log(v) / reach * middle) for v in cell.bar]
        low, at, high = (min(max(place, 0), _BAR - 1) for place in places)
        for place in range(low, high + 1):
            line[place] = "┼" if place == middle else "─"
        line[low], line[high] = "◂" if places[0] < 0 else "├", "▸" if places[2] >= _BAR else "┤"
        line[at] = "●"
    return "".join(line)


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


def _top(table: Table, width: int) -> Iterator[Text]:
    """The first rows, a line each, with as many of the first columns as fit."""
    from rich.text import Text

    rows = [[Cell(head, "dim") for head in table.head], *table.rows[:_MOST_ROWS]]
    widths = [min(40, max(len(unbroken(row[i].text)) for row in rows)) for i in range(len(table.head))]
    fitting = [i for i in range(len(widths)) if sum(widths[: i + 1]) + 2 * i <= width]
    for row in rows:
        line = Text()
        for i in fitting:
            text = shortened(unbroken(row[i].text), widths[i])
            number = any(other[i].number for other in rows)
            line.append(text.rjust(widths[i]) if number else text.ljust(widths[i]), _STYLES[row[i].tone])
            line.append("  ")
        line.rstrip()
        yield line
    if (more := len(table.rows) - _MOST_ROWS) > 0:
        yield Text(f"and {plural(more, 'more row')}", "dim")


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    style = _STYLES[cell.tone] + (" strike" if cell.struck else "")
    text = Text(unbroken(cell.text), style.strip())
    if cell.note:
        text.append(f"\n{unbroken(cell.note)}", "dim")
    return text
