"""The timing loop: warm-up until steady, blocks of steps with one synchronisation each, and single requests.

Nothing here knows torch: a step is a callable, and the clock is a parameter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gpuprof.record.protocol import Protocol as Plan
from gpuprof.record.repeat import Warmup
from gpuprof.stats import mann_kendall_z, spread

STEADY_TOLERANCE = 0.01
LARGEST_TOLERANCE = 0.05
TREND_Z = 1.64


class Device(Protocol):
    """What a Meter needs of a device; `worker.device.ComputeDevice` has it."""

    def synchronize(self) -> None:
        """Wait until every submitted step is done."""

    def event(self) -> Any | None:
        """A timing event of torch's kind (`elapsed_time` in ms), or None on a device without them."""


@dataclass
class Blocks:
    """Raw times of blocks; seconds per step, in the order they ran. `device_s` stays empty without device events."""

    steps_per_block: int
    wall_s: list[float] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)
    device_s: list[float] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps of all blocks together."""
        return self.steps_per_block * len(self.wall_s)

    @property
    def total_s(self) -> float:
        """Wall seconds of all blocks together."""
        return sum(self.wall_s) * self.steps_per_block


class Meter:
    """Times the calls of one step on one device."""

    def __init__(self, step: Callable[[], Any], device: Device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._step = step
        self._device = device
        self.clock = clock
        self._events = (device.event(), device.event())

    def block(self, blocks: Blocks) -> float:
        """Run one block and append its times; returns its wall seconds."""
        step, clock, steps = self._step, self.clock, blocks.steps_per_block
        first, last = self._events
        started = clock()
        if first is not None:
            first.record()
        for _ in range(steps):
            step()
        if last is not None:
            last.record()
        submitted = clock()
        self._device.synchronize()
        wall = clock() - started
        blocks.wall_s.append(wall / steps)
        blocks.submit_s.append((submitted - started) / steps)
        if first is not None and last is not None:
            blocks.device_s.append(first.elapsed_time(last) / 1e3 / steps)
        return wall

    def request(self) -> tuple[float, float]:
        """One step with its own synchronisation: seconds in all, and seconds that the host took to submit it.

        The device is idle when it begins, so the host never waits for room in the launch queue.
        """
        started = self.clock()
        self._step()
        submitted = self.clock()
        self._device.synchronize()
        return self.clock() - started, submitted - started


def warm_up(meter: Meter, plan: Plan) -> tuple[Warmup, int]:
    """Step until block times are steady or the time is over; returns the verdict and the steps of a block.

    First the block grows until one takes `block_min_s`; smaller ones count as steps, not as block times.
    """
    started = meter.clock()
    steps = 0
    blocks = Blocks(1)
    while (wall := meter.block(blocks)) < plan.block_min_s:
        steps += blocks.steps_per_block
        grow = plan.block_min_s / wall if wall > 0 else 2
        blocks = Blocks(max(2 * blocks.steps_per_block, int(blocks.steps_per_block * min(grow, 100)) + 1))
    steps += blocks.steps_per_block
    while True:
        elapsed = meter.clock() - started
        state, reason = judge(blocks.wall_s)
        enough = elapsed >= plan.warmup_min_s and steps >= plan.warmup_min_steps
        if enough and state in ("steady", "noisy"):  # waiting mends a trend, but not noise
            break
        if elapsed >= plan.warmup_max_s:
            state, reason = "moving", f"gave up after {elapsed:.1f} s: {reason}"
            break
        meter.block(blocks)
        steps += blocks.steps_per_block
    steady = state == "steady"
    return Warmup(steady=steady, reason=reason, steps=steps, seconds=meter.clock() - started), blocks.steps_per_block


def judge(times: Sequence[float], group_size: int = 10) -> tuple[str, str]:
    """Whether the last three groups of block times are `steady`, `noisy` or `moving`, and the reason in words.

    Medians of the groups must agree within 1%, or within three standard errors of a median where blocks scatter more,
    but 5% at most; and |z| of Mann-Kendall must stay below 1.64. Scatter that would need more than 5% is noisy.
    """
    group_size = min(group_size, len(times) // 3)
    if group_size < 3:
        return "moving", f"{len(times)} blocks are too few to judge (9 needed)"
    recent = times[-3 * group_size :]
    gap = drift(recent)
    median = statistics.median(recent)
    # Of each group by itself: over all of them a step between two groups would pass for noise, and hide itself.
    sigma = statistics.fmean(spread(recent[i * group_size : (i + 1) * group_size]) for i in range(3))
    # The median of n normal values has a standard error of sqrt(pi/2) sigma / sqrt(n). By chance the range of three
    # medians exceeds three standard errors in 9% of all windows, and |z| reaches 1.64 in 10%: either costs one block.
    noise = 3 * 1.253 * sigma / group_size**0.5 / median if median > 0 else 0.0
    tolerance = max(STEADY_TOLERANCE, noise)
    # The order counts: 5% limits what may be called steady, not what noise may explain. Blocks that move are waited
    # for, however much they scatter.
    if gap > tolerance:
        return "moving", f"block medians differ by {gap:.1%} (noise explains {tolerance:.1%})"
    if abs(z := mann_kendall_z(recent)) >= TREND_Z:
        return "moving", f"block times are still {'rising' if z > 0 else 'falling'} (Mann-Kendall z {z:.1f})"
    if gap > LARGEST_TOLERANCE:
        return "noisy", f"block medians differ by {gap:.1%} without a trend: timings too noisy to judge"
    return "steady", f"block medians agree within {gap:.1%} (allowed {min(tolerance, LARGEST_TOLERANCE):.1%}), no trend"


def drift(times: Sequence[float]) -> float:
    """How far apart the medians of the three thirds of `times` are, in any order and relative to the middle one.

    `times` are three at least.
    """
    third = len(times) // 3
    low, middle, high = sorted(statistics.median(times[i * third : (i + 1) * third]) for i in range(3))
    return (high - low) / middle if middle > 0 else 0.0


def measure_blocks(meter: Meter, plan: Plan, steps_per_block: int) -> Blocks:
    """The throughput window: a fixed time and a least number of blocks, so that the data do not decide when to stop."""
    blocks = Blocks(steps_per_block)
    started = meter.clock()
    while True:
        meter.block(blocks)
        elapsed = meter.clock() - started
        enough = elapsed >= plan.measure_min_s and len(blocks.wall_s) >= plan.measure_min_blocks
        if enough or elapsed >= plan.measure_max_s:
            return blocks


def lead_in(meter: Meter, steps: int = 20, longest_s: float = 0.2) -> None:
    """Requests that are not counted: clocks may have dropped while the sensors were read."""
    started = meter.clock()
    for _ in range(steps):
        meter.request()
        if meter.clock() - started >= longest_s:
            return


def measure_requests(meter: Meter, plan: Plan) -> tuple[list[float], list[float]]:
    """The latency window: seconds of single requests and of their submission, in the order they ran.

    Short requests are many: whenever twice `latency_max_requests` are kept, every second one is let go, and from then
    on only every second (fourth, ...) is kept. So those kept come from the whole window, evenly.
    """
    times: list[float] = []
    submits: list[float] = []
    number, stride = 0, 1
    started = meter.clock()
    while True:
        wall, submit = meter.request()
        if number % stride == 0:
            times.append(wall)
            submits.append(submit)
        number += 1
        if len(times) >= 2 * plan.latency_max_requests:
            del times[1::2], submits[1::2]
            stride *= 2
        elapsed = meter.clock() - started
        enough = elapsed >= plan.latency_min_s and len(times) >= plan.latency_min_requests
        if enough or elapsed >= plan.latency_max_s:
            return times, submits
