"""gpuprof store"""

from __future__ import annotations

import time
from pathlib import Path

import click

from gpuprof.cli.common import console, json_option, print_json, recover_hint, say, store_option
from gpuprof.errors import EXIT_OK, EXIT_RUN_FAILED, StoreError

_DAY_S = 86_400.0


@click.group(name="store", short_help="Check a store, clean up killed runs, update its index.")
def command() -> None:
    """Check and clean up a directory of runs. Safe while others write to it.

    \b
    Examples:
      gpuprof store verify --store /results
      gpuprof store gc --dry-run
      gpuprof store index
    """


@command.command(short_help="Check that every run is intact.")
@store_option
@json_option
def verify(store: Path, as_json: bool) -> int:
    """Read every published run and report what is wrong with it.

    A run is intact if its record is valid, its raw series can be read and match the measured repeats, and its
    directory has the run's name.

    \b
    Example:
      gpuprof store verify --store /results

    \b
    Exit codes: 0 every run is intact, 1 some are not, 2 the store cannot be read.
    """
    from gpuprof.cli.writing import indexing
    from gpuprof.store import runs, upkeep
    from gpuprof.store.journal import unfinished
    from gpuprof.text import plural

    _must_be_there(store)
    names, faults = runs.run_names(store), {}
    with indexing() as progress:
        for done, name in enumerate(names):
            if (fault := upkeep.verify(store / name)) is not None:
                faults[name] = fault
            if done % 100 == 0:
                progress(done, len(names))
    dead = [path.name for path in unfinished(store)]
    if as_json:
        print_json({"runs": len(names), "faults": faults, "unfinished": dead})
    else:
        for fault in faults.values():
            say(console(), fault, "red")
        say(console(), f"{plural(len(names), 'run')} in {store}, {len(names) - len(faults):,} intact")
        for name in dead:
            say(
                console(stderr=True),
                f"killed before it finished: {name}; to save what it measured: {recover_hint(store)}",
            )
    return EXIT_RUN_FAILED if faults else EXIT_OK


@command.command(short_help="Clean up after killed runs.")
@store_option
@click.option("--older-than", type=click.FloatRange(min=0), default=7.0, show_default=True, metavar="DAYS",
              help="Also remove runs that could still be recovered, if older than this.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@json_option
def gc(store: Path, older_than: float, dry_run: bool, as_json: bool) -> int:
    """Remove what killed runs left: journals without measurements, and those that nobody recovered in time.

    Damaged journals are kept that long as well.

    Each is reported before it is removed. Published runs are left alone, and so are runs in progress on any machine:
    they hold a lock. On a file system without locks between machines (NFS mounted with nolock), use this only while
    nothing is running.

    \b
    Examples:
      gpuprof store gc --dry-run
      gpuprof store gc --older-than 30

    \b
    Exit codes: 0 done, 2 something could not be removed.
    """
    from gpuprof.store import upkeep

    _must_be_there(store)
    out = console()
    removed, kept, failed = {}, {}, {}
    for leftover in list(upkeep.leftovers(store, older_than * _DAY_S, time.time())):
        if not leftover.goes:
            kept[leftover.path.name] = leftover.why
        else:
            if not as_json:
                say(out, f"{'would remove' if dry_run else 'removing'} {leftover.path}: {leftover.why}")
            try:
                if dry_run or upkeep.remove(leftover):
                    removed[leftover.path.name] = leftover.why
            except StoreError as error:
                failed[leftover.path.name] = str(error)
    if as_json:
        print_json({"dry_run": dry_run, "removed": removed, "kept": kept, "failed": failed})
    else:
        for name, why in kept.items():
            say(out, f"kept {store / name}: {why}")
        for fault in failed.values():
            say(console(stderr=True), f"gpuprof: {fault}", "bold red")
        if not removed and not kept and not failed:
            say(out, f"Nothing to remove in {store}.")
    return StoreError.exit_code if failed else EXIT_OK


@command.command(short_help="Update the local index.")
@store_option
@click.option("--rebuild", is_flag=True, help="Discard the index and read every run again.")
@json_option
def index(store: Path, rebuild: bool, as_json: bool) -> int:
    """Update this user's index of the store, and print its number of runs and its size.

    Commands that search update it themselves; doing it here after adding many runs saves them the wait. The index is
    in the user's cache (XDG_CACHE_HOME), never in the store, and can be deleted at any time.

    \b
    Example:
      gpuprof store index --store /results
    """
    from gpuprof.cli.writing import indexing
    from gpuprof.index.database import Index
    from gpuprof.text import plural

    _must_be_there(store)
    with indexing() as progress, Index(store, progress=progress) as local:
        count, size, file = local.extent(anew=rebuild)
        faults = local.faults
    if as_json:
        print_json({"runs": count, "bytes": size, "file": file or None, "faults": faults})
        return EXIT_OK
    where = f"in {file}" if file else "in memory only: this user's cache is damaged or cannot be written"
    say(console(), f"{plural(count, 'run')} of {store}, {size / 1e6:,.1f} MB {where}")
    for fault in faults:
        say(console(stderr=True), f"skipped: {fault}", "yellow")
    return EXIT_OK


def _must_be_there(store: Path) -> None:
    """Raises StoreError without a directory: a mistyped name must not pass for an empty store."""
    if not store.is_dir():
        raise StoreError(f"{store}: no such directory; choose the store with --store DIR")
