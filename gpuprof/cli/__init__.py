"""The command line. Help comes at once: before it is printed nothing is imported, not even click."""

import os
import sys


def main() -> None:
    """Entry point of `gpuprof` and `python -m gpuprof`."""
    from gpuprof.cli.help import HELP

    if sys.argv[1:2] == ["help"]:  # `gpuprof help run` is `gpuprof run --help`
        sys.argv[1:] = [*sys.argv[2:], "--help"]
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and "_GPUPROF_COMPLETE" not in os.environ:
        try:
            print(HELP, flush=True)
        except BrokenPipeError:  # the reader has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return
    import gc

    # Classes and records live as long as the command. Looking for garbage among them every 700 objects, and once more
    # at the end, which frees everything anyway, took a seventh of a short command's time.
    gc.set_threshold(100_000)
    from gpuprof.cli.app import run

    code = run()
    gc.freeze()
    sys.exit(code)
