"""gpuprof export"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuprof.cli.common import console, redact_option, say, store_option
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK, GpuprofError, StoreError, UsageError
from gpuprof.export import FORMATS

if TYPE_CHECKING:
    from gpuprof.export.runs import RawReader
    from gpuprof.record.run import RunRecord

_EPILOG = "\b\nFormats:\n" + "\n".join(f"  {name:<18}{format_.about}" for name, format_ in FORMATS.items())


@click.command(name="export", short_help="Export stored runs to formats that other tools read.", epilog=_EPILOG)
@click.argument("selected", metavar="SELECTED_RUN...", nargs=-1, required=True, shell_complete=completed)
@click.option("--format", "name", type=click.Choice(list(FORMATS)), required=True, metavar="NAME", help="See below.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True),
    help="Write to this file, all or nothing.  [default: stdout]",
)  # fmt: skip
@click.option(
    "--direction", type=click.Choice(["bigger", "smaller"]),
    help="For github-benchmark, which takes one direction per file: bigger for throughput (customBiggerIsBetter), "
    "smaller for times, memory and energy (customSmallerIsBetter).  [default: bigger]",
)  # fmt: skip
@redact_option
@store_option
def command(
    selected: tuple[str, ...], name: str, output: Path | None, direction: str | None, redact: bool, store: Path
) -> int:
    """Write stored runs in a format that other tools read.

    SELECTED_RUN is a run as in `gpuprof show` (its id, a unique part of the id, a path, `last` or `previous`), or a
    directory, for all runs in it.

    A value that was not measured is an empty cell, a null or a missing sample, never 0. Runs on simulated hardware are
    marked in every format. Formats that hold newest values skip cases that computed wrong results, and report each one.
    A damaged record is reported and skipped; the exit code is 1 if nothing is left.

    In csv, text that a spreadsheet would run as a formula (it starts with = + - @ or a tab) gets an apostrophe in
    front, and so does text that starts with an apostrophe. Remove one apostrophe to get the exact text.

    \b
    Examples:
      gpuprof export last --format csv
      gpuprof export results --format parquet -o runs.parquet
      gpuprof export results --format openmetrics -o gpuprof.prom
      gpuprof export last --format bencher |
        bencher run --adapter json --file /dev/stdin
      gpuprof export last --format github-benchmark --direction smaller -o f.json
      gpuprof export last --format chrome-trace -o f.json  # ui.perfetto.dev
    """
    from gpuprof.system import files

    options = {}
    if direction is not None:
        if name != "github-benchmark":
            raise click.UsageError(f"--direction is only for --format github-benchmark; {name} has both directions.")
        options["direction"] = direction
    format_ = FORMATS[name]
    if output is not None and output.is_dir():
        raise click.UsageError(
            f"-o takes a file, but {output} is a directory; try -o {output / 'gpuprof'}{format_.suffix}"
        )
    runs = list(_read(selected, store))
    if not runs:
        raise GpuprofError("nothing to export: every record above is damaged")
    if redact:
        from gpuprof.export.redacted import redacted

        runs = redacted(runs)
    if format_.compares:
        _name_wrong([record for record, _ in runs])
    try:
        content = format_.render(runs, **options)
    except (OverflowError, ValueError) as error:  # finite in the record, and too large for the format or in its unit
        raise GpuprofError(f"{name} cannot represent a number in these records: {error}") from None
    if output is None or str(output) == "-":
        _to_stdout(content, name)
    else:
        files.to_file(output, content if isinstance(content, bytes) else content.encode(), through_link=True)
    return EXIT_OK


def _to_stdout(content: str | bytes, name: str) -> None:
    """Text in UTF-8 whatever the locale. Raises UsageError for bytes in a terminal, GpuprofError when it is full."""
    if isinstance(content, bytes) and sys.stdout.isatty():
        raise UsageError(f"{name} is binary and would garble the terminal: use -o FILE or a pipe")
    try:
        sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has enough
    except OSError as error:
        raise GpuprofError(f"cannot write to stdout ({error.strerror})") from None


def _read(selected: Sequence[str], store: Path) -> Iterator[tuple[RunRecord, RawReader]]:
    """The selected runs, each once however often it is named. Raises StoreError for a name that fits none."""
    from gpuprof.store import runs

    paths = [path for name in selected for path in _paths(name, store)]
    seen = set()
    for path in paths:
        try:
            record = runs.read(path)
        except StoreError as error:
            _warn(f"skipped: {error}")
            continue
        if record.run_id not in seen:
            seen.add(record.run_id)
            yield record, partial(_raw, path)


def _paths(name: str, store: Path) -> list[Path]:
    from gpuprof.store import runs

    directory = Path(name)
    if directory.is_dir() and (inside := runs.run_directories(directory)):
        return inside
    return [runs.find(store, name)]


def _raw(path: Path) -> Mapping[str, Sequence[float]]:
    """The raw series of a run; none, with a warning, where they cannot be read: the record is exported all the same."""
    from gpuprof.store.raw import read_raw

    try:
        return read_raw(path)
    except StoreError as error:
        _warn(f"exported without raw series: {error}")
        return {}


def _name_wrong(records: Sequence[RunRecord]) -> None:
    from gpuprof.export.runs import is_wrong

    for record in records:
        for case in filter(is_wrong, record.cases):
            _warn(f"skipped, wrong results: {case.case_id} of {record.run_id}")


def _warn(text: str) -> None:
    say(console(stderr=True), text, "yellow")
