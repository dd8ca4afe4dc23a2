"""A line for crontab."""

from __future__ import annotations

import shlex

from gpuprof.engines.schedule import NAME, Schedule
from gpuprof.errors import UsageError

_CRON_BYTES = 998  # Debian's crontab(5) refuses a longer command, its ancestors cut it short


def cron(plan: Schedule) -> dict[str, str]:
    """For `crontab`: its mail is the command's one line, and what went wrong."""
    for word in plan.command:
        if "\\" in word:
            raise UsageError(f"{word!r}: implementations of cron disagree on backslashes; use systemd, or another path")
    line = shlex.join(plan.command).replace("%", "\\%")  # a bare one ends the line
    length = len(line.encode())
    if length > _CRON_BYTES:
        raise UsageError(
            f"the command has {length} bytes, and cron takes {_CRON_BYTES}: put it into a script and name that with "
            "--command, or use systemd"
        )
    return {f"{NAME}.cron": f"{plan.minute} {plan.hour} * * * {line}\n"}
