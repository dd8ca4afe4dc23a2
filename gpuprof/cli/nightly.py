"""gpuprof nightly"""

from __future__ import annotations

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
@click.option("--last", type=click.IntRange(min=1), metavar="RUNS", default=10, show_default=True,
              help="A change within so many runs is new.")  # fmt: skip
@click.option("--least", type=click.FloatRange(0, 10), metavar="SHARE", default=0.02, show_default=True,
              help="Relative change below which nothing is a regression; more on a noisy machine.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 86_400), metavar="SECONDS", default=21_600,
              show_default=True, help="Time for one configuration.")  # fmt: skip
def command(
    configs: tuple[str, ...], store: Path, out: Path | None, night: str | None, again: bool, quick: bool,
    device: str | None, overrides: tuple[str, ...], last: int, least: float, timeout_s: float,
) -> int:  # fmt: skip
    """Measure each CONFIG, compare this night with the nights before on this machine, and write what came out.

    One line on stdout says whether anything became slower, and what. The report (HTML) has the history of every case,
    and tonight's runs against the other vendor's latest ones where the store holds such; gpuprof_nightly.prom is for
    node_exporter's textfile collector. Both are replaced atomically.

    Slower means: the level of the last runs is below the one before (see `gpuprof history --help`), or this night is
    below the runs before it, at 95% and by --least. What this night has already measured is not measured twice; what
    failed is tried again.

    \b
    Examples:
      gpuprof nightly configs/lstm.yaml configs/cnn.yaml
      gpuprof nightly configs/lstm.yaml --device gpu:1 --store /srv/gpuprof
      gpuprof schedule render systemd -o ~/.config/systemd/user

    \b
    Exit codes: 0 nothing slower, 1 a configuration failed (the others were measured), 2 wrong usage,
    5 something became slower (also beside a failure), 75 another copy is at work.
    """
    import re
    import socket
    from datetime import datetime

    from gpuprof import nightly
    from gpuprof.errors import UsageError

    name = night or datetime.now().astimezone().date().isoformat()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise UsageError(f"--night {name!r}: letters, digits, '-', '_' and '.' only")
    options = [*(["--quick"] if quick else []), *(["--device", device] if device else [])]
    plan = nightly.Plan(
        configs, store, out or store / "nightly" / socket.gethostname(), name, options, overrides, again,
        last=last, least=least, timeout_s=timeout_s,
    )  # fmt: skip
    done = nightly.run(plan)
    click.echo(done.line)
    return done.exit_code
