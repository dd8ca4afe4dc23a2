"""A front end that is told what goes on in a run, and whose faults do not end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from gpuprof.record.repeat import Repeat


class Watcher(Protocol):
    """A front end that is told what goes on in a run. Repeats count from 0."""

    def run_started(self, run_id: str, device: str, cases: list[str], repeats: int) -> None:
        """First of all: the device by name, the planned cases by id, and how often each is repeated."""

    def checking(self, case_id: str) -> None:
        """The checks of a case begin."""

    def checked(self, case_id: str, findings: dict[str, Any]) -> None:
        """They are over; `findings` are fields of `record.case.Case`, or `failed` with the reason."""

    def case_added(self, case_id: str, reason: str, repeats: int) -> None:
        """A case joins that was not planned: the fallback of one that fails its checks."""

    def measuring(self, case_id: str, repeat: int) -> None:
        """A repeat begins."""

    def phase(self, case_id: str, repeat: int, name: str) -> None:
        """A phase of the repeat begins: its warm-up, a window, or "end" after the last."""

    def measured(self, case_id: str, repeat: Repeat) -> None:
        """It is over, well or not."""


def heard(watcher: Watcher) -> Watcher:
    """The watcher, which is told nothing more once it fails: a full disk or a closed pipe may take the progress away,
    and never the measuring.
    """
    return cast("Watcher", _Heard(watcher))


class _Heard:
    def __init__(self, watcher: Watcher) -> None:
        self._watcher: Watcher | None = watcher

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*arguments: Any) -> None:
            if self._watcher is None:
                return
            try:
                getattr(self._watcher, name)(*arguments)
            except Exception:  # noqa: BLE001 - whatever a terminal, a disk or a reader did
                self._watcher = None

        return tell
