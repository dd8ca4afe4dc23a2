"""gpuprof nightly"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gpuprof.cli.common import SHARE_OR_NONE, store_option


@click.command(name="nightly", short_help="Measure, compare with earlier nights, report.")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...")
@store_option
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Directory for reports, logs and the lock.  [default: STORE/nightly/HOSTNAME]")  # fmt: skip
@click.option("--night", metavar="NAME", default=None, help="Name of this night.  [default: today's date]")
@click.option("--again", is_flag=True, help="Repeat what was already measured tonight.")
@click.option("--quick", is_flag=True, help="As in `gpuprof run`.")
@click.option("--device", default=None, metavar="DEVICE", help="As in `gpuprof run`.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="As in `gpuprof run`.")
@click.option("--last", type=click.IntRange(min=1), metavar="RUNS", default=None,
              help="Changes within this many latest runs are new.  [default: 10]")  # fmt: skip
@click.option(
    "--least",
    type=SHARE_OR_NONE,
    metavar="SHARE",
    default=None,
    help="Ignore relative changes below this; raise it on a noisy machine.  [default: 2%]",
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 86_400), metavar="SECONDS", default=21_600,
              show_default=True, help="Time limit for each configuration.")  # fmt: skip
def command(
    configs: tuple[str, ...], store: Path, out: Path | None, night: str | None, again: bool, quick: bool,
    device: str | None, overrides: tuple[str, ...], last: int | None, least: float | None, timeout_s: float,
) -> int:  # fmt: skip
    """Measure each CONFIG, compare tonight with earlier nights on this machine, and write a report.

    One line on stdout says whether anything got slower, and what. The report (HTML) shows the history of every case
    and, if the store has runs on another vendor's GPUs, compares tonight with the newest of them; gpuprof_nightly.prom
    is for node_exporter's textfile collector. Both are replaced atomically.

    Slower means: the level of the latest runs is worse than before (see `gpuprof history --help`), or tonight is worse
    than earlier runs (on the same day of the week, where days differ) by at least --least; in a month in which nothing
    changes, a case has a false alarm in one of ten. A case cannot tell yet where even a change of 10% would not show.
    Started again on the same night, it measures only what is new or had failed.

    \b
    Examples:
      gpuprof nightly configs/lstm.yaml configs/cnn.yaml
      gpuprof nightly configs/lstm.yaml --device gpu:1 --store /srv/gpuprof
      gpuprof schedule render systemd -o ~/.config/systemd/user

    \b
    Exit codes:
      0    nothing slower
      1    a configuration failed (the others were measured)
      2    bad usage
      5    something got slower (even if something else failed)
      75   another nightly run is in progress
      130  ended by Ctrl-C or SIGTERM (what was measured is kept)
    """
    import re
    import socket
    from datetime import datetime

    from gpuprof.analysis.history import LEAST, RECENT
    from gpuprof.config import shipped
    from gpuprof.errors import UsageError
    from gpuprof.nightly import run as nightly
    from gpuprof.nightly.measure import Plan

    name = datetime.now().astimezone().date().isoformat() if night is None else night
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise UsageError(f"--night {name!r}: use only letters, digits, '-', '_' and '.'")
    if not any(shipped.resolved(str(config)).is_file() for config in configs):
        raise UsageError(f"{configs[0]}: no such file, and nothing else to measure")
    options = [*(["--quick"] if quick else []), *(["--device", device] if device else [])]
    plan = Plan(
        configs, store, out or store / "nightly" / socket.gethostname(), name, options, overrides, again, timeout_s,
    )  # fmt: skip
    done = nightly.run(plan, last=RECENT if last is None else last, least=LEAST if least is None else least, tell=_tell)
    click.echo(done.line)
    return done.exit_code


def _tell(line: str) -> None:
    """Progress, for a terminal only: in a timer's mail it has no place."""
    if sys.stderr.isatty():
        from gpuprof.text import one_line

        click.echo(one_line(line), err=True)
