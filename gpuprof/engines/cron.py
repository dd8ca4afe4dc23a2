"""A line for crontab."""

from __future__ import annotations

import shlex

from gpuprof.engines.schedule import NAME, Schedule
from gpuprof.errors import UsageError

_CRON_BYTES = 998  # Debian's crontab(5) refuses a longer command; older implementations cut it short


def cron(schedule: Schedule) -> dict[str, str]:
    """A line for crontab, by file name; cron mails what it prints. Raises UsageError for what cron cannot hold."""
    for word in schedule.command:
        if "\\" in word:
            raise UsageError(f"{word!r}: cron implementations disagree on backslashes; use systemd, or another path")
    line = shlex.join(schedule.command).replace("%", "\\%")  # a bare one ends the line
    length = len(line.encode())
    if length > _CRON_BYTES:
        raise UsageError(
            f"the command has {length} bytes, and cron takes at most {_CRON_BYTES}: put it into a script and run that "
            "with --command, or use systemd"
        )
    return {f"{NAME}.cron": f"{schedule.minute} {schedule.hour} * * * {line}\n"}
