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

    What became of it, the arithmetic that ran, the largest error, and up to which error it passes.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    devices = len({each["device"] for each in checked}) > 1
    for name in ("case", *(["device"] if devices else []), "check", "ran in", "error", "passes to"):
        rows.add_column(name, overflow="fold", no_wrap=name != "device" and name != "ran in")
    for each in checked:
        ran_not = each["state"] in ("unsupported", "failed")
        ran = "" if ran_not else each["precision"]["effective"] or "unknown"
        limit = (each["correctness"] or {}).get("tolerance")
        error = "not finite" if each["error"] is None else f"{each['error']:.1e}"
        rows.add_row(
            Text(printable(each["case_id"])), *([Text(printable(each["device"]))] if devices else []),
            Text(each["state"], _STYLES[each["state"]]),
            Text(printable(ran), "" if ran == each["precision"]["requested"] else "yellow"),
            Text("" if ran_not else error), Text("" if ran_not or limit is None else f"{limit:g}", "dim"),
        )  # fmt: skip
    return rows


def reasons(checked: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Each reason and each warning once, with the case that it holds for, or how many there are."""
    from rich.text import Text

    groups: dict[tuple[str, str], list[str]] = {}
    for each in checked:
        unknown = each["precision"].get("absent", {}).get("effective")
        notes = [*each["warnings"], *([f"arithmetic unknown: {unknown}"] if unknown else [])]
        for state, why in ((each["state"], each["why"]), *(("warning", note) for note in notes)):
            if why:
                groups.setdefault((state, why), []).append(each["case_id"])
    for (state, why), cases in groups.items():
        which = cases[0] if len(cases) == 1 else plural(len(cases), "case")
        line = f"{state}, {printable(which)}: {printable(shortened(why, _LONGEST))}"
        yield Text(line, _STYLES.get(state, "yellow"))


def summary(checked: Sequence[Mapping[str, Any]], *, planned: int, interrupted: bool) -> str:
    """How many cases there are of each kind, the good ones first."""
    counts = Counter(each["state"] for each in checked)
    part = "" if len(checked) == planned else f" of {planned}"
    states = ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state])
    return f"{'interrupted: ' if interrupted else ''}{len(checked)}{part} checked: {states}"


def heading(checked: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """The device, where it is one, and whether any of them is simulated."""
    from rich.text import Text

    devices = {each["device"] for each in checked}
    if len(devices) == 1:
        yield Text(printable(*devices), "bold")
    if any(each["simulated"] for each in checked):
        yield Text("SIMULATED: checked on a simulator, not on hardware", "bold red")
