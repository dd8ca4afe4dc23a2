"""Virtual time for telemetry: a clock that only tests move, and the sampling thread in step with it.

    world = World()
    sampler = Sampler(devices, hz=10, clock=world.now)
    with world.driving(sampler):
        world.wait(5.0)     # the thread has taken its 50 samples when this returns

Five seconds of measuring then take milliseconds, and always the same course.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

S = 1_000_000_000  # ns
HANGS_S = 20.0


class World:
    """`follow` are told each new time, for instance simulators.set_time_ns of a loaded library."""

    def __init__(self, start_ns: int = 100 * S, follow: Sequence[Callable[[int], None]] = ()) -> None:
        self._now_ns = start_ns
        self._follow = follow
        self._turn = threading.Condition()
        self._jobs: deque[Any] = deque()
        self._asleep_until: int | None = None
        self._naps = 0
        self._sampler: Any = None
        self._set(start_ns)

    def now(self) -> int:
        return self._now_ns

    def _set(self, ns: int) -> None:
        self._now_ns = ns
        for tell in self._follow:
            tell(ns)

    def wait(self, seconds: float) -> None:
        """In the sampling thread, or without one, time just passes; elsewhere the thread wakes whenever it is due."""
        target = self._now_ns + round(seconds * 1e9)
        thread = self._sampler and self._sampler._thread
        if thread is None or threading.current_thread() is thread:
            self._set(target)
            return
        with self._turn:
            while True:
                self._until(lambda: self._asleep_until is not None)
                if self._asleep_until > target:
                    break
                naps = self._naps
                self._set(max(self._asleep_until, self._now_ns))
                self._turn.notify_all()
                self._until(lambda before=naps: self._naps > before)
            self._set(max(target, self._now_ns))

    def wait_until(self, ns: int) -> None:
        assert ns >= self._now_ns, f"{(self._now_ns - ns) / 1e9:.3f} s late"
        self.wait((ns - self._now_ns) / 1e9)

    def settle(self) -> None:
        """Until the thread has nothing left to do at this time."""
        self.wait(0.0)

    def _until(self, condition: Callable[[], bool]) -> None:
        assert self._turn.wait_for(condition, HANGS_S), "the sampling thread hangs or is dead"

    @contextmanager
    def driving(self, sampler: Any, station: Any = None) -> Iterator[Any]:
        """Enter the sampler (or the station that owns it) with this world's queue in place of the real one."""
        sampler._jobs, self._sampler = self, sampler
        with station or sampler as entered:
            yield entered
        self._sampler = None

    # The two methods of queue.SimpleQueue that the sampling thread waits with.

    def put(self, job: Any) -> None:
        with self._turn:
            self._jobs.append(job)
            self._turn.notify_all()

    def get(self, block: bool, timeout: float) -> Any:
        with self._turn:
            self._asleep_until = self._now_ns + round(timeout * 1e9)
            self._naps += 1
            self._turn.notify_all()
            # A time that has come is over at once, as for the real queue; else somebody has to move the clock.
            while not self._jobs and (self._now_ns < self._asleep_until):
                self._turn.wait()
            self._asleep_until = None
            if self._jobs:
                return self._jobs.popleft()
            raise queue.Empty
