"""How `compare`, `history` and `report` hand out a story: on stdout or into a file, in one of five forms."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuprof.cli.common import console, print_json
from gpuprof.errors import UsageError
from gpuprof.system.files import to_file

if TYPE_CHECKING:
    from gpuprof.record.redaction import Redaction
    from gpuprof.report.story import Story

_SUFFIXES = {".json": "json", ".md": "md", ".html": "html", ".htm": "html", ".pdf": "pdf", ".txt": "text"}
_FILES_ONLY = ("html", "pdf")
_PATIENCE = 1000  # new runs; fewer are read without progress


def choose(form: str | None, output: Path | None, as_json: bool) -> str:
    """The name of the form: by --json, --format, the suffix of the output, else text.

    Raises UsageError where they contradict each other, for an unknown suffix, and for a page on a terminal.
    """
    if as_json:
        if form not in (None, "json"):
            raise UsageError(f"--json and --format {form} contradict each other; use one of them")
        return "json"
    if form is None and output is not None:
        form = _SUFFIXES.get(output.suffix.lower())
        if form is None:
            raise UsageError(f"{output}: unknown suffix; add --format, or use one of {', '.join(_SUFFIXES)}")
    form = form or "text"
    if form in _FILES_ONLY and output is None and sys.stdout.isatty():
        raise UsageError(f"--format {form} is not for a terminal; add -o report.{form}")
    return form


@contextlib.contextmanager
def indexing() -> Iterator[Callable[[int, int], None]]:
    """Gives a function for (runs read, new runs), which shows progress on a terminal where there are many."""
    shown = False

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if total >= _PATIENCE and sys.stderr.isatty():
            shown = True
            click.echo(f"\rreading new runs: {done:,} of {total:,}", nl=False, err=True)

    yield progress
    if shown:
        click.echo("", err=True)


def hand_out(
    story: Story, document: Callable[[], Any], form: str, output: Path | None, hide: Redaction | None = None, *,
    verbose: bool = True,
) -> None:  # fmt: skip
    """Write a story to `output`, or to stdout where that is None; `document` is called for JSON only.

    A terminal shows it at a glance unless it is `verbose`. With `hide` all texts are redacted. Raises
    GpuprofError when the file cannot be written.
    """
    if hide is not None:
        story, whole = hide.of(story), document
        document = lambda: hide.of(whole())  # noqa: E731
    if form == "json" and output is None:
        print_json(document())
    elif form == "text" and output is None:
        _print(story, console(), verbose=verbose)
    else:
        content = _rendered(story, document, form)
        if output is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            from gpuprof.text import one_line

            to_file(output, content, through_link=True)
            click.echo(f"wrote {one_line(str(output))}", err=True)


def _rendered(story: Story, document: Callable[[], Any], form: str) -> bytes:
    if form == "json":
        import json

        return (json.dumps(document(), indent=1) + "\n").encode()
    if form == "md":
        from gpuprof.report.forms import markdown

        return markdown.render(story).encode()
    if form == "html":
        from gpuprof.report.forms import page

        return page.render(story).encode()
    if form == "pdf":
        from gpuprof.report.forms import pdf

        return pdf.render(story)
    from io import StringIO

    from rich.console import Console

    file = StringIO()
    _print(story, Console(file=file, width=132, highlight=False), verbose=True)
    return "\n".join(line.rstrip(" ") for line in file.getvalue().split("\n")).encode()


def _print(story: Story, out: Any, *, verbose: bool) -> None:
    from rich.text import Text

    from gpuprof.report.forms import terminal

    for part in terminal.render(story, out.width, verbose=verbose):
        out.print(part, soft_wrap=isinstance(part, Text) and not out.is_terminal)
