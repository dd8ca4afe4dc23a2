"""A service and its timer for systemd."""

from __future__ import annotations

from gpuprof.engines.schedule import NAME, STOP_S, Schedule
from gpuprof.errors import UsageError


def systemd(schedule: Schedule) -> dict[str, str]:
    """Service and timer by file name. Raises UsageError for what systemd cannot hold.

    No shell reads the command: systemd splits it, and the `:` keeps it from substituting variables.
    """
    if set(schedule.command[0]) & set("\"'\\"):
        raise UsageError(f"{schedule.command[0]!r}: systemd does not allow quotes or backslashes in a program's path")
    service = f"""\
# systemctl --user daemon-reload && systemctl --user enable --now {NAME}.timer
# loginctl enable-linger: without it, a user's timers stop when the last session ends.
# Exit code 5 (something got slower) counts as failed: `systemctl --user status {NAME}` shows the line.
[Unit]
Description=gpuprof: nightly comparison

[Service]
Type=oneshot
ExecStart=:{" ".join(map(_unit_word, schedule.command))}
# gpuprof nightly has a time limit per configuration. It alone gets SIGTERM: it ends the run and keeps what is done.
TimeoutStartSec=infinity
KillMode=mixed
TimeoutStopSec={STOP_S}
"""
    timer = f"""\
[Unit]
Description=gpuprof: nightly comparison

[Timer]
OnCalendar=*-*-* {schedule.at}:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{NAME}.service": service, f"{NAME}.timer": timer}


def _unit_word(word: str) -> str:
    """By systemd.syntax(7): in double quotes, with C escapes; % is doubled, since it begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
