"""Options and output that several commands share."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuprof.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from gpuprof.record.run import RunRecord

DEFAULT_STORE = "results"
store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, envvar="GPUPROF_STORE", show_default=True,
    show_envvar=True, help="Directory of stored runs.",
)  # fmt: skip


def existing(store: Path) -> Path:
    """The store. Raises UsageError for a directory that somebody named and that is not there: mistyped, most likely."""
    from click.core import ParameterSource

    named = click.get_current_context().get_parameter_source("store") is not ParameterSource.DEFAULT
    if named and not store.is_dir():
        raise UsageError(f"{store}: no such directory; choose the store with --store DIR")
    return store


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share of 1, written as 0.05 or 5%."""

    name = "share"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero  # whether it may be 0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share as a number above 0, or 0 where it may be, and at most 10."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not (0 < share <= 10 or (self._zero and share == 0)):
            self.fail(f"{value!r} is no share; write 5% or 0.05", param, ctx)
        return share


SHARE, SHARE_OR_NONE = Share(), Share(zero=True)
redact_option = click.option(
    "--redact",
    is_flag=True,
    help="Replace names of hosts, users, cards, jobs and directories by pseudonyms, and leave out comments.",
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show everything, not just the answer.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print a single JSON document to stdout.")


class _Trimmed:
    """A stream without the blanks with which tables fill their lines: files and pipes have no use for them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As the stream's; lines that end in it lose their last blanks."""
        self._stream.write("\n".join(line.rstrip(" ") for line in text.split("\n")) if "\n" in text else text)
        return len(text)


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr. Without a terminal it prints plain text, wide enough for one case per row."""
    from rich.console import Console

    class Beside(Console):
        def on_broken_pipe(self) -> None:  # rich would end the command
            self.quiet = True

    kind, stream = (Beside, sys.stderr) if stderr else (Console, sys.stdout)
    if stream.isatty():
        return kind(stderr=stderr, highlight=False, soft_wrap=False)
    return kind(stderr=stderr, highlight=False, soft_wrap=False, width=132, file=_Trimmed(stream))  # type: ignore[arg-type]


def say(out: Console, text: str, style: str = "") -> None:
    """Print a sentence, with foreign text made harmless: wrapped in a terminal, elsewhere one line that grep finds."""
    from gpuprof.text import printable

    # What stderr says is beside the point of a command: a full disk, or a reader that went away, must not end it.
    with suppress(OSError) if out.stderr else nullcontext():
        out.print(printable(text), style=style, markup=False, soft_wrap=not out.is_terminal)


def again() -> str:
    """The command that runs, as one would type it: with what was given, or came from the environment."""
    from click.core import ParameterSource

    context = click.get_current_context()
    words, operands = [], []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        given = context.get_parameter_source(name)
        if given is ParameterSource.DEFAULT or value in (None, False, ()) or value == parameter.get_default(context):
            continue
        values = [str(each) for each in value] if isinstance(value, tuple) else [str(value)]
        if isinstance(parameter, click.Argument):
            operands += values
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(parameter.opts[-1])
        else:
            words += [word for each in values for word in (parameter.opts[0], each)]
    return shlex.join(["gpuprof", str(context.info_name), *operands, *words])


def print_rendered(record: RunRecord, *, verbose: bool = False) -> None:
    """Print a record on stdout as a person reads it."""
    from rich.text import Text

    from gpuprof.report.views.run import render

    out = console()
    for part in render(record, out.width, verbose=verbose):
        out.print(part, soft_wrap=isinstance(part, Text) and not out.is_terminal)


def recover_hint(store: Path) -> str:
    """The command that saves what killed runs measured, quoted for a shell."""
    return f"gpuprof recover --store {shlex.quote(str(store))}"


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=1))
