"""Signals while something must be finished first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM, and a terminal that goes away, end a run as Ctrl-C does: what is done is kept."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(f"interrupted by {signal.Signals(number).name}")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, *_hangup())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hangup() -> list[signal.Signals]:
    """None under nohup, which is there to ignore it."""
    return [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]


@contextmanager
def undisturbed(*, afterwards: bool = False) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP must not cut short what keeps a result. `afterwards` they take effect, or never."""
    missed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        missed.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, *_hangup())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if missed and afterwards:
        signal.raise_signal(missed[0])
