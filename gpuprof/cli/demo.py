"""gpuprof demo"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import console, say
from gpuprof.errors import EXIT_OK, GpuprofError

_PAGE = "gpuprof-demo.html"


@click.command(name="demo", short_help="See a sample comparison; no GPU needed.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=_PAGE, show_default=True,
              help="Write the page to this file: .html, .pdf or .md.")  # fmt: skip
@click.option("--live", is_flag=True, help="Measure a small network on this machine instead; needs torch.")
@click.pass_context
def command(ctx: click.Context, output: Path, live: bool) -> int:
    """Compare the sample runs that come with gpuprof, in the terminal and as a page.

    They were measured on simulated devices, and say so: the numbers show what gpuprof tells, and nothing about an H100
    or an MI300X. Neither torch nor a GPU is needed.

    \b
    Examples:
      gpuprof demo
      gpuprof demo -o demo.pdf
      gpuprof demo --live
    """
    out = console(stderr=True)
    if live:
        return _live()
    from gpuprof.cli import compare

    chosen = {"baseline": "vendor=nvidia", "candidate": "vendor=amd", "store": _samples(), "vary": (), "fail_on": ()}
    say(out, "Two simulated devices, four cases, three or five processes each; see `gpuprof compare --help`.\n", "dim")
    code: int = ctx.invoke(compare.command, **chosen)
    ctx.invoke(compare.command, **chosen, output=output)
    say(out, f"Open {output} in a browser. Next: `gpuprof demo --live`, or `gpuprof run lstm`.")
    return code


def _samples() -> Path:
    """Where the sample runs are: in an installed package, or in a checkout. Raises GpuprofError where they are not."""
    package = Path(__file__).parents[1]
    for place in (package / "samples", package.parent / "tests/data/samples/simulated"):
        if place.is_dir():
            return place
    raise GpuprofError("the sample runs are missing from this installation of gpuprof")


def _live() -> int:
    import subprocess

    from gpuprof.system.python import own

    return subprocess.run([*own("gpuprof.cli"), "run", "lstm", "--quick"], check=False).returncode or EXIT_OK
