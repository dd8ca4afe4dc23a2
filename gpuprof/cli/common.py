"""Options and output that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DEFAULT_STORE = "results"
store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, envvar="GPUPROF_STORE", show_default=True,
    show_envvar=True, help="Directory that holds the runs.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document to stdout, nothing else.")


def console(*, stderr: bool = False) -> Console:
    """A rich console; without a terminal it is plain text, wide enough for a row a case."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else 132)


def print_rendered(parts: Iterable[RenderableType]) -> None:
    from rich.text import Text

    out = console()
    for part in parts:
        # A sentence is one line for whoever searches the output; a terminal wraps it.
        out.print(part, soft_wrap=isinstance(part, Text) and not out.is_terminal)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1))
