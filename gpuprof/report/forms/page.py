"""A story as one self-contained HTML page: it makes no request, and can be read in full without scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from gpuprof.report.charts import drawing
from gpuprof.report.story import Cell, Chart, Story, Table
from gpuprof.text import cleaned, printable

_TEMPLATES = Path(__file__).parent / "templates"
_SYMBOLS = {"good": "▲", "bad": "▼", "warn": "!"}  # a tone is never a colour alone
_BAR = (84, 12)  # width and height of a cell's interval picture


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
    loader = (_TEMPLATES / "charts.js").read_text("utf-8") if live else ""
    scripts = [drawing.bundle(), loader] if live else []
    picture = drawing.concrete if colours == "light" else str
    return environment.get_template("page.html.j2").render(
        story=story,
        kind=lambda block: type(block).__name__,
        pictures={key: Markup(picture(drawing.svg(spec))) for key, spec in specs.items()},  # noqa: S704  text in it is escaped
        specs={key: Markup(_json(spec)) for key, spec in specs.items()} if live else {},  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704  our own
        policy=_policy(scripts),
        style=Markup((_TEMPLATES / "page.css").read_text("utf-8")),  # noqa: S704
        light=drawing.LIGHT,
        dark=drawing.DARK,
        symbols=_SYMBOLS,
        lead=_lead,
        scale=_scale,
        bar=lambda cell, scale: Markup(picture(_bar(cell, scale))),  # noqa: S704  numbers alone
    )


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


def _scale(table: Table) -> tuple[float, float] | None:
    """The range, in logarithms, that all interval pictures of a table share; 1 is always in it."""
    values = [value for row in table.rows for cell in row for value in cell.bar or () if _drawable(value)]
    if not values:
        return None
    # A very wide interval would shrink all others to points, so the scale ends at 0.2 and 5 and it runs off the edge.
    low, high = math.log(max(0.2, min([*values, 0.95]))), math.log(min(5.0, max([*values, 1.05])))
    pad = 0.06 * (high - low)
    return low - pad, high + pad


def _bar(cell: Cell, scale: tuple[float, float] | None) -> str:
    """A cell's interval as a tiny picture with a rule at 1."""
    if cell.bar is None or scale is None or not all(map(_drawable, cell.bar)):
        return ""
    width, height = _BAR
    places = ((math.log(v) - scale[0]) / (scale[1] - scale[0]) * width for v in cell.bar)
    low, middle, high = (min(max(place, 0.0), float(width)) for place in places)
    rule = -scale[0] / (scale[1] - scale[0]) * width
    return (
        f'<svg class="bar" width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<path d="M{rule:.1f} 0V{height}" stroke="var(--faint)" stroke-dasharray="2 2"/>'
        f'<path d="M{low:.1f} {height / 2}H{high:.1f}" stroke="var(--ink)" stroke-width="1.5"/>'
        f'<circle cx="{middle:.1f}" cy="{height / 2}" r="3" fill="var(--ink)"/></svg>'
    )


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0
