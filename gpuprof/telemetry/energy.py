"""From counter readings and power samples to the energy of a window, with its error. Pure but for the clock.

A counter moves in ticks (some 100 ms on current NVIDIA GPUs), so the difference of two readings at any two moments is
off by up to a tick of power at each end. gpuprof therefore reads at the *edges*, the moments at which the counter
moves: there its value is fresh. A window is bracketed by an edge before and an edge after it, both on the idle (or at
least steady) device, and what was drawn between edge and window is taken off with the power measured there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuprof.absent import Absent
from gpuprof.telemetry.device import NoReading

POLL_S = 0.002
# The slack of an edge to plan with: polling, two calls and a sleep that ends late.
SLACK_S = 0.003
# A fast counter is polled for this long, so that its power is not taken from edges a moment apart.
LEAST_S = 0.05
# A counter may publish what was drawn this much later.
LAG_S = 0.02
# The slowest counters known move every 100 ms; one that stands still for this long is broken or not there.
STUCK_S = 1.5
# The worker's marks lie this close to the true begin and end of its work.
MARK_S = 1e-4
# Integrated power over counted energy; beyond these bounds one of the two is wrong.
AGREEMENT = (0.8, 1.25)
_PARTS = 4
_UNIFORM = 1 / math.sqrt(12)  # standard deviation of a uniform distribution of width 1


@dataclass(frozen=True)
class Edge:
    """The counter moved to `energy_j` somewhere in the `slack_s` around `t_ns`."""

    t_ns: int
    energy_j: float
    slack_s: float


@dataclass(frozen=True)
class Draw:
    """Mean power over some time, with its standard error."""

    power_w: float
    error_w: float


@dataclass(frozen=True)
class Bracket:
    """An edge, and the draw next to it on the side away from the window.

    `tail_j` is what was counted right after the window beyond that draw. It is the window's where the counter lags or
    the device did not come to rest at once, so it counts in full, and as uncertainty.
    """

    edge: Edge
    draw: Draw
    tail_j: float = 0.0


@dataclass(frozen=True)
class WindowEnergy:
    """Energy of a window of `seconds`; `method` is "counter" or "power_trapezoid".

    Errors are one standard deviation of what is random; a sensor's gain error comes on top. The energy above idle and
    its error are None where idle power was not measured.
    """

    method: str
    seconds: float
    energy_j: float
    error_j: float
    above_idle_j: float | None
    above_idle_error_j: float | None


class _Watched:
    """One counter while it is polled."""

    def __init__(self, read: Callable[[], float | NoReading], clock: Callable[[], int]) -> None:
        self._read, self._clock = read, clock
        self.edges: list[Edge] = []
        self.fault: Absent | None = None
        self._before_ns = self._moved_ns = clock()
        self._before = self._value()

    def _value(self) -> float | NoReading:
        """The counter in joules. A transient failure is no fault yet: the next poll retries it."""
        value = self._read()
        if isinstance(value, NoReading) and value.status != "transient":
            self.fault = value
        return value

    def poll(self, stuck_s: float) -> None:
        """Read once: adds an edge where the counter has moved, sets `fault` where it cannot be used any more."""
        asked_ns = self._clock()
        now = self._value()
        now_ns = self._clock()
        if isinstance(now, NoReading):  # the next edge has the wider slack of two polls
            if now_ns - self._moved_ns > stuck_s * 1e9:
                self.fault = now
            return
        if isinstance(self._before, NoReading):
            self._moved_ns = now_ns
        elif now < self._before:
            self.fault = Absent(f"the energy counter went backwards by {self._before - now:.3f} J")
        elif now > self._before:
            self.edges.append(Edge((self._before_ns + now_ns) // 2, now, (now_ns - self._before_ns) / 1e9))
            self._moved_ns = now_ns
        elif now_ns - self._moved_ns > stuck_s * 1e9:
            self.fault = Absent(f"the energy counter did not move for {stuck_s:g} s")
        self._before, self._before_ns = now, asked_ns


def watch(
    reads: Mapping[str, Callable[[], float | NoReading]], clock: Callable[[], int], wait: Callable[[float], None], *,
    count: int, least_s: float = LEAST_S, stuck_s: float = STUCK_S, poll_s: float = POLL_S,
) -> dict[str, list[Edge] | Absent]:  # fmt: skip
    """Poll counters together until each has moved `count` times: its edges, `count` or more, or what is wrong with it.

    Fast counters are polled until the slow ones are done, and for `least_s` at least: power from edges a moment apart
    is a guess.
    """
    counters = {name: _Watched(read, clock) for name, read in reads.items()}
    started = clock()
    while alive := [counter for counter in counters.values() if counter.fault is None]:
        if all(len(counter.edges) >= count for counter in alive) and clock() - started >= least_s * 1e9:
            break
        wait(poll_s)
        for counter in alive:
            counter.poll(stuck_s)
    return {name: counter.fault or counter.edges for name, counter in counters.items()}


def tick_s(edges: Sequence[Edge]) -> float:
    """Median time between two moves of the counter, of two edges or more."""
    return statistics.median((b.t_ns - a.t_ns) / 1e9 for a, b in pairwise(edges))


def draw(edges: Sequence[Edge]) -> Draw:
    """Mean power from the first edge to the last; its error is the slack of both and the scatter of the power itself.

    The scatter is that of single ticks (of a quarter of the time, where ticks are short): the draw is applied to a
    gap about as long, on a device that may not be idle. Raises ValueError for fewer than two edges.
    """
    if len(edges) < 2:
        raise ValueError(f"power needs two counter edges, not {len(edges)}")
    first, last = edges[0], edges[-1]
    power, error = _power(first, last)
    parts = sorted({round(i * (len(edges) - 1) / _PARTS) for i in range(_PARTS + 1)})
    if len(parts) > 2:
        pieces = [_power(edges[i], edges[j]) for i, j in pairwise(parts)]
        scatter, explained = statistics.variance(p for p, _ in pieces), statistics.fmean(e**2 for _, e in pieces)
        if scatter > 4 * explained:  # few pieces: less than that is chance
            error = math.hypot(error, math.sqrt(scatter))
    return Draw(power, error)


def _power(first: Edge, last: Edge) -> tuple[float, float]:
    seconds = (last.t_ns - first.t_ns) / 1e9
    power = (last.energy_j - first.energy_j) / seconds
    return power, power * _UNIFORM * math.hypot(first.slack_s, last.slack_s) / seconds


def opening(edges: Sequence[Edge]) -> Bracket:
    """Before a window: the last edge, with the draw over all of them. Raises ValueError for fewer than two."""
    return Bracket(edges[-1], draw(edges))


def closing(edges: Sequence[Edge], end_ns: int, tick_s: float) -> Bracket:
    """After a window: not the first edge, which may lack the window's end where the counter lags.

    The first one that is 1.5 ticks (20 ms at least) after the end, with the draw from there on; where all are earlier,
    the last but one. Raises ValueError for fewer than two edges.
    """
    settled_ns = end_ns + int(max(1.5 * tick_s, LAG_S) * 1e9)
    index = next((i for i, edge in enumerate(edges) if edge.t_ns >= settled_ns), len(edges) - 2)
    index = max(0, min(index, len(edges) - 2))
    beside = draw(edges[index:])
    gap_s = (edges[index].t_ns - edges[0].t_ns) / 1e9
    tail_j = edges[index].energy_j - edges[0].energy_j - beside.power_w * gap_s
    return Bracket(edges[index], beside, tail_j)


def by_counter(before: Bracket, after: Bracket, start_ns: int, end_ns: int, idle: Draw | None) -> WindowEnergy | Absent:
    """Energy of [start, end] from the bracketing edges, or what is wrong; `idle` is the draw that counts as the floor.

    total = (E_after - E_before) - P_before * (start - t_before) - P_after * (t_after - end)
    variance = sum over both ends of (slack * P / sqrt 12 + sigma_P * gap)^2 + (mark * P_window)^2 + (tail / sqrt 12)^2

    Slack and sigma_P are added and not squared first: the edge is one of the two that its draw was measured between.
    """
    seconds = (end_ns - start_ns) / 1e9
    total = after.edge.energy_j - before.edge.energy_j
    if total < 0:
        return Absent(f"the energy counter was reset: it went backwards by {-total:.3f} J")
    variance = 0.0
    gaps_s = (start_ns - before.edge.t_ns) / 1e9, (after.edge.t_ns - end_ns) / 1e9
    for bracket, gap_s in zip((before, after), gaps_s, strict=True):
        total -= bracket.draw.power_w * gap_s
        variance += (_UNIFORM * bracket.edge.slack_s * bracket.draw.power_w + bracket.draw.error_w * gap_s) ** 2
        variance += (_UNIFORM * bracket.tail_j) ** 2
    variance += 2 * (MARK_S * max(total, 0.0) / seconds) ** 2
    above = None if idle is None else total - idle.power_w * seconds
    above_error = None if idle is None else math.sqrt(variance + (idle.error_w * seconds) ** 2)
    return WindowEnergy("counter", seconds, total, math.sqrt(variance), above, above_error)


def idle_of(before: Draw | None, after: Draw | None) -> Draw | None:
    """The floor of a window: mean of the draws before and after it; half their difference is part of its error.

    One draw alone is the floor; None where neither was measured.
    """
    known = [d for d in (before, after) if d is not None]
    if not known:
        return None
    spread = abs(known[0].power_w - known[-1].power_w) / 2
    return Draw(
        statistics.fmean(d.power_w for d in known), math.hypot(spread, max(d.error_w for d in known))
    )  # fmt: skip


def seconds_for(target: float, idle: Draw, load_w: float, tick_s: float, *, above_idle: bool = True) -> float:
    """Length of a window whose energy, or whose part above idle, has the relative standard error `target`.

    Solves (target * power * T)^2 = ends^2 + (floor error * T)^2 for T, with the terms of `by_counter` as they are to be
    expected; the opening gap and the tail count as 0. Infinite where no length is enough: nothing is drawn above idle,
    or the floor's own error, which grows with the window, is too large already.
    """
    slack_j = _UNIFORM * SLACK_S * idle.power_w
    # The closing edge lies up to 2.5 ticks after the end: `closing` waits for 1.5, then the counter has to move.
    # The draw beside it covers a tick at least, or what `watch` polls of a fast counter less its lag. It lies between
    # two edges: sigma_P = sqrt(2) * slack / span.
    gap_s, span_s = max(2.5 * tick_s, LAG_S + POLL_S), max(tick_s, LEAST_S - LAG_S)
    closing_j = slack_j * (1 + math.sqrt(2) * gap_s / span_s)
    ends_j2 = slack_j**2 + closing_j**2 + 2 * (MARK_S * load_w) ** 2
    power_w = load_w - idle.power_w if above_idle else load_w
    floor_error_w = idle.error_w if above_idle else 0.0
    room_w2 = (target * power_w) ** 2 - floor_error_w**2
    return math.inf if power_w <= 0 or room_w2 <= 0 else math.sqrt(ends_j2 / room_w2)


def by_power(
    times_ns: Sequence[int], watts: Sequence[float], start_ns: int, end_ns: int, *, window_s: float, idle: Draw | None
) -> WindowEnergy | Absent:
    """Trapezoid over sampled power, or why the samples do not suffice. A fallback: sensors see part of the time only.

    `window_s` is the sensor's averaging time. The first `window_s` of the window are left out, since the average still
    holds what ran before, and the mean of the rest is taken for the whole. Error: 5%, or 2 * window_s / T if larger.
    """
    seconds = (end_ns - start_ns) / 1e9
    if seconds < 10 * window_s:
        too_short = f"{seconds:.1f} s is too short for a power sensor that averages over {window_s:g} s"
        return Absent(f"{too_short} (at least {10 * window_s:g} s needed)")
    first_ns = start_ns + int(window_s * 1e9)
    inside = [(t, w) for t, w in zip(times_ns, watts, strict=True) if first_ns <= t <= end_ns]
    if len(inside) < 20:
        return Absent(f"{len(inside)} power samples in the window; 20 needed")
    covered_s = (inside[-1][0] - inside[0][0]) / 1e9
    if covered_s < 0.85 * (seconds - window_s):
        return Absent(f"the power samples cover only {covered_s:.1f} s of the {seconds:.1f} s window")
    area = sum((t2 - t1) * (w1 + w2) / 2 for (t1, w1), (t2, w2) in pairwise(inside))
    mean = area / (inside[-1][0] - inside[0][0])
    energy = mean * seconds
    error = max(0.05, 2 * window_s / seconds) * energy
    above = None if idle is None else energy - idle.power_w * seconds
    above_error = None if idle is None else math.hypot(error, idle.error_w * seconds)
    return WindowEnergy("power_trapezoid", seconds, energy, error, above, above_error)
