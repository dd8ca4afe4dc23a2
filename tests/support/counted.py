"""A GPU in virtual time: scripted power behind a counter that moves in ticks; one window of it, as measured."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from gpuprof.absent import Absent
from gpuprof.telemetry import energy, ticks
from gpuprof.telemetry.device import NoReading
from gpuprof.telemetry.ticks import Bracket, Draw, Edge
from support.virtual import S, World

IDLE_W, LOAD_W = 80.0, 650.0
MS = S // 1000


class Constant:
    def __init__(self, watts: float) -> None:
        self.watts = watts

    def joules(self, t: float) -> float:
        return self.watts * t


class Square:
    """High in the first half of each period."""

    def __init__(self, high: float, low: float, period_s: float, phase_s: float = 0.0) -> None:
        self.high, self.low, self.period_s, self.phase_s = high, low, period_s, phase_s

    def joules(self, t: float) -> float:
        cycles, rest = divmod(t + self.phase_s, self.period_s)
        half = self.period_s / 2
        return cycles * half * (self.high + self.low) + (
            self.high * rest if rest < half else self.high * half + self.low * (rest - half)
        )


class Gpu:
    """Scripted power behind a counter that moves in ticks, and whose call takes a while."""

    def __init__(self, world: World, power, *, tick_s: float, phase_s: float = 0.0, latency_s: float = 1e-4) -> None:
        self.world, self.tick_s, self.phase_s, self.latency_s = world, tick_s, phase_s, latency_s
        self.powers = [(0.0, power)]
        self.fault: NoReading | None = None
        self.frozen = False
        self.offset_j = 0.0
        self.calls = 0

    def switch(self, t_s: float, power) -> None:
        self.powers.append((t_s, power))

    def joules(self, t: float) -> float:
        ends = [start for start, _ in self.powers[1:]] + [math.inf]
        return sum(
            power.joules(min(end, t)) - power.joules(start)
            for (start, power), end in zip(self.powers, ends, strict=True) if start < t
        )  # fmt: skip

    def watts(self, t: float, window_s: float) -> float:
        return (self.joules(t) - self.joules(t - window_s)) / window_s

    def counter(self, t: float) -> float:
        return self.joules(math.floor((t - self.phase_s) / self.tick_s) * self.tick_s + self.phase_s)

    def read(self) -> float | NoReading:
        """As a driver does: the value belongs to some moment inside the call."""
        self.calls += 1
        self.world.wait(self.latency_s / 2)
        now = self.counter(0.0 if self.frozen else self.world.now() / 1e9)
        self.world.wait(self.latency_s / 2)
        return self.fault or round(now + self.offset_j, 3)


def steady_gpu(tick_s: float, watts: float = 400.0, **more) -> tuple[World, Gpu]:
    world = World()
    return world, Gpu(world, Constant(watts), tick_s=tick_s, phase_s=0.0137, **more)


def watched(
    world: World, gpu: Gpu, count: int, wait: Callable[[float], None] | None = None, least_s: float = ticks.LEAST_S
) -> list[Edge]:
    edges = ticks.watch({"": gpu.read}, world.now, wait or world.wait, count=count, least_s=least_s)[""]
    assert not isinstance(edges, Absent), edges
    return edges


def measure(
    rng: random.Random, around, load, *, tick_s: float, seconds: float | Callable[[Draw], float], idle_s: float = 2.0
):
    """One window as `run` measures it (idle power beside it), or with idle_s=0 as `monitor` does: (found, truth)."""
    world = World(S)
    gpu = Gpu(world, around, tick_s=tick_s, phase_s=rng.random() * tick_s, latency_s=rng.uniform(2e-5, 5e-4))

    def wait(s: float) -> None:  # no sleep ends on time
        world.wait(s + rng.expovariate(1e4))

    wait(rng.random())
    first = last = watched(world, gpu, 2 if idle_s else 4, wait)
    if idle_s:
        wait(idle_s)
        last = watched(world, gpu, 1, wait)
    floor = ticks.draw([first[0], last[-1]])
    before = Bracket(last[-1], floor)
    wait(1e-3)
    start = world.now()
    # The work begins after the mark that announces it, and ends before the one that reports it.
    gpu.switch(start / 1e9 + rng.uniform(0, energy.MARK_S), load)
    wait(seconds(floor) if callable(seconds) else seconds)
    end = world.now()
    gpu.switch(end / 1e9 - rng.uniform(0, energy.MARK_S), around)
    truth = gpu.joules(end / 1e9) - gpu.joules(start / 1e9)
    wait(1e-3)
    edges = watched(world, gpu, 4, wait, ticks.closing_s(tick_s))
    idle = None
    if idle_s:
        wait(idle_s)
        idle = energy.idle_of(floor, ticks.draw([edges[-1], *watched(world, gpu, 1, wait)]))
    found = energy.by_counter(before, edges, start, end, idle)
    return found, truth, (end - start) / 1e9
