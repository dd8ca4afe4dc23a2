"""gpuprof show"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import json_option, print_json, print_rendered, store_option, verbose_option
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK


@click.command(name="show", short_help="Show one stored run.")
@click.argument("run", shell_complete=completed)
@store_option
@verbose_option
@json_option
def command(run: str, store: Path, verbose: bool, as_json: bool) -> int:
    """Show the stored RUN: its id, a unique part of the id, a path, `last` or `previous`.

    \b
    Examples:
      gpuprof show last
      gpuprof show 20261123T0900
      gpuprof show results/20261123T090000Z-lstm-1a2b3c4d/record.json --json
    """
    from gpuprof.store import runs

    record = runs.read(runs.find(store, run))
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        print_rendered(record, verbose=verbose)
    return EXIT_OK
