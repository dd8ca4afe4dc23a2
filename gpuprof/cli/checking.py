"""`gpuprof run --check`: what runs here, what is wrong, what is unsupported, without timing anything."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuprof.cli.common import console, print_json, say
from gpuprof.errors import EXIT_INTERRUPTED, EXIT_NO_DEVICE, EXIT_OK, EXIT_RUN_FAILED

if TYPE_CHECKING:
    from gpuprof.supervisor.jobs import Job
    from gpuprof.supervisor.machine import Inspector
    from gpuprof.workloads.case import CaseSpec


def check(jobs: Sequence[Job], inspector: Inspector, *, as_json: bool) -> int:
    """Check all cases and print what was found; the exit code. After Ctrl-C it prints what there is."""
    from gpuprof.report.views.checks import heading, reasons, summary, table
    from gpuprof.supervisor import checks

    found: list[dict[str, Any]] = []
    cases = [case for job in jobs for case in job.configuration.cases]
    took: dict[str, list[float]] = {}
    interrupted = False
    try:
        for each in checks.check(jobs, inspector):
            found.append(each.as_json())
            took.setdefault(each.case.workload, []).append(each.seconds)
            left = _left(took, cases[len(found) :])
            say(console(stderr=True), f"[{len(found)}/{len(cases)}] {each.case.case_id}: {each.state}{left}", "dim")
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        print_json({"planned": len(cases), "interrupted": interrupted, "cases": found})
    elif found:
        out = console()
        for line in heading(found):
            out.print(line, soft_wrap=not out.is_terminal)
        out.print(table(found))
        for reason in reasons(found):
            out.print(reason, soft_wrap=not out.is_terminal)
        say(out, summary(found, planned=len(cases), interrupted=interrupted))
    if interrupted:
        return EXIT_INTERRUPTED
    if inspector.stuck:
        say(console(stderr=True), f"the others were not checked: {inspector.stuck}", "red")
        return EXIT_RUN_FAILED
    states = {each["state"] for each in found}
    if states & {"wrong", "failed"}:
        return EXIT_RUN_FAILED
    return EXIT_NO_DEVICE if states == {"unsupported"} else EXIT_OK


def _left(took: Mapping[str, Sequence[float]], coming: Sequence[CaseSpec]) -> str:
    """The time left in brackets, once a case of each workload to come was checked: they differ by a factor of 50."""
    if not coming or any(case.workload not in took for case in coming):
        return ""
    # The first of a process pays for its start.
    each_s = {name: statistics.fmean(seconds[1:] or seconds) for name, seconds in took.items()}
    return f"   ({sum(each_s[case.workload] for case in coming):.0f} s left)"
