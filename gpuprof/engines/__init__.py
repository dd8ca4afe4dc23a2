"""Text that makes something start gpuprof: a systemd service and timer, a cron line, a GitHub Actions workflow. Pure.

Each form has its own way to misread a path or an argument; a word that a form cannot hold is refused, never mangled.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuprof.engines.cron import cron
from gpuprof.engines.github import github
from gpuprof.engines.schedule import Schedule
from gpuprof.engines.systemd import systemd

FORMS: dict[str, Callable[[Schedule], dict[str, str]]] = {"systemd": systemd, "cron": cron, "github": github}
