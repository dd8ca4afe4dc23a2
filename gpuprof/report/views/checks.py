"""The checks of cases without any timing, as a person reads them in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuprof.text import printable, shortened

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"pass": "green", "drift": "yellow", "wrong": "bold red", "unsupported": "dim", "failed": "bold red"}
_LONGEST = 300


def table(checked: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each case, as `supervisor.checks.Checked.as_json` has it.

    What became of it, the arithmetic that ran, and the largest error or the reason.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    devices = len({each["device"] for each in checked}) > 1
    for name in ("case", *(["device"] if devices else []), "check", "ran in", "error"):
        rows.add_column(name, overflow="fold")
    for each in checked:
        ran, why = each["precision"]["effective"] or "", each["why"] or ""
        error = "not finite" if each["error"] is None else f"{each['error']:.1e}"
        said = [] if each["state"] in ("unsupported", "failed") else [error]
        rows.add_row(
            Text(printable(each["case_id"])), *([Text(printable(each["device"]))] if devices else []),
            Text(each["state"], _STYLES[each["state"]]),
            Text(printable(ran), "" if ran == each["precision"]["requested"] else "yellow"),
            Text(printable(shortened(", ".join((*said, *([why] if why else ()))), _LONGEST)), "" if said else "dim"),
        )  # fmt: skip
    return rows


def summary(checked: Sequence[Mapping[str, Any]]) -> str:
    """How many cases there are of each kind, the good ones first."""
    counts = Counter(each["state"] for each in checked)
    return f"{len(checked)} checked: {', '.join(f'{counts[state]} {state}' for state in _STYLES if counts[state])}"
