"""gpuprof recover"""

from __future__ import annotations

import time
from pathlib import Path

import click

from gpuprof.cli.common import console, existing, say, store_option
from gpuprof.errors import EXIT_OK, EXIT_RUN_FAILED


@click.command(name="recover", short_help="Save what a killed run had measured.")
@store_option
def command(store: Path) -> int:
    """Turn the journals of killed runs into records with the outcome `interrupted`.

    Runs in progress are left alone. A journal that is damaged anywhere but in its last line is reported and kept.

    \b
    Example:
      gpuprof recover --store results

    \b
    Exit codes: 0 done, 1 a run could not be recovered.
    """
    from gpuprof.store.recovery import recover

    existing(store)
    out, code, count = console(), EXIT_OK, 0
    for run in recover(store, time.time()):
        count += 1
        if run.outcome == "recovered":
            out.print(f"recovered {run.path} with {run.repeats} repeats", markup=False, soft_wrap=True)
        elif run.outcome == "removed":
            say(out, f"removed {run.path}: {run.why}")
        elif run.outcome == "left":
            say(out, f"left {run.path} alone: {run.why}")
        else:
            say(console(stderr=True), f"{run.path}: cannot be recovered: {run.why}")
            code = EXIT_RUN_FAILED
    if not count:
        out.print(f"Nothing to recover in {store}.", markup=False)
    return code
