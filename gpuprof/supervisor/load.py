"""A load on a device that starts on request, for calibrating its sensors."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuprof.errors import DeviceError, UsageError
from gpuprof.messages import Go, Load, Ready
from gpuprof.supervisor.worker_process import WorkerFailed, WorkerProcess
from gpuprof.system.procfs import physical_cores


@dataclass
class Loaded:
    """A load that was started. `start_ns` and the marks are of CLOCK_MONOTONIC."""

    runs: Callable[[], bool]
    start_ns: int
    marks: dict[str, Any] = field(default_factory=dict)  # of `worker.load.load`; empty of a program, and until it ends


Begin = Callable[[], Loaded]


@contextmanager
def program(arguments: Sequence[str]) -> Iterator[Begin]:
    """Gives what starts this program, which must keep the device busy; the program is killed at the end.

    Starting it raises UsageError where that is impossible.
    """
    running: list[subprocess.Popen[bytes]] = []

    def load() -> Loaded:
        try:
            process = subprocess.Popen(arguments, stdout=2)  # our stdout is for the result
        except OSError as error:
            raise UsageError(f"{arguments[0]}: {error.strerror}; give a program and its arguments after --") from None
        running.append(process)
        return Loaded(lambda: process.poll() is None, time.monotonic_ns())

    try:
        yield load
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def products(index: int | None, seconds: float, phases_s: Sequence[float] = ()) -> Iterator[Begin]:
    """Gives what starts `seconds` of matrix products on torch's device `index` (None: the CPU), and then their pulses.

    The worker has its context on the device already and only waits to be started, so that the load begins at once.
    Raises DeviceError at the end where it could not be run.
    """
    ready, go, began = threading.Event(), threading.Event(), threading.Event()

    def at_pause(_: Ready) -> Go:
        ready.set()
        go.wait()
        began.set()
        return Go()

    with tempfile.TemporaryDirectory(prefix="gpuprof-cache-") as cache:
        worker = WorkerProcess(physical_cores(), Path(cache))
        request = Load(device=index, seconds=seconds, phases_s=tuple(phases_s))
        failed: list[WorkerFailed] = []
        marks: dict[str, Any] = {}

        def ask() -> None:
            try:
                marks.update(worker.ask(request, 600.0, at_pause))
            except WorkerFailed as error:
                failed.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while thread.is_alive() and not ready.wait(0.1):
            continue

        def load() -> Loaded:
            go.set()
            while thread.is_alive() and not began.wait(0.1):
                continue
            return Loaded(thread.is_alive, time.monotonic_ns(), marks)

        try:
            yield load
            if failed:
                raise DeviceError(f"the load could not run: {failed[0].reason}")
        finally:
            go.set()
            worker.kill()
