"""gpuprof schedule"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import DEFAULT_STORE
from gpuprof.errors import EXIT_OK


@click.group(name="schedule", short_help="Write a timer, cron line or workflow for nightly runs.")
def command() -> None:
    """Write the files that start `gpuprof nightly` every night. Nothing is installed.

    \b
    Examples:
      gpuprof schedule render systemd -o ~/.config/systemd/user
      gpuprof schedule render cron --at 03:40
      gpuprof schedule render github --store /srv/gpuprof -o .github/workflows
    """


@command.command(name="render", short_help="Print the files, or write them into a directory.")
@click.argument("form", type=click.Choice(["systemd", "cron", "github"]))
@click.argument("configs", nargs=-1, metavar="[CONFIG...]")
@click.option("--command", "line", metavar="LINE", default=None,
              help="Run this instead of gpuprof nightly, quoted as in a shell.")  # fmt: skip
@click.option("--with", "more", default="", metavar="OPTIONS", help="Options for `gpuprof nightly`, as one argument.")
@click.option("--at", default="02:17", show_default=True, metavar="HH:MM", help="Start time: local, or UTC for github.")
@click.option("--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, envvar="GPUPROF_STORE",
              show_default=True, help="Directory of stored runs; for github, on the runner.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Write into this directory.")
def render(
    form: str, configs: tuple[str, ...], more: str, line: str | None, at: str, store: Path, output: Path | None
) -> int:  # fmt: skip
    """Print systemd units, a crontab line, or a workflow for GitHub's self-hosted runners labelled cuda and rocm.

    CONFIG defaults to configs/reference.yaml in this directory. For systemd and cron, paths are made absolute. For
    github, CONFIG paths are kept, since they are looked up in the checkout, and --store is required: an absolute path
    on the runners.

    \b
    Examples:
      gpuprof schedule render systemd configs/lstm.yaml configs/cnn.yaml
      gpuprof schedule render systemd --with '--device gpu:1 --least 0.05' -o ~/.config/systemd/user
      gpuprof schedule render cron --command '/opt/gpuprof/scripts/compare_nightly /opt/gpuprof/configs/lstm.yaml'
      gpuprof schedule render github --store /srv/gpuprof configs/lstm.yaml
    """
    from gpuprof.engines import FORMS
    from gpuprof.engines.schedule import Schedule
    from gpuprof.errors import UsageError
    from gpuprof.system.files import to_file
    from gpuprof.text import one_line

    if line is not None and (configs or more):
        raise UsageError("--command replaces gpuprof nightly: leave out CONFIG files and --with")
    if form == "github" and line is None:
        _on_the_runner(store)
    words = _words(line) if line is not None else _nightly(configs, more, store, absolute=form != "github")
    reports = "" if line is not None else str(store.absolute() / "nightly")
    files = FORMS[form](Schedule(words, at, reports))
    if output is None:
        for name, text in files.items():
            click.echo((f"# ---- {name}\n" if len(files) > 1 else "") + text, nl=False)
        return EXIT_OK
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot be created ({error.strerror})") from None
    for name, text in files.items():
        to_file(output / name, text.encode(), through_link=True)
        click.echo(f"wrote {one_line(str(output / name))}", err=True)
    return EXIT_OK


def _on_the_runner(store: Path) -> None:
    from click.core import ParameterSource

    from gpuprof.errors import UsageError

    given = click.get_current_context().get_parameter_source("store") is ParameterSource.COMMANDLINE
    if not given or not store.is_absolute():
        raise UsageError(
            "github: --store must be an absolute path on the runners, such as /srv/gpuprof: this machine's paths mean "
            "nothing there, and the next job discards whatever is in a checkout"
        )


def _words(line: str) -> list[str]:
    import shlex

    from gpuprof.errors import UsageError

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--command {line!r}: {error}") from None
    if not words or not words[0].startswith("/"):
        raise UsageError(f"--command {line!r} must start with the absolute path of a program")
    return words


def _nightly(configs: tuple[str, ...], more: str, store: Path, *, absolute: bool) -> list[str]:
    import shlex

    from gpuprof.cli.nightly import command as nightly
    from gpuprof.errors import UsageError
    from gpuprof.system.python import program

    suite = Path("configs/reference.yaml")
    if not configs and not suite.is_file():
        raise UsageError(f"no {suite} here; give the configurations to run every night")
    named = configs or (str(suite),)
    if absent := [config for config in named if absolute and not Path(config).is_file()]:
        raise UsageError(f"{absent[0]}: no such file, and the schedule would fail every night")
    try:
        options = shlex.split(more)
    except ValueError as error:
        raise UsageError(f"--with {more!r}: {error}") from None
    files = [str(Path(config).absolute()) if absolute else config for config in named]
    try:
        nightly.make_context("nightly", [*options, "--", *files])
    except click.ClickException as error:
        raise UsageError(f"--with {more!r}: {error.format_message()}") from None
    return [
        *(program() if absolute else ["gpuprof"]),
        "nightly",
        "--store",
        str(store.absolute()),
        *options,
        "--",
        *files,
    ]
