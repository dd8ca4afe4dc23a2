"""gpuprof list"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import console, existing, json_option, print_json, recover_hint, say, store_option
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK, StoreError


@click.command(name="list", short_help="List the stored runs.")
@click.argument("selector", required=False, shell_complete=completed)
@store_option
@json_option
def command(selector: str | None, store: Path, as_json: bool) -> int:
    """List the runs of the store, or those of SELECTOR, oldest first, with their headline throughput.

    SELECTOR is as for `gpuprof compare`: conditions such as vendor=amd,since=2026-11-01, or a word such as H100.

    \b
    Examples:
      gpuprof list
      gpuprof list MI300X
      gpuprof list workload=lstm,since=2026-11-01
      gpuprof list --store /results --json
    """
    from gpuprof.record.run import RunRecord
    from gpuprof.store import runs
    from gpuprof.store.journal import unfinished
    from gpuprof.units import show

    records: list[RunRecord] = []
    damaged: list[str] = []
    existing(store)
    chosen = None if selector is None else _names(selector, store)
    for path in runs.run_directories(store):
        if chosen is not None and path.name not in chosen:
            continue
        try:
            records.append(runs.read(path))
        except StoreError as error:
            damaged.append(str(error))
    pending = [path.name for path in unfinished(store)]
    if as_json:
        rows = [
            {
                "run_id": r.run_id, "outcome": r.outcome, "started_at": r.started_at, "simulated": r.simulated,
                "device": r.device.name, "cases": [c.case_id for c in r.cases],
            }
            for r in records
        ]  # fmt: skip
        print_json({"runs": rows, "damaged": damaged, "unfinished": pending})
        return EXIT_OK

    from rich import box
    from rich.table import Table
    from rich.text import Text

    from gpuprof.text import unbroken

    out = console()
    if records:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("run", no_wrap=True, overflow="ignore")  # to be copied in one piece
        for name in ("outcome", "device", "cases", "first case", "its throughput"):
            table.add_column(name)
        for record in records:
            first = record.cases[0] if record.cases else None
            rate = show(first.throughput_per_s.value, "samples/s") if first and first.throughput_per_s else "none"
            cells = (
                record.run_id, f"{record.outcome}, {record.protocol.name}", record.device.name, str(len(record.cases)),
                first.case_id if first else "", rate,
            )  # fmt: skip
            table.add_row(*(Text(unbroken(cell)) for cell in cells))
        out.print(table)
    else:
        say(out, f"No runs in {store}. Measure one with `gpuprof run lstm`, or see `gpuprof demo`.")
    err = console(stderr=True)
    for message in damaged:
        say(err, f"skipped: {message}", "yellow")
    for name in pending:
        say(err, f"killed before it finished: {name}; to save what it measured: {recover_hint(store)}")
    return EXIT_OK


def _names(selector: str, store: Path) -> set[str]:
    """Of the directories of the runs that it selects. Raises as `Sources.side`."""
    from gpuprof.cli.writing import indexing
    from gpuprof.index.sources import Sources

    with indexing() as progress, Sources(store, progress) as sources:
        return {run.brief.name or run.brief.run_id for run in sources.side(selector).runs}
