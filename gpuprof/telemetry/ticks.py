"""The moves of an energy counter: when it moved, what was drawn between, what it tells before a window and after it.

A counter moves in ticks (some 100 ms on current NVIDIA GPUs), so the difference of two readings at any two moments is
off by up to a tick of power at each end. gpuprof therefore reads at the *edges*, the moments at which the counter
moves: there its value is fresh, or as old as it ever is. Pure but for the clock.
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
# A fast counter is polled for this long, so that its power is not taken from edges a moment apart.
LEAST_S = 0.05
# The slowest counters known move every 100 ms; one that stands still for this long is broken or not there.
STUCK_S = 1.5
# No card is known whose counter publishes what was drawn later than this, and calibration says so where one does.
LONGEST_LAG_S = 0.25
UNIFORM = 1 / math.sqrt(12)  # standard deviation of a uniform distribution of width 1
_PARTS = 4
_REST_S = 0.15
# A device that comes to rest may change its draw by so much of it in a second; less where it was watched for longer.
_SLOPE_PER_S, _SLOPE_S = 0.8, 0.06


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
    """The last edge before a window, and the draw at that edge, with its slope while the device is still cooling."""

    edge: Edge
    draw: Draw
    slope_w_per_s: float = 0.0
    slope_error_w_per_s: float = 0.0
    half_s: float = 0.0  # the draw was measured around so long before the edge

    def error_j(self, seconds: float) -> float:
        """Standard error of `drawn_j`: a slope counts in full, since no draw falls along a parabola for long.

        Slack and sigma_P are added, not squared first: the edge is one of the two that the draw was measured between.
        """
        slope = abs(self.slope_w_per_s) + self.slope_error_w_per_s
        falls_s = min(seconds, LONGEST_LAG_S)
        bent_j = slope * (self.half_s + falls_s / 2) * falls_s
        return math.hypot(UNIFORM * self.edge.slack_s * self.draw.power_w + self.draw.error_w * seconds, bent_j)

    def drawn_j(self, seconds: float) -> float:
        """What is drawn in so many seconds from the edge on; the slope ends where the power has fallen by half."""
        slope = self.slope_w_per_s
        falls_s = seconds if slope >= 0 else min(seconds, -0.5 * self.draw.power_w / slope)
        return self.draw.power_w * seconds + slope * falls_s * (seconds - falls_s / 2)


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
    return power, power * UNIFORM * math.hypot(first.slack_s, last.slack_s) / seconds


def opening(edges: Sequence[Edge]) -> Bracket:
    """Before a window: the last edge, with the draw there. Raises ValueError for fewer than two.

    The device may still be cooling from what it did before. So the draw over all edges goes on with the slope that a
    parabola through their energies has, as far as it is more than what the edges' errors make of a steady draw.
    """
    level = draw(edges)
    slope, error = _slope(edges)
    half_s = (edges[-1].t_ns - edges[0].t_ns) / 2e9
    likely = level.power_w * min(_SLOPE_PER_S, _SLOPE_S / (2 * half_s) ** 2)
    slope, error = slope * likely**2 / (likely**2 + error**2), likely / math.hypot(1, likely / error)
    power, by_slack = _power(edges[0], edges[-1])
    return Bracket(edges[-1], Draw(max(power + slope * half_s, power / 2), by_slack), slope, error, half_s)


def _slope(edges: Sequence[Edge]) -> tuple[float, float]:
    """(slope of the power, its standard error) in W/s, from a least squares parabola; (0, inf) where it is not seen."""
    if len(edges) < 3:
        return 0.0, math.inf
    import numpy as np

    t = np.array([(edge.t_ns - edges[-1].t_ns) / 1e9 for edge in edges])
    y = np.array([edge.energy_j - edges[-1].energy_j for edge in edges])
    design = np.stack([np.ones_like(t), t, t**2 / 2], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ y
    rest = y - design @ found
    by_slack = statistics.fmean((UNIFORM * edge.slack_s * float(found[1])) ** 2 for edge in edges)
    variance = max(by_slack, float(rest @ rest) / max(1, len(edges) - 3))
    return float(found[2]), math.sqrt(variance * float(inverse[2, 2]))


def resting(edges: Sequence[Edge], end_ns: int) -> Sequence[Edge]:
    """Those of the edges after a window that no lag of the counter reaches; the last two at least."""
    settled_ns = end_ns + int(LONGEST_LAG_S * 1e9)
    first = next((i for i, edge in enumerate(edges) if edge.t_ns >= settled_ns), len(edges))
    return edges[max(0, min(first, len(edges) - 2)) :]


def closing_s(tick_s: float) -> float:
    """How long to watch the counter after a window: beyond any lag, and then for long enough to see the rest."""
    return LONGEST_LAG_S + max(4 * tick_s, _REST_S)
