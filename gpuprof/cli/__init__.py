"""The command line. Help and version come at once: before they are printed nothing is imported, not even click."""

import sys


def main() -> None:
    """Entry point of `gpuprof` and `python -m gpuprof`."""
    from gpuprof.cli.help import HELP

    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        print(HELP)
        return
    from gpuprof.cli.app import run

    sys.exit(run())
