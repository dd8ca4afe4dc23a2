"""The click application. A command's module is imported only when the command runs."""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from typing import Any

import click

from gpuprof import __version__
from gpuprof.cli.help import COMMANDS, HELP
from gpuprof.errors import EXIT_INTERRUPTED, EXIT_RUN_FAILED, GpuprofError
from gpuprof.system import encoding


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gpuprof.cli.{cmd_name.replace('-', '_')}").command
        return command

    def get_help(self, ctx: click.Context) -> str:
        return HELP

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Commands: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gpuprof", message="%(prog)s %(version)s")
def group() -> None:
    """See `gpuprof.cli.help.HELP`."""


def run() -> int:
    """Run the command in sys.argv and return its exit code. A foreseen error is one message, never a traceback."""
    for name in ("stdout", "stderr"):  # None where the shell closed it (`>&-`)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    encoding.plainly()
    as_json = "--json" in sys.argv[1:]
    try:
        code = group.main(prog_name="gpuprof", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = error.exit_code
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code, as_json, usage=getattr(error, "ctx", None))
    except click.Abort:
        code = _fail("interrupted", EXIT_INTERRUPTED, as_json)
    except GpuprofError as error:
        code = _fail(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        code = _fail("interrupted", EXIT_INTERRUPTED, as_json)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _fail(f"cannot write the output ({error.strerror})", EXIT_RUN_FAILED, as_json=False)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int, as_json: bool, usage: click.Context | None = None) -> int:
    if as_json:
        click.echo(json.dumps({"error": {"message": message, "exit_code": code}}))
    else:
        from gpuprof.text import printable

        # click lists the choices of an option a line each.
        for line in printable(message).replace(",\n\t", ", ").replace("\n\t", " ").splitlines():
            click.echo(f"gpuprof: {line}", err=True)
        if usage is not None:
            click.echo(f"Try '{usage.command_path} --help'.", err=True)
    return code
