"""A command and the time to start it; what no form can hold is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from gpuprof.errors import UsageError

NAME = "gpuprof-nightly"
STOP_S = 120  # for `gpuprof nightly` to end what it measures, and to keep it


@dataclass(frozen=True)
class Schedule:
    """A command to start every night: a program by its absolute path with its arguments, `at` HH:MM.

    `reports` is the directory in which the command leaves files, empty where that is unknown. Raises UsageError.
    """

    command: Sequence[str]
    at: str = "02:17"
    reports: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", self.at):
            raise UsageError(f"--at {self.at!r} is not a time of day; write HH:MM, such as 02:17")
        for word in (*self.command, self.reports):
            if any(map(_unheld, word)):
                raise UsageError(f"{word!r}: a schedule cannot contain a control character")

    @property
    def hour(self) -> int:
        """0 to 23."""
        return int(self.at[:2])

    @property
    def minute(self) -> int:
        """0 to 59."""
        return int(self.at[3:])


def _unheld(character: str) -> bool:
    """Whether it is a control character, a line end, a lone surrogate or one of Unicode's noncharacters."""
    code = ord(character)
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
    )
