"""`gpuprof run --check`: what runs here, what is wrong, what is unsupported, without timing anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpuprof.cli.common import console, print_json, say
from gpuprof.errors import EXIT_INTERRUPTED, EXIT_NO_DEVICE, EXIT_OK, EXIT_RUN_FAILED

if TYPE_CHECKING:
    from gpuprof.supervisor.jobs import Job
    from gpuprof.supervisor.machine import Inspector


def check(jobs: Sequence[Job], inspector: Inspector, *, as_json: bool) -> int:
    """Check all cases and print what was found; the exit code. After Ctrl-C it prints what there is."""
    from gpuprof.report.views.checks import reasons, summary, table
    from gpuprof.supervisor import checks

    found: list[dict[str, Any]] = []
    planned = sum(len(job.configuration.cases) for job in jobs)
    started, interrupted = time.monotonic(), False
    try:
        for each in checks.check(jobs, inspector):
            found.append(each.as_json())
            left_s = (time.monotonic() - started) / len(found) * (planned - len(found))
            left = f"   ({left_s:.0f} s left)" if len(found) < planned else ""
            say(console(stderr=True), f"[{len(found)}/{planned}] {each.case.case_id}: {each.state}{left}", "dim")
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        print_json({"planned": planned, "cases": found})
    elif found:
        out = console()
        out.print(table(found))
        for reason in reasons(found):
            out.print(reason, soft_wrap=not out.is_terminal)
        say(out, summary(found))
    if interrupted:
        return EXIT_INTERRUPTED
    states = {each["state"] for each in found}
    if states & {"wrong", "failed"}:
        return EXIT_RUN_FAILED
    return EXIT_NO_DEVICE if states == {"unsupported"} else EXIT_OK
