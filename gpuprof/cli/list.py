"""gpuprof list"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import console, json_option, print_json, store_option
from gpuprof.errors import EXIT_OK, StoreError


@click.command(name="list", short_help="List the stored runs.")
@store_option
@json_option
def command(store: Path, as_json: bool) -> int:
    """List the runs of the store, oldest first, with their headline throughput.

    \b
    Examples:
      gpuprof list
      gpuprof list --store /results --json
    """
    from gpuprof import store as runs
    from gpuprof.metrics import show
    from gpuprof.record import RunRecord

    found: list[RunRecord] = []
    damaged: list[str] = []
    for path in runs.run_directories(store):
        try:
            found.append(runs.read(path))
        except StoreError as error:
            damaged.append(str(error))
    pending = [path.name for path in runs.unfinished(store)]
    if as_json:
        rows = [
            {
                "run_id": r.run_id, "outcome": r.outcome, "started_at": r.started_at, "simulated": r.simulated,
                "device": r.device.name, "cases": [c.case_id for c in r.cases],
            }
            for r in found
        ]  # fmt: skip
        print_json({"runs": rows, "damaged": damaged, "unfinished": pending})
        return EXIT_OK

    from rich import box
    from rich.table import Table
    from rich.text import Text

    from gpuprof.report.terminal import printable

    out = console()
    if found:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("run", "outcome", "device", "cases", "throughput of the first"):
            table.add_column(name, overflow="fold")
        for record in found:
            first = record.cases[0] if record.cases else None
            rate = show(first.throughput_per_s.value, "samples/s") if first and first.throughput_per_s else "none"
            device = Text(printable(record.device.name))
            table.add_row(record.run_id, record.outcome, device, str(len(record.cases)), rate)
        out.print(table)
    else:
        out.print(f"No runs in {store}. `gpuprof run configs/lstm.yaml` makes the first.", markup=False)
    err = console(stderr=True)
    for message in damaged:
        err.print(printable(f"skipped: {message}"), style="yellow", markup=False)
    for name in pending:
        err.print(f"killed before it was over: {name}; `gpuprof recover --store {store}` saves it", markup=False)
    return EXIT_OK
