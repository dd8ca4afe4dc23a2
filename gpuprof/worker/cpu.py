"""How much of the processor the worker got in a window: its own time, its waits, and what a hypervisor took away."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from gpuprof.record.repeat import Cpu


class CpuUse:
    """A context: `result` has the CPU seconds of this process and its threads' waits for a core; None until it ends."""

    result: Cpu | None = None

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __enter__(self) -> CpuUse:
        self._stolen, self._waited = _stolen_ticks(), _run_delay_s()
        self._used, self._started = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        wall, used, waited = time.perf_counter() - self._started, time.process_time() - self._used, _run_delay_s()
        (stolen, ticks), (stolen_before, ticks_before) = _stolen_ticks(), self._stolen
        capacity = wall * self._threads
        delay = None if waited is None or self._waited is None else max(0.0, waited - self._waited)
        # torch has more threads than those that do the work, and they wait as well: so never more than the share of the
        # time in which any could run.
        waiting = None if delay is None else delay / max(capacity, used + delay)
        share = (stolen - stolen_before) / (ticks - ticks_before) if ticks > ticks_before else None
        reasons = {
            "waiting": None if waiting is not None else "this kernel does not record scheduling delays",
            "stolen": None if share is not None else "/proc/stat did not change",
        }
        self.result = Cpu(
            seconds=used,
            wall_s=wall,
            threads=self._threads,
            utilisation=used / capacity,
            waiting=waiting,
            stolen=share,
            absent={name: reason for name, reason in reasons.items() if reason is not None},
        )


def _run_delay_s() -> float | None:
    """Seconds that the threads of this process were runnable but had no core (second field of schedstat)."""
    waits = []
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208
        # A thread may end between the two looks; a kernel without the file leaves the list empty.
        with suppress(OSError, IndexError, ValueError):
            waits.append(int(Path(f"/proc/self/task/{task}/schedstat").read_text("ascii").split()[1]))
    return sum(waits) / 1e9 if waits else None


def _stolen_ticks() -> tuple[int, int]:
    """(stolen, all) ticks of all CPUs together since boot; zeros where /proc/stat cannot be read."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return (ticks[7], sum(ticks)) if len(ticks) == 8 else (0, 0)
