"""gpuprof schema"""

from __future__ import annotations

import click

from gpuprof.cli.common import print_json
from gpuprof.errors import EXIT_OK


@click.command(name="schema", short_help="Print the JSON Schema of record.json.")
def command() -> int:
    """Print the JSON Schema (2020-12) that every record.json of this version validates against.

    \b
    Example:
      gpuprof schema > record.schema.json
    """
    from gpuprof.record.run import json_schema

    print_json(json_schema())
    return EXIT_OK
