"""From counter readings and power samples to the energy of a window, with its error. Pure but for the clock.

A window is bracketed by an edge of the counter before it and edges after it, all on the idle (or at least steady)
device (ticks.py). What was drawn between edge and window is taken off with the power measured there; settling.py takes
apart what is counted after the window.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuprof.absent import Absent
from gpuprof.telemetry.settling import settled
from gpuprof.telemetry.ticks import UNIFORM, Bracket, Draw, Edge

# The slack of an edge to plan with: polling, two calls and a sleep that ends late.
SLACK_S = 0.003
# The worker's marks lie this close to the true begin and end of its work.
MARK_S = 1e-4
# Integrated power over counted energy; beyond these bounds one of the two is wrong.
AGREEMENT = (0.8, 1.25)
_SURE = 2.0  # standard deviations
_OPEN_SLACKS, _OPEN_SLACKS_A_TICK = 1.5, 25.0


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


def by_counter(
    before: Bracket, after: Sequence[Edge], start_ns: int, end_ns: int, idle: Draw | None,
    lag_s: tuple[float, float] | None = None,
) -> WindowEnergy | Absent:  # fmt: skip
    """Energy of [start, end] from the edge before it and all edges `after` it, or what is wrong.

    `idle` is the draw that counts as the floor, `lag_s` are the bounds of the counter's lag where it was calibrated.
    The window's part of what was counted after it is `settling.settled`'s; to its variance come that of the opening and
    of the marks, 2 * (mark * P_window)^2. Raises ValueError for fewer than two edges after the window.
    """
    if len(after) < 2:
        raise ValueError(f"the end of a window needs two counter edges, not {len(after)}")
    if (fell := before.edge.energy_j - after[-1].energy_j) > 0:
        return Absent(f"the energy counter was reset: it went backwards by {fell:.3f} J")
    seconds = (end_ns - start_ns) / 1e9
    window = settled(before, after, start_ns, end_ns, lag_s)
    gap_s = (start_ns - before.edge.t_ns) / 1e9 + window.lag_s
    marked_j = math.sqrt(2) * MARK_S * max(window.energy_j, 0.0) / seconds
    error_j = math.hypot(window.error_j, before.error_j(gap_s), marked_j)
    if window.energy_j < -_SURE * error_j:  # moves that no device can have made: a counter of coarse steps, or jumps
        return Absent(f"the energy counter's moves add up to less than nothing ({window.energy_j:.3g} J)")
    above = None if idle is None else window.energy_j - idle.power_w * seconds
    above_error = None if idle is None else math.hypot(error_j, idle.error_w * seconds)
    return WindowEnergy("counter", seconds, window.energy_j, error_j, above, above_error)


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

    Solves (target * power * T)^2 = ends^2 + (floor error * T)^2 for T, for a device that rests at once after its work.
    Infinite where no length is enough: nothing is drawn above idle, or the floor's own error, which grows with the
    window, is too large already.
    """
    slack_j = UNIFORM * SLACK_S * idle.power_w
    # What the edges after a window leave open, in slacks: by scripts/bench/energy.py, more where they are few.
    closing_j = slack_j * (_OPEN_SLACKS + _OPEN_SLACKS_A_TICK * tick_s)
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
