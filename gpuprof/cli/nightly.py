"""gpuprof nightly"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gpuprof.cli.common import store_option


@click.command(name="nightly", short_help="Measure, compare with the nights before, report.")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...")
@store_option
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Reports, logs and lock.  [default: STORE/nightly/HOSTNAME]")  # fmt: skip
@click.option("--night", metavar="NAME", default=None, help="Name of this night.  [default: today's date]")
@click.option("--again", is_flag=True, help="Measure even what this night has already measured.")
@click.option("--quick", is_flag=True, help="As for gpuprof run.")
@click.option("--device", default=None, metavar="DEVICE", help="As for gpuprof run.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="As for gpuprof run.")
@click.option("--last", type=click.IntRange(min=1), metavar="RUNS", default=None,
              help="A change within so many runs is new.  [default: 10]")  # fmt: skip
@click.option(
    "--least",
    type=click.FloatRange(0, 10),
    metavar="SHARE",
    default=None,
    help="Relative change below which nothing is a regression; a noisy machine wants more.  [default: 0.02]",
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 86_400), metavar="SECONDS", default=21_600,
              show_default=True, help="Time for one configuration.")  # fmt: skip
def command(
    configs: tuple[str, ...], store: Path, out: Path | None, night: str | None, again: bool, quick: bool,
    device: str | None, overrides: tuple[str, ...], last: int | None, least: float | None, timeout_s: float,
) -> int:  # fmt: skip
    """Measure each CONFIG, compare this night with the nights before on this machine, and write what came out.

    One line on stdout says whether anything became slower, and what. The report (HTML) has the history of every case,
    and tonight's runs against the other vendor's latest ones where the store holds such; gpuprof_nightly.prom is for
    node_exporter's textfile collector. Both are replaced atomically.

    Slower means: the level of the last runs is worse than that of the runs before (see `gpuprof history --help`), or
    this night is worse than the runs before it, at 95% and by --least. What this night has already measured is not
    measured twice; what failed is tried again.

    \b
    Examples:
      gpuprof nightly configs/lstm.yaml configs/cnn.yaml
      gpuprof nightly configs/lstm.yaml --device gpu:1 --store /srv/gpuprof
      gpuprof schedule render systemd -o ~/.config/systemd/user

    \b
    Exit codes: 0 nothing slower, 1 a configuration failed (the others were measured), 2 wrong usage,
    5 something became slower (also beside a failure), 75 another copy is at work, 130 ended by Ctrl-C or SIGTERM
    (what is done is kept).
    """
    import re
    import socket
    from datetime import datetime

    from gpuprof.analysis.history import LEAST, RECENT
    from gpuprof.errors import UsageError
    from gpuprof.nightly import run as nightly
    from gpuprof.nightly.measure import Plan

    name = datetime.now().astimezone().date().isoformat() if night is None else night
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise UsageError(f"--night {name!r}: letters, digits, '-', '_' and '.' only")
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
