"""A story as one self-contained HTML page: it makes no request, and can be read in full without scripts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from gpuprof.report.charts import drawing
from gpuprof.report.forms import markdown
from gpuprof.report.story import Cell, Chart, Story, Table
from gpuprof.report.terms import TERMS
from gpuprof.text import cleaned, printable

_TEMPLATES = Path(__file__).parent / "templates"
_SYMBOLS = {"good": "▲", "bad": "▼", "warn": "!"}  # a tone is never a colour alone
_MOST = 4.0  # bars are cut here, and at its inverse: a very wide interval would shrink all others to points


def render(story: Story, *, interactive: bool = True, colours: Literal["theme", "light"] = "theme") -> str:
    """The page as HTML. Charts are pictures; if `interactive`, scripts replace them by ones that answer the pointer.

    Pictures follow the page's theme, or are `light` for viewers without CSS variables. Raises GpuprofError for a story
    with charts without vl-convert.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return printable(value) if type(value) is str else value

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=finalize,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    charts = [block for section in story.sections for block in section.blocks if isinstance(block, Chart)]
    # Without $schema: the library would only warn about its version.
    specs = {chart.key: _finite(cleaned({k: v for k, v in chart.spec.items() if k != "$schema"})) for chart in charts}
    live = interactive and bool(charts)
    # The library of charts is text until a reader points at one: running it takes longer than reading the page.
    library = drawing.bundle() if live else ""
    scripts = [(_TEMPLATES / "page.js").read_text("utf-8")] if interactive else []
    picture = drawing.concrete if colours == "light" else str
    return environment.get_template("page.html.j2").render(
        story=story,
        kind=lambda block: type(block).__name__,
        pictures={key: Markup(picture(drawing.svg(spec))) for key, spec in specs.items()},  # noqa: S704  text in it is escaped
        specs={key: Markup(_json(spec)) for key, spec in specs.items()} if live else {},  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704  our own
        library=base64.b64encode(gzip.compress(library.encode(), mtime=0)).decode() if live else "",
        policy=_policy([*scripts, *filter(None, [library])]),
        style=Markup((_TEMPLATES / "page.css").read_text("utf-8")),  # noqa: S704
        light=drawing.LIGHT,
        dark=drawing.DARK,
        symbols=_SYMBOLS,
        lead=_lead,
        coded=_coded,
        scale=_scale,
        bar=lambda cell, reach: Markup(picture(_bar(cell, reach) + _dots(cell))),  # noqa: S704  numbers, our colours
        reaching=_reach(value for tile in story.glance.tiles for value in tile.ratio.bar or ())
        if story.glance
        else None,
        terms=_terms(story),
        copied=markdown.brief(story),
        ink=_ink,
    )


def _coded(text: str) -> Any:
    """The text, escaped, with what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(printable(text)))))  # noqa: S704  escaped


def _terms(story: Story) -> dict[str, str]:
    """What terms mean, where the page has a glossary to link to."""
    if not any(section.key == "glossary" for section in story.sections):
        return {}
    return {term.lower(): meaning for term, meaning in TERMS.items()}


def _lead(fact: str) -> tuple[str, str]:
    """The device of a side's facts, and the rest."""
    first, *rest = re.split(r"\n| · ", fact, maxsplit=1)
    return first, "".join(rest)


def _finite(value: Any) -> Any:
    """Plain data with None in place of infinities and NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(spec: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(spec, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy: nothing is loaded, and no script runs but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _scale(table: Table) -> float | None:
    """How far the bars of a table reach to either side of 1, as a logarithm; None where it has none."""
    cells = [cell for row in table.rows for cell in row]
    values = [value for cell in cells for value in cell.bar or () if _drawable(value)]
    return _reach(values) if values else None


def _reach(values: Iterable[float]) -> float:
    most = max((abs(math.log(value)) for value in values if _drawable(value)), default=0.0)
    return 1.06 * min(math.log(_MOST), max(most, math.log(1.1)))


def _bar(cell: Cell, reach: float | None) -> str:
    """A cell's interval as a picture with a rule at 1, as wide as its place; arrows where it is cut."""
    if cell.bar is None or reach is None or not all(map(_drawable, cell.bar)):
        return ""
    places = [50 + 50 * math.log(value) / reach for value in cell.bar]
    low, middle, high = (min(max(place, 1.0), 99.0) for place in places)
    ink = _ink(cell.hue)
    ends = [
        f'<svg x="{x}%" overflow="visible"><path d="M{-way * 6} 2L0 7L{-way * 6} 12Z" fill="{ink}"/></svg>'
        for x, way, cut in ((0, -1, places[0] < 1), (100, 1, places[2] > 99)) if cut
    ]  # fmt: skip
    return (
        '<svg class="bar" width="100%" height="14" aria-hidden="true">'
        '<line x1="50%" x2="50%" y1="0" y2="14" stroke="var(--faint)" stroke-dasharray="2 2"/>'
        f'<line x1="{low:.1f}%" x2="{high:.1f}%" y1="7" y2="7" stroke="{ink}" stroke-width="3"/>'
        f'<circle cx="{middle:.1f}%" cy="7" r="4.5" fill="{ink}"/>{"".join(ends)}</svg>'
    )


def _ink(hue: str) -> str:
    """The colour, if it is one of ours."""
    return hue if re.fullmatch(r"var\(--[a-z]+\)", hue) else "var(--soft)"


def _dots(cell: Cell) -> str:
    """The processes of both sides, a dot each, on one scale from the lowest to the highest."""
    values = [value for side in cell.dots for value in side.values if _drawable(value)]
    if not values:
        return ""
    low, high = min(values), max(values)
    dots = "".join(
        f'<circle cx="{6 + 88 * (value - low) / ((high - low) or 1.0):.1f}%" cy="{6 + 12 * line}" r="4" '
        f'fill="{_ink(side.hue)}" fill-opacity="0.75"/>'
        for line, side in enumerate(cell.dots) for value in side.values if _drawable(value)
    )  # fmt: skip
    return f'<svg class="dots" width="100%" height="24" aria-hidden="true">{dots}</svg>'


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0
