"""The errors a user may meet. Each carries the exit code of the command and says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EXIT_OK = 0
EXIT_RUN_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_DEVICE = 3  # not available, or unable to run any of the cases
EXIT_UNFAIR = 4
EXIT_REGRESSION = 5
EXIT_LOCKED = 75  # EX_TEMPFAIL of sysexits.h: try again later
EXIT_INTERRUPTED = 130


class GpuprofError(Exception):
    """A fault that was foreseen; the command shows its message as it is, without a traceback."""

    exit_code = EXIT_RUN_FAILED


@dataclass(frozen=True)
class Problem:
    """One fault in a configuration."""

    where: str  # `file:line:column`, or the option that brought the value
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class ConfigError(GpuprofError):
    """A configuration that cannot be used; holds every problem found, not only the first."""

    exit_code = EXIT_USAGE

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class UsageError(GpuprofError):
    """A request that cannot be carried out as it was typed."""

    exit_code = EXIT_USAGE


class StoreError(GpuprofError):
    """The store cannot be read or written."""

    exit_code = EXIT_USAGE


class PublishError(GpuprofError):
    """The run was measured, but its record could not be put into the store; `record` (a RunRecord) holds it."""

    exit_code = EXIT_RUN_FAILED

    def __init__(self, message: str, record: Any) -> None:
        super().__init__(message)
        self.record = record


class LockedError(GpuprofError):
    """Another process is doing the same work."""

    exit_code = EXIT_LOCKED


class DeviceError(GpuprofError):
    """The device asked for is not available."""

    exit_code = EXIT_NO_DEVICE
