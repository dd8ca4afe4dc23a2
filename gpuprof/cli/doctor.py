"""gpuprof doctor"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gpuprof.cli.common import console, json_option, print_json
from gpuprof.errors import EXIT_OK, EXIT_RUN_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from gpuprof.doctor import Finding

_MARKS = {
    "ok": ("✓", "green"),
    "note": ("·", "cyan"),
    "warning": ("!", "yellow"),
    "problem": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}


@click.command(name="doctor", short_help="Find what would spoil a measurement, and how to fix it.")
@click.option("--quick", is_flag=True, help="Skip torch: takes about a second, for container health checks.")
@json_option
def command(quick: bool, as_json: bool) -> int:
    """Check torch, drivers, vendor libraries, permissions, environment variables and the state of the GPUs.

    Changes nothing. With --json, `devices` counts the GPUs that torch sees, or with --quick those that the vendor
    libraries list.

    \b
    Examples:
      gpuprof doctor
      gpuprof doctor --quick          # in a HEALTHCHECK
      gpuprof doctor --json

    \b
    Exit codes:
      0  no problems (notes and warnings do not count)
      1  at least one problem
      2  bad usage
    """
    from gpuprof import doctor
    from gpuprof.absent import Absent

    facts = doctor.gather(quick)
    findings = doctor.examine(facts)
    statuses = [finding.status for finding in findings]
    verdict = doctor.verdict(facts, findings)
    if as_json:
        devices = len(facts.gpus if isinstance(facts.torch, Absent) else facts.torch.gpus)
        summary = {status: statuses.count(status) for status in doctor.STATUSES} | {"verdict": verdict}
        rows = [{"check": finding.check, **finding._asdict()} for finding in findings]
        print_json({"findings": rows, "summary": summary, "devices": devices})
    else:
        out = console()
        for finding in findings:
            _print(out, finding)
        _line(out, verdict, "bold red" if "problem" in statuses else "bold green")
    return EXIT_RUN_FAILED if "problem" in statuses else EXIT_OK


def _print(out: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.status]
    _line(out, finding.title, style if finding.status in ("problem", "skipped") else "", mark, style)
    loud = finding.status in ("warning", "problem")
    if finding.explanation:
        _line(out, finding.explanation, "" if loud else "dim", " ")
    if finding.fix and loud:
        first, *following = finding.fix.splitlines()
        _line(out, f"fix: {first}", "cyan", " ")
        for line in following:
            _line(out, f"     {line}", "cyan", " ")


def _line(out: Console, text: str, style: str = "", mark: str = "", mark_style: str = "") -> None:
    """A line with its mark in front: wrapped with a hanging indent in a terminal, elsewhere one line."""
    from rich.table import Table
    from rich.text import Text

    from gpuprof.text import unbroken

    body = Text(unbroken(text), style)
    if mark and out.is_terminal:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Text(mark, mark_style), body)
        out.print(grid)
    else:
        out.print(Text.assemble((f"{mark} " if mark else "", mark_style), body), soft_wrap=not out.is_terminal)
