"""What is to be started, and when; what no form can hold is refused."""

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
