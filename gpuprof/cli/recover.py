"""gpuprof recover"""

from __future__ import annotations

import shutil
import time
from datetime import datetime, timezone
from pathlib import Path

import click

from gpuprof.cli.common import console, say, store_option
from gpuprof.errors import EXIT_OK, EXIT_RUN_FAILED, StoreError


@click.command(name="recover", short_help="Publish what a killed run had measured.")
@store_option
def command(store: Path) -> int:
    """Turn the journals of runs whose supervisor was killed into records with the outcome `interrupted`.

    Runs that are still going on are left alone. A journal that is damaged elsewhere than in its last line is named and
    kept as it is.

    \b
    Example:
      gpuprof recover --store results

    \b
    Exit codes: 0 done, 1 some run cannot be recovered.
    """
    from gpuprof.store.assemble import assemble
    from gpuprof.store.journal import publish_recovered, read_journal, unfinished
    from gpuprof.store.upkeep import EMPTY_AFTER_S, empty
    from gpuprof.text import printable

    out, code, count = console(), EXIT_OK, 0
    for staging in unfinished(store):
        count += 1
        try:
            changed = (staging / "journal.jsonl").stat().st_mtime
            if empty(staging):
                if time.time() - changed > EMPTY_AFTER_S:
                    shutil.rmtree(staging)
                    say(out, f"removed {staging}: nothing had been measured")
                else:
                    say(out, f"left {staging} alone: nothing had been measured, but it may just be starting")
                continue
            lines, _ = read_journal(staging)
            if not lines:
                raise StoreError("its journal holds no whole line")
            now = datetime.fromtimestamp(changed, timezone.utc).isoformat(timespec="milliseconds")
            record, raw = assemble(lines, now)
            path = publish_recovered(staging, record, raw)
        except (StoreError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            say(console(stderr=True), f"{staging}: cannot be recovered: {reason}")
            code = EXIT_RUN_FAILED
            continue
        repeats = sum(len(case.repeats) for case in record.cases)
        out.print(printable(f"recovered {path} with {repeats} repeats"), markup=False, soft_wrap=True)
    if not count:
        say(out, f"Nothing to recover in {store}.")
    return code
