"""The checks of cases without any timing, as a person reads them in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuprof.text import plural, printable, shortened

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_STYLES = {"pass": "green", "drift": "yellow", "wrong": "bold red", "unsupported": "dim", "failed": "bold red"}
_LONGEST = 300


def table(checked: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each case, as `supervisor.checks.Checked.as_json` has it.

    What became of it, the arithmetic that ran, and the largest error.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    devices = len({each["device"] for each in checked}) > 1
    for name in ("case", *(["device"] if devices else []), "check", "ran in", "error"):
        rows.add_column(name, overflow="fold", no_wrap=name in ("case", "check", "error"))
    for each in checked:
        ran = each["precision"]["effective"] or ""
        error = "not finite" if each["error"] is None else f"{each['error']:.1e}"
        rows.add_row(
            Text(printable(each["case_id"])), *([Text(printable(each["device"]))] if devices else []),
            Text(each["state"], _STYLES[each["state"]]),
            Text(printable(ran), "" if ran == each["precision"]["requested"] else "yellow"),
            Text("" if each["state"] in ("unsupported", "failed") else error),
        )  # fmt: skip
    return rows


def reasons(checked: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Each reason once, with the case that it holds for, or how many there are."""
    from rich.text import Text

    groups: dict[tuple[str, str], list[str]] = {}
    for each in checked:
        if each["why"]:
            groups.setdefault((each["state"], each["why"]), []).append(each["case_id"])
    for (state, why), cases in groups.items():
        which = cases[0] if len(cases) == 1 else plural(len(cases), "case")
        yield Text(f"{state}, {printable(which)}: {printable(shortened(why, _LONGEST))}", _STYLES[state])


def summary(checked: Sequence[Mapping[str, Any]]) -> str:
    """How many cases there are of each kind, the good ones first."""
    counts = Counter(each["state"] for each in checked)
    return f"{len(checked)} checked: {', '.join(f'{counts[state]} {state}' for state in _STYLES if counts[state])}"
