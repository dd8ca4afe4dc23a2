"""Names that say who and where, replaced by pseudonyms, for what is sent to somebody else.

One host is one pseudonym throughout a document, and in every document of the same runs: numbers follow the order in
which names first appear, and no hash of a name is given, which could be tried out. Numbers, models, versions and
verdicts stay as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_HOMES = re.compile(r"(?:/home|/Users|/usr/home|/data/home)/[^/\s\"']+|/root(?=/|\b)")
_SHORTEST = 3  # a shorter name would be cut out of words


class Redaction:
    """What to replace. `hosts`, `cards` and `jobs` are names, oldest first; `places` are directories."""

    def __init__(
        self, *, hosts: Iterable[str] = (), cards: Iterable[str] = (), jobs: Iterable[str] = (),
        places: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._words: dict[str, str] = {}
        # The directories first: a host's or user's name may be a part of them.
        for kind, names in (("store", places), ("host", hosts), ("card", cards), ("job", jobs), ("user", _users())):
            known = [name for name in dict.fromkeys(names) if len(name) >= _SHORTEST and name not in self._words]
            self._words |= {name: f"{kind}-{number}" for number, name in enumerate(known, 1)}
        longest_first = sorted(self._words, key=len, reverse=True)
        self._known = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first) or r"(?!)")

    def text(self, text: str) -> str:
        """The text with every known name replaced, and every home directory by ~."""
        return _HOMES.sub("~", self._known.sub(lambda match: self._words[match[0]], text))

    def of(self, value: _T) -> _T:
        """Plain data, dataclasses among it, with every text redacted, keys included."""
        done: Any = value
        if isinstance(value, str):
            done = self.text(value)
        elif isinstance(value, dict):
            done = {self.of(key): self.of(inner) for key, inner in value.items()}
        elif isinstance(value, tuple) and not hasattr(value, "_fields"):
            done = tuple(self.of(inner) for inner in value)
        elif isinstance(value, list):
            done = [self.of(inner) for inner in value]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            changes = {f.name: self.of(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            done = dataclasses.replace(value, **changes)
        return done


def _users() -> list[str]:
    """The names by which this user may stand in a path."""
    names = [Path.home().name] if _has_home() else []
    with contextlib.suppress(KeyError, OSError, ImportError):  # no entry in the passwd file
        names.append(getpass.getuser())
    return [name for name in names if name not in ("root", "")]


def _has_home() -> bool:
    try:
        return bool(Path.home().name)
    except RuntimeError:
        return False


def without_comments(text: str) -> str:
    """A configuration's text without what stands behind #, which may name anything."""
    lines = (re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line) + "\n" * bool(text)
