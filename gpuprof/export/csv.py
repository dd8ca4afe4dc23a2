"""csv: the table as comma-separated values, UTF-8, RFC 4180 quoting, one header line. An absent value is an empty cell.

Spreadsheets run a cell that begins with = + - @ or a tab as a formula, and a device's name may come from anywhere. A
text cell that begins so gets an apostrophe in front, and so does one that begins with an apostrophe: to get the exact
text back, remove one leading apostrophe. Where a spreadsheet splits at semicolons or tabs, what follows one begins a
cell too, and is guarded alike. Numbers are never touched.
"""

from __future__ import annotations

import csv
import io
import re

from gpuprof.export.runs import Runs
from gpuprof.export.table import COLUMNS, Cell, rows

# The full-width forms too: some spreadsheets read them as the plain ones.
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "'", "＝", "＋", "－", "＠")


_INNER = re.compile(rf"([;\t]\s*)(?=[{re.escape(''.join(_GUARDED))}])")


def render(runs: Runs) -> str:
    """The table of export.table: a header of COLUMNS, then its rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in COLUMNS])
    writer.writerows([_cell(cell) for cell in row] for row in rows(runs))
    return out.getvalue()


def _cell(value: Cell) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    return guard(value) if isinstance(value, str) else value


def guard(text: str) -> str:
    """The text as a cell that no spreadsheet runs. Some find a formula also behind leading blanks."""
    text = _INNER.sub(r"\1'", text)
    return f"'{text}" if text.lstrip().startswith(_GUARDED) or text.startswith(_GUARDED) else text
