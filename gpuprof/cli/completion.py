"""gpuprof completion"""

from __future__ import annotations

import click

from gpuprof.errors import EXIT_OK

_HOW = {
    "bash": '# eval "$(gpuprof completion bash)"   in ~/.bashrc',
    "zsh": '# eval "$(gpuprof completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "# gpuprof completion fish | source   in ~/.config/fish/config.fish",
}


@click.command(name="completion", short_help="Let your shell complete commands, runs and selectors.")
@click.argument("shell", type=click.Choice(list(_HOW)))
def command(shell: str) -> int:
    """Print what makes SHELL complete gpuprof's commands, options, runs, selectors and configurations.

    \b
    Examples:
      eval "$(gpuprof completion bash)"
      gpuprof completion fish > ~/.config/fish/completions/gpuprof.fish
    """
    from click.shell_completion import get_completion_class

    from gpuprof.cli.app import group

    kind = get_completion_class(shell)
    assert kind is not None, "click knows all of _HOW"
    click.echo(_HOW[shell])
    # Not `source()`, which asks for the version of bash that runs.
    script = kind(group, {}, "gpuprof", "_GPUPROF_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return EXIT_OK
