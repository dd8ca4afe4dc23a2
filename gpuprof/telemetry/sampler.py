"""One thread that talks to all devices: it samples on an absolute schedule and runs other calls in between.

One thread, because AMD SMI's counters have been seen to run backwards when several threads read them.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gpuprof.telemetry import quantities
from gpuprof.telemetry.device import LASTING, Device, Lost, NoReading, Probe, Stuck
from gpuprof.telemetry.patience import PATIENCE_S

DEFAULT_HZ = 10.0
KEPT_S = 3600.0
_LOST_AFTER = 3
_BATCH = 64
_Result = TypeVar("_Result")


class Feed:
    """One device and a ring of its samples, in which NaN marks a missing value.

    A sample has two halves. `take` makes the calls, in the sampling thread and as briefly as it can: a measurement runs
    beside it. Their raw answers wait in `_fetched` and are decoded into rows of the ring in batches, when caches are
    warm, or by whichever thread reads the ring. The deque is handed over without a lock (append and popleft are
    atomic); `_decoding` guards the ring.
    """

    def __init__(self, device: Device, capacity: int) -> None:
        self.device = device
        self.keys = tuple(quantities.keys(quantities.SIGNALS, device.kind))
        self.lost: NoReading | None = None
        self.count = 0  # samples fetched; `_decoded` of them are in the ring, or have been
        self._absent: dict[str, NoReading] = {}
        self._capacity = capacity
        self._times = array("q", bytes(8 * capacity))
        self._half_widths = array("q", bytes(8 * capacity))
        self._columns = {key: array("d", [math.nan]) * capacity for key in self.keys}
        self._lost_in_a_row = 0
        self._probes: list[tuple[Probe, int, Callable[[], Any]]] = []
        self._fetched: deque[tuple[int, int, list[tuple[Probe, Any]]]] = deque()
        self._decoded = 0
        self._decoding = threading.Lock()

    @property
    def absent(self) -> dict[str, NoReading]:
        """Why a signal was missing the last time that it was; signals that never failed are left out."""
        self._decode()
        return self._absent

    def choose_probes(self) -> dict[str, float]:
        """Call every probe once, and keep those that will ever answer. The values that came, by signal. Raises Lost."""
        values: dict[str, float] = {}
        self._probes = []
        missing = NoReading(f"{self.device.library} does not report it", "unsupported")
        self._absent = dict.fromkeys(self.keys, missing)
        for probe in self.device.probes():
            answers = dict(zip(probe.keys, probe.call(), strict=True))
            self._absent |= {key: value for key, value in answers.items() if isinstance(value, NoReading)}
            values |= {key: value for key, value in answers.items() if not isinstance(value, NoReading)}
            if any(not isinstance(v, NoReading) or v.status not in LASTING for v in answers.values()):
                self._probes.append((probe, probe.every, probe.fetch))
        self._absent = {key: reason for key, reason in self._absent.items() if key not in values}
        return values

    def take(self, clock: Callable[[], int]) -> None:
        """Fetch one sample now, in the sampling thread; nothing once the device is lost.

        Lost is believed the third time in a row, any other exception at once. A failed sample leaves no row and
        uses up no slot.
        """
        if self.lost is not None:
            return
        fetched: list[tuple[Probe, Any]] = []
        slot = self.count
        started = clock()
        finished = 0
        try:
            for probe, every, fetch in self._probes:
                slot += 1  # one further for each probe: those with the same `every` fall into different samples
                if every == 1 or not slot % every:
                    fetched.append((probe, fetch()))
                    if not finished:  # the first call reads power: the sample's time is that call's alone
                        finished = clock()
        except Exception as error:  # noqa: BLE001 - as in _failed
            self._failed(error)
            return
        self._lost_in_a_row = 0
        self.count += 1
        self._fetched.append((started, finished or started, fetched))
        if len(self._fetched) >= _BATCH:
            self._decode()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, Lost):  # a library that answers nonsense must not end the thread unseen
            self.lost = _unreadable(error)
            return
        # Fetching and decoding threads both count here; at worst a device is given up a sample too early or too late.
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= _LOST_AFTER:
            self.lost = NoReading(str(error), "lost")

    def _decode(self) -> None:
        """Make rows of everything fetched so far, in any thread; a failure counts as in `take` and leaves NaN."""
        with self._decoding:
            while self._fetched:
                started, finished, fetched = self._fetched.popleft()
                row = self._decoded % self._capacity
                for column in self._columns.values():
                    column[row] = math.nan
                try:
                    for probe, raw in fetched:
                        for key, value in zip(probe.keys, probe.decoded(raw), strict=True):
                            if isinstance(value, NoReading):
                                self._absent[key] = value
                            else:
                                self._columns[key][row] = value
                except Exception as error:  # noqa: BLE001 - as in _failed
                    self._failed(error)
                self._times[row] = (started + finished) // 2
                self._half_widths[row] = (finished - started) // 2
                self._decoded += 1

    def between(self, start_ns: int, end_ns: int) -> dict[str, list[float]]:
        """Columns of the samples in [start, end], oldest first, in SI units; NaN marks a missing value.

        A sample's time is `t_ns` give or take `half_width_ns`.
        """
        self._decode()
        oldest = max(0, self._decoded - self._capacity)
        rows = [row % self._capacity for row in range(oldest, self._decoded)]
        rows = [row for row in rows if start_ns <= self._times[row] <= end_ns]
        columns: dict[str, list[float]] = {key: [column[row] for row in rows] for key, column in self._columns.items()}
        columns["t_ns"] = [self._times[row] for row in rows]
        columns["half_width_ns"] = [self._half_widths[row] for row in rows]
        return columns

    def overwritten(self, start_ns: int) -> bool:
        """Whether samples taken after `start_ns` have been overwritten in the ring."""
        self._decode()
        return self._decoded > self._capacity and self._times[self._decoded % self._capacity] > start_ns


def _unreadable(error: Exception) -> NoReading:
    return NoReading(f"its sensors cannot be read ({type(error).__name__}: {error})", "lost")


def _periods(behind_ns: int, period_ns: int) -> int:
    """Periods to skip for the schedule to lie in the future again."""
    return behind_ns // period_ns + 1 if behind_ns > 0 else 0


class Sampler:
    """Samples devices while it is entered; `call` runs a function in its thread, between two samples.

    `feeds` has a Feed by device id, `missed` counts samples that the schedule had to skip. A library that does not
    answer within `patience_s` makes `stuck` say so; the thread is left behind then.
    """

    def __init__(
        self, devices: Sequence[Device], hz: float = DEFAULT_HZ, clock: Callable[[], int] = time.monotonic_ns,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self.hz = hz
        self.clock = clock
        self.feeds = {device.id: Feed(device, max(64, int(hz * KEPT_S))) for device in devices}
        self.missed = 0
        self.stuck = ""
        self._patience_s = patience_s
        self._jobs_ns = 0
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._started_ns = 0

    def __enter__(self) -> Sampler:
        self._started_ns = self.clock()
        if self.feeds:
            self._thread = threading.Thread(target=self._loop, name="telemetry", daemon=True)
            self._thread.start()
            if not self._ready.wait(self._patience_s):
                self._hangs()
        return self

    def _hangs(self) -> None:
        """The thread is in a call that does not return: nothing is sampled any more, of no device."""
        self.stuck = f"the vendor library did not answer within {self._patience_s:g} s"
        for feed in self.feeds.values():
            feed.lost = feed.lost or NoReading(self.stuck, "lost")

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout=2.0)  # a library that hangs must not keep the run from ending
            self._thread = None

    @property
    def cpu_share(self) -> float | None:
        """CPU time of the sampling over wall time, as a share of one core; None where no sampling thread is alive."""
        if self._thread is None or self._thread.ident is None or not self._thread.is_alive():
            return None
        used = time.clock_gettime_ns(time.pthread_getcpuclockid(self._thread.ident)) - self._jobs_ns
        return used / max(1, self.clock() - self._started_ns)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """The function's result, computed in the sampling thread; its exceptions come out here.

        Raises Stuck when the thread does not come back, and from then on at once.
        """
        if self._thread is None or threading.current_thread() is self._thread:
            return function()
        if self.stuck:
            raise Stuck(self.stuck)
        answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._jobs.put((function, answer))
        try:
            good, result = answer.get(timeout=self._patience_s)
        except queue.Empty:
            self._hangs()
            raise Stuck(self.stuck) from None
        if good:
            return result
        raise result

    def sample(self) -> None:
        """Fetch one sample of every device now."""
        for feed in self.feeds.values():
            feed.take(self.clock)

    def _loop(self) -> None:
        # Keep this loop minimal: caches are cold after a sleep of 100 ms, and each line costs tenfold.
        clock, feeds, wait = self.clock, list(self.feeds.values()), self._jobs.get
        for feed in feeds:
            try:
                feed.choose_probes()
            except Lost as error:
                feed.lost = NoReading(str(error), "lost")
            except Exception as error:  # noqa: BLE001 - as in Feed._failed
                feed.lost = _unreadable(error)
        self._ready.set()
        period_ns = int(1e9 / self.hz)
        due = clock()
        while True:
            try:
                job = wait(True, max(0, due - clock()) / 1e9)
            except queue.Empty:
                for feed in feeds:
                    feed.take(clock)
                due += period_ns
                self.missed += (late := _periods(clock() - due, period_ns))
                due += late * period_ns
                continue
            if job is None:
                return
            self._do(*job)
            due += _periods(clock() - due, period_ns) * period_ns  # a pause that was asked for misses no sample

    def _do(self, function: Callable[[], Any], answer: queue.SimpleQueue[Any]) -> None:
        before = time.thread_time_ns()
        try:
            answer.put((True, function()))
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked
            answer.put((False, error))
        self._jobs_ns += time.thread_time_ns() - before
