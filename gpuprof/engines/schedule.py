"""Schedules as text: a systemd service with its timer, a cron line, a GitHub Actions workflow. Pure.

Each form has its own way to misread a path or an argument; what a form cannot hold is refused, never mangled.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuprof.errors import UsageError

NAME = "gpuprof-nightly"
# By commit, which nobody can move; the tag is for the reader.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"
_STOP_S = 120  # for `gpuprof nightly` to end what it measures, and to keep it
_CRON_BYTES = 998  # Debian's crontab(5) refuses a longer command, its ancestors cut it short


@dataclass(frozen=True)
class Schedule:
    """`command` is a program by its absolute path and its arguments, `at` HH:MM, `reports` where it writes."""

    command: Sequence[str]
    at: str = "02:17"
    reports: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", self.at):
            raise UsageError(f"--at {self.at!r} is no time of day; write HH:MM, such as 02:17")
        for word in (*self.command, self.reports):
            if any(map(_unheld, word)):
                raise UsageError(f"{word!r}: a control character, which a schedule cannot hold")

    @property
    def hour(self) -> int:
        return int(self.at[:2])

    @property
    def minute(self) -> int:
        return int(self.at[3:])


def _unheld(c: str) -> bool:
    """Control characters, line ends, lone surrogates, and what Unicode calls noncharacters."""
    code = ord(c)
    return unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def systemd(plan: Schedule) -> dict[str, str]:
    """Units by file name. No shell reads the command: systemd splits it, and is told to substitute no variables."""
    if set(plan.command[0]) & set("\"'\\"):
        raise UsageError(f"{plan.command[0]!r}: systemd takes no quotes or backslashes in the name of a program")
    service = f"""\
# systemctl --user daemon-reload && systemctl --user enable --now {NAME}.timer
# loginctl enable-linger: without it, a user's timers stop when the last session ends.
# Exit code 5 (something became slower) counts as failed: `systemctl --user status {NAME}` shows the line.
[Unit]
Description=gpuprof: nightly comparison

[Service]
Type=oneshot
ExecStart=:{" ".join(map(_unit_word, plan.command))}
# gpuprof nightly limits each configuration. It alone is told to stop: it ends the run, which keeps what is done.
TimeoutStartSec=infinity
KillMode=mixed
TimeoutStopSec={_STOP_S}
"""
    timer = f"""\
[Unit]
Description=gpuprof: nightly comparison

[Timer]
OnCalendar=*-*-* {plan.at}:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{NAME}.service": service, f"{NAME}.timer": timer}


def _unit_word(word: str) -> str:
    """systemd.syntax(7): in double quotes, with C escapes, and per cent doubled, which begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


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


def github(plan: Schedule) -> dict[str, str]:
    """A workflow for self-hosted runners labelled cuda and rocm."""
    run = _expression_free(shlex.join(plan.command))
    upload = f"""
      - uses: {_UPLOAD}
        if: always()
        with:
          name: {NAME}-${{{{ matrix.gpu }}}}
          path: {_scalar(_expression_free(plan.reports))}
          if-no-files-found: warn
"""
    return {
        f"{NAME}.yml": f"""\
# Put this into .github/workflows/. The time is UTC. Exit code 5 of the command (something became slower) fails the job.
name: {NAME}
"on":
  schedule:
    - cron: "{plan.minute} {plan.hour} * * *"
  workflow_dispatch: {{}}
permissions:
  contents: read
concurrency:
  group: {NAME}
jobs:
  nightly:
    strategy:
      fail-fast: false
      matrix:
        gpu: [cuda, rocm]
    runs-on: [self-hosted, "${{{{ matrix.gpu }}}}"]
    timeout-minutes: {23 * 60}  # GitHub's 6 hours would end a long night; gpuprof nightly limits each configuration
    steps:
      - uses: {_CHECKOUT}
        with:
          persist-credentials: false
      - run: {_scalar(run)}{upload.rstrip() if plan.reports else ""}
"""
    }


def _scalar(text: str) -> str:
    """A JSON string is a YAML string, on one line, but for JSON's escapes of what lies beyond U+FFFF."""
    return json.dumps(text, ensure_ascii=False)


def _expression_free(text: str) -> str:
    """GitHub replaces ${{ ... }} before any shell reads it: the opening is written as an expression for itself."""
    return text.replace("${{", "${{ '${{' }}")


FORMS: dict[str, Callable[[Schedule], dict[str, str]]] = {"systemd": systemd, "cron": cron, "github": github}
