"""Signals that end a command: as an exception, or held back until a result is safe."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM, and SIGHUP from a terminal that goes away, raise KeyboardInterrupt as Ctrl-C does.

    So one handler keeps what is done, whichever signal ends a run.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(f"interrupted by {signal.Signals(number).name}")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, *_hangup())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hangup() -> list[signal.Signals]:
    """SIGHUP, but not under nohup, which ignores it on purpose."""
    return [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]


@contextmanager
def undisturbed(*, afterwards: bool = False) -> Iterator[Callable[[], None]]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP until a result is safe.

    With `afterwards` the first one is raised at the end; without it, or if the body raises, they are dropped.
    The body may call what it is given once the result is safe, before it cleans up: where the clean-up hangs, a signal
    more than the one that is held back (without `afterwards`: any) then raises KeyboardInterrupt at once.
    """
    missed: list[int] = []
    is_safe = False

    def safe() -> None:
        nonlocal is_safe
        is_safe = True

    def note(number: int, frame: FrameType | None) -> None:
        if is_safe and len(missed) >= afterwards:
            raise KeyboardInterrupt(f"interrupted by {signal.Signals(number).name}")
        missed.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, *_hangup())}
    try:
        yield safe
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if missed and afterwards:
        signal.raise_signal(missed[0])
