"""From ticks of a counter to joules: without bias, and within the error that is claimed. Virtual time throughout."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import throttling
from gpuprof.telemetry import energy, summary
from gpuprof.telemetry.device import Absent, Device, Lost, Probe, ThrottleCounters
from gpuprof.telemetry.energy import Bracket, Draw, Edge
from gpuprof.telemetry.sampler import Feed, Sampler
from support.virtual import S, World

IDLE_W, LOAD_W = 80.0, 650.0
MS = S // 1000


# ---- a device in twenty lines


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
        self.fault: Absent | None = None
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

    def read(self) -> float | Absent:
        """As a driver does: the value belongs to some moment inside the call."""
        self.calls += 1
        self.world.wait(self.latency_s / 2)
        now = self.counter(0.0 if self.frozen else self.world.now() / 1e9)
        self.world.wait(self.latency_s / 2)
        return self.fault or round(now + self.offset_j, 3)


def steady_gpu(tick_s: float, watts: float = 400.0, **more) -> tuple[World, Gpu]:
    world = World()
    return world, Gpu(world, Constant(watts), tick_s=tick_s, phase_s=0.0137, **more)


def watched(world: World, gpu: Gpu, count: int, wait: Callable[[float], None] | None = None) -> list[Edge]:
    edges = energy.watch({"": gpu.read}, world.now, wait or world.wait, count=count)[""]
    assert not isinstance(edges, str), edges
    return edges


# ---- edges


@pytest.mark.parametrize("tick_s", [0.02, 0.1])
def test_edges_are_where_the_counter_moved_give_or_take_the_slack(tick_s):
    world, gpu = steady_gpu(tick_s, latency_s=3e-4)
    edges = watched(world, gpu, 6)
    assert len(edges) >= 6
    for edge in edges:
        seconds = edge.t_ns / 1e9
        tick = round((seconds - gpu.phase_s) / tick_s) * tick_s + gpu.phase_s
        assert abs(seconds - tick) <= edge.slack_s / 2 + 1e-6
        assert edge.energy_j == pytest.approx(gpu.joules(tick), abs=2e-3)
        assert energy.POLL_S < edge.slack_s < energy.POLL_S + 3 * gpu.latency_s
    assert energy.tick_s(edges) == pytest.approx(tick_s, abs=energy.POLL_S)


def test_a_slow_call_makes_the_slack_wider():
    slacks = [watched(*steady_gpu(0.1, latency_s=latency), 2)[0].slack_s for latency in (1e-5, 0.02)]
    assert slacks[0] < 0.003
    assert slacks[1] >= 0.04  # the move may lie anywhere from the call before on


def test_stuck_backward_and_absent_counters_say_what_is_wrong():
    def first_word(spoil: Callable[[Gpu, int], None]) -> str:
        world, gpu = steady_gpu(0.1)

        def wait(seconds: float) -> None:
            spoil(gpu, gpu.calls)
            world.wait(seconds)

        before = world.now()
        found = energy.watch({"x": gpu.read}, world.now, wait, count=5)["x"]
        assert isinstance(found, str)
        assert world.now() - before < 4 * S
        return found

    def freeze(gpu, calls):
        gpu.frozen = True

    def reset(gpu, calls):
        gpu.offset_j = -30_000.0 if calls > 100 else 0.0

    def forbid(gpu, calls):
        gpu.fault = Absent("no_permission", "the counter is for root alone")

    assert "backwards, by 30" in first_word(reset)
    assert first_word(forbid) == "the counter is for root alone"
    world, gpu = steady_gpu(0.1)
    gpu.frozen = True
    assert energy.watch({"x": gpu.read}, world.now, world.wait, count=1) == {
        "x": "the energy counter stood still for 1.5 s"
    }
    assert "backwards" in first_word(freeze)  # the value it had long ago


def test_fast_counters_are_watched_on_for_the_slow_ones_and_broken_ones_hold_nobody_up():
    world = World()
    fast = Gpu(world, Constant(300), tick_s=0.001)
    slow = Gpu(world, Constant(300), tick_s=0.1, phase_s=0.013)
    dead = Gpu(world, Constant(300), tick_s=0.1)
    dead.fault = Absent("unsupported", "none")
    before = world.now()
    found = energy.watch({"fast": fast.read, "slow": slow.read, "dead": dead.read}, world.now, world.wait, count=3)
    assert found["dead"] == "none"
    assert dead.calls == 1
    assert len(found["slow"]) == 3
    assert len(found["fast"]) > 50
    assert (world.now() - before) / 1e9 < 0.35
    # Both end on the same side of the same moment.
    assert abs(found["fast"][-1].t_ns - found["slow"][-1].t_ns) < 5 * MS


def test_power_is_never_told_from_edges_a_moment_apart():
    world, gpu = steady_gpu(0.001, watts=500)
    edges = watched(world, gpu, 1)
    assert (edges[-1].t_ns - edges[0].t_ns) / 1e9 > 0.9 * energy.LEAST_S - 2 * energy.POLL_S
    beside = energy.draw(edges)
    assert beside.error_w / beside.power_w < 0.03
    assert abs(beside.power_w - 500) < 4 * beside.error_w


def test_no_counters_at_all():
    assert energy.watch({}, World().now, World().wait, count=3) == {}


def test_draw_is_unbiased_and_its_error_is_what_it_scatters_by():
    rng = random.Random(11)
    found = []
    for _ in range(300):
        world = World()
        gpu = Gpu(world, Constant(400), tick_s=0.1, phase_s=rng.random() / 10, latency_s=rng.uniform(2e-5, 5e-4))
        edges = watched(world, gpu, 2, lambda s, w=world: w.wait(s + rng.expovariate(1e4)))
        found.append(energy.draw(edges))
    z = [(d.power_w - 400) / d.error_w for d in found]
    assert abs(statistics.fmean(z)) < 0.2
    assert 0.7 < statistics.stdev(z) < 1.3


# ---- energy of a window


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
    floor = energy.draw([first[0], last[-1]])
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
    edges = watched(world, gpu, 4, wait)
    idle = None
    if idle_s:
        wait(idle_s)
        idle = energy.idle_of(floor, energy.draw([edges[-1], *watched(world, gpu, 1, wait)]))
    found = energy.by_counter(before, energy.closing(edges, end, tick_s), start, end, idle)
    return found, truth, (end - start) / 1e9


LOADS = {
    "steady": lambda rng: (Constant(400), Constant(400)),
    "idle-load-idle": lambda rng: (Constant(IDLE_W), Constant(LOAD_W)),
    "73 ms": lambda rng: (Constant(IDLE_W), Square(LOAD_W, 150, 0.073, rng.random())),
    "20 ms": lambda rng: (Constant(IDLE_W), Square(LOAD_W, 150, 0.020, rng.random())),
    "all along 20 ms": lambda rng: (wave := Square(LOAD_W, 150, 0.020, rng.random()), wave),
}


@pytest.mark.parametrize("idle_s", [2.0, 0.0], ids=["run", "monitor"])
@pytest.mark.parametrize(
    ("name", "tick_s"),
    # A tick of 1 ms follows the wave at the edges as well, which the constant power of a draw does not.
    [(name, tick_s) for name in LOADS for tick_s in (0.001, 0.02, 0.1) if tick_s > 0.001 or name != "all along 20 ms"],
)
def test_by_counter_has_no_bias_and_its_error_covers_the_truth(name, tick_s, idle_s):
    rng = random.Random(f"{name} {tick_s}")
    trials = [measure(rng, *LOADS[name](rng), tick_s=tick_s, seconds=1.0, idle_s=idle_s) for _ in range(120)]
    relative = [found.energy_j / truth - 1 for found, truth, _ in trials]
    z = [(found.energy_j - truth) / found.error_j for found, truth, _ in trials]
    noise = statistics.stdev(relative) / math.sqrt(len(relative))
    assert abs(statistics.fmean(relative)) < 4 * noise + 2e-4
    assert statistics.fmean(abs(one) <= 2 for one in z) >= 0.9
    assert max(map(abs, z)) < 4.5
    rms = math.sqrt(statistics.fmean(one * one for one in z))
    # With a tick far below the polling interval the edge is known better than is claimed.
    assert (0.2 if tick_s < energy.POLL_S else 0.5) < rms < 1.5
    assert all(found.method == "counter" and found.seconds == seconds for found, _, seconds in trials)


@pytest.mark.parametrize("tick_s", [0.02, 0.1])
def test_energy_above_idle_and_its_error(tick_s):
    rng = random.Random(5)
    z = []
    for _ in range(150):
        found, truth, seconds = measure(rng, Constant(IDLE_W), Constant(LOAD_W), tick_s=tick_s, seconds=1.0)
        z.append((found.above_idle_j - (truth - IDLE_W * seconds)) / found.above_idle_error_j)
        assert found.above_idle_error_j > found.error_j
    assert abs(statistics.fmean(z)) < 0.3
    assert 0.5 < math.sqrt(statistics.fmean(one * one for one in z)) < 1.5


@pytest.mark.parametrize(("tick_s", "seconds"), [(0.1, 1.0), (0.1, 5.0), (0.02, 1.0)])
def test_a_naive_difference_is_biased_as_predicted_and_edges_are_not(tick_s, seconds):
    rng = random.Random(7)
    naive = []
    for _ in range(4000):
        world = World(S)
        gpu = Gpu(world, Constant(100), tick_s=tick_s, phase_s=rng.random() * tick_s)
        gpu.switch(2.0, Constant(500))
        gpu.switch(2.0 + seconds, Constant(100))
        naive.append((gpu.counter(2.0 + seconds) - gpu.counter(2.0)) / (500 * seconds) - 1)
    predicted = -(1 - 100 / 500) * tick_s / (2 * seconds)
    assert statistics.fmean(naive) == pytest.approx(predicted, rel=0.06)
    ours = [
        found.energy_j / truth - 1
        for found, truth, _ in (
            measure(rng, Constant(100), Constant(500), tick_s=tick_s, seconds=seconds) for _ in range(60)
        )
    ]
    assert abs(statistics.fmean(ours)) < abs(predicted) / 50
    rms = [math.sqrt(statistics.fmean(one * one for one in each)) for each in (naive, ours)]
    assert rms[1] < rms[0] / 10


def test_a_counter_that_was_reset_inside_the_window_gives_no_energy():
    """A negative energy, or one that is too small by all that was counted before, is worse than none."""
    before = Bracket(Edge(10 * S, 50_000.0, 0.002), Draw(100.0, 1.0))
    after = Bracket(Edge(16 * S, 900.0, 0.002), Draw(100.0, 1.0))
    found = energy.by_counter(before, after, 10 * S + 50 * MS, 15 * S, None)
    assert isinstance(found, str)
    assert "backwards" in found


def test_idle_is_the_mean_and_half_the_difference_is_uncertain():
    assert energy.idle_of(None, None) is None
    assert energy.idle_of(Draw(100, 1), None) == Draw(100, 1)
    assert energy.idle_of(None, Draw(100, 1)) == Draw(100, 1)
    idle = energy.idle_of(Draw(100, 3), Draw(108, 1))
    assert idle.power_w == 104
    assert idle.error_w == pytest.approx(5)


# ---- how long a window must be


IDLE = Draw(IDLE_W, 0.05)


@given(
    st.floats(1e-4, 0.4), st.floats(1e-4, 0.4), st.floats(IDLE_W * 1.1, 1000), st.sampled_from([0.001, 0.02, 0.1]),
    st.booleans(),
)  # fmt: skip
def test_a_smaller_error_takes_no_shorter_window(a, b, load_w, tick_s, above_idle):
    small, large = sorted((a, b))
    seconds = [energy.seconds_for(target, IDLE, load_w, tick_s, above_idle=above_idle) for target in (small, large)]
    assert seconds[0] >= seconds[1] > 0


def test_what_no_window_can_reach_takes_forever():
    assert energy.seconds_for(0.01, Draw(100, 1), 100, 0.1) == math.inf  # nothing above idle
    assert energy.seconds_for(0.01, Draw(100, 1), 90, 0.1) == math.inf
    assert energy.seconds_for(0.01, Draw(100, 2), 200, 0.1) == math.inf  # the floor alone is 2% of what is above it
    assert energy.seconds_for(0.03, Draw(100, 2), 200, 0.1) < math.inf
    assert energy.seconds_for(0.01, Draw(100, 2), 200, 0.1, above_idle=False) < 1


@pytest.mark.parametrize("above_idle", [True, False])
@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("target", [0.02, 0.005, 0.002])
def test_a_window_of_that_length_has_that_error(target, tick_s, above_idle):
    """By the window's own error, which is what the run is held to. Not far above idle, where the length matters."""
    rng = random.Random(3)
    load_w = 130.0

    def enough(floor: Draw) -> float:
        return energy.seconds_for(target, floor, load_w, tick_s, above_idle=above_idle)

    reached = []
    for _ in range(40):
        found, _, _ = measure(rng, Constant(IDLE_W), Constant(load_w), tick_s=tick_s, seconds=enough)
        reached.append(found.above_idle_error_j / found.above_idle_j if above_idle else found.error_j / found.energy_j)
    assert statistics.median(reached) < 1.1 * target
    assert statistics.median(reached) > 0.1 * target  # nor is anybody made to wait for nothing


# ---- the fallback


def sampled(gpu: Gpu, start_s: float, end_s: float, *, period_s: float, window_s: float, every_s: float = 0.1):
    """What a sensor that renews its reading each `period_s`, averaged over `window_s`, says when asked `every_s`."""
    count = int((end_s - start_s) / every_s) + 1
    times = [start_s + every_s * i for i in range(count)]
    return [int(t * 1e9) for t in times], [
        gpu.watts(math.floor(t / period_s + 1e-9) * period_s, window_s) for t in times
    ]


def test_integrated_power_of_a_constant_load():
    gpu = Gpu(World(), Constant(300), tick_s=0.1)
    times, watts = sampled(gpu, 100, 110, period_s=0.1, window_s=0.1)
    found = energy.by_power(times, watts, 100 * S, 110 * S, window_s=0.1, idle=Draw(100, 2))
    assert found.method == "power_trapezoid"
    assert found.energy_j == pytest.approx(3000)
    assert found.error_j == pytest.approx(0.05 * 3000)
    assert found.above_idle_j == pytest.approx(2000)
    assert found.above_idle_error_j == pytest.approx(math.hypot(150, 20))
    assert energy.by_power(times, watts, 100 * S, 110 * S, window_s=0.1, idle=None).above_idle_j is None


@given(st.floats(0.05, 1.0), st.floats(10, 100))
def test_its_error_is_five_percent_or_two_sensor_windows(window_s, windows):
    seconds = window_s * windows + 1e-6
    times = [int(seconds * 1e9 * i / 300) for i in range(301)]
    found = energy.by_power(times, [200.0] * 301, 0, int(seconds * 1e9), window_s=window_s, idle=None)
    assert found.error_j / found.energy_j == pytest.approx(max(0.05, 2 * window_s / seconds), rel=1e-4)


def test_what_is_too_short_or_too_few_is_refused():
    times, watts = [i * S // 10 for i in range(101)], [100.0] * 101
    assert "9.9 s are too short for a power sensor that averages over 1 s" in energy.by_power(
        times, watts, 0, int(9.9 * S), window_s=1.0, idle=None
    )
    assert not isinstance(energy.by_power(times, watts, 0, 10 * S, window_s=1.0, idle=None), str)
    few = energy.by_power(times[::10], watts[::10], 0, 10 * S, window_s=0.1, idle=None)
    assert few == "10 power samples in the window; 20 are needed"
    assert energy.by_power([], [], 0, 10 * S, window_s=0.1, idle=None).startswith("0 power samples")


def test_samples_that_end_in_the_middle_do_not_stand_for_the_whole():
    """As of a device that was lost: what it drew afterwards, if anything, nobody knows."""
    times, watts = [i * S // 10 for i in range(61)], [100.0] * 61
    found = energy.by_power(times, watts, 0, 10 * S, window_s=0.1, idle=None)
    assert isinstance(found, str)
    assert "cover" in found


def test_what_the_sensor_still_holds_of_before_is_left_out():
    """A sensor that averages over 1 s shows the idle device for a second more."""
    gpu = Gpu(World(), Constant(80), tick_s=0.1)
    gpu.switch(100.0, Constant(500))
    times, watts = sampled(gpu, 100, 120, period_s=0.1, window_s=1.0)
    found = energy.by_power(times, watts, 100 * S, 120 * S, window_s=1.0, idle=None)
    assert found.energy_j == pytest.approx(500 * 20)
    plain = sum((a + b) / 2 * 0.1 for a, b in itertools.pairwise(watts))
    assert plain < 0.985 * 500 * 20
    # Samples from outside the window take no part.
    wide = energy.by_power([0, *times, 500 * S], [9e9, *watts, 9e9], 100 * S, 120 * S, window_s=1.0, idle=None)
    assert wide == found


@pytest.mark.parametrize("phase_s", [0.0, 0.03, 0.05, 0.08])
def test_a_load_in_step_with_the_sensor_fools_the_sensor_and_not_the_counter(phase_s):
    """25 ms of each 100 ms are seen: a load of that period always shows the same part of itself, however long."""
    rng = random.Random(9)
    wave = Square(650, 150, 0.1, phase_s)
    gpu = Gpu(World(), wave, tick_s=0.1)
    times, watts = sampled(gpu, 100, 130, period_s=0.1, window_s=0.025)
    truth = gpu.joules(130) - gpu.joules(100)
    found = energy.by_power(times, watts, 100 * S, 130 * S, window_s=0.025, idle=None)
    assert abs(found.energy_j / truth - 1) > 0.3
    counted, true, _ = measure(rng, Constant(IDLE_W), wave, tick_s=0.1, seconds=30.0)
    assert abs(counted.energy_j / true - 1) < 5e-4


# ---- folding


values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=50)


@given(values)
def test_summary_of_what_was_there(found):
    known = [v for v in found if v == v]
    what = summary.summarise(found)
    if not known:
        assert what is None
        return
    assert (what.min, what.max, what.start, what.end) == (min(known), max(known), known[0], known[-1])
    assert what.samples == len(known)
    assert what.min <= what.median <= what.max
    assert what.min - 1e-6 <= what.mean <= what.max + 1e-6


def test_absent_samples_are_not_zeros():
    what = summary.summarise([math.nan, 300.0, math.nan, 310.0, math.nan])
    assert (what.mean, what.min, what.start, what.end, what.samples) == (305, 300, 300, 310, 2)
    assert summary.chosen({"a": [math.nan], "b": [math.nan, 1.0]}, ("a", "b")) == "b"
    assert summary.chosen({"a": [math.nan]}, ("a", "b")) is None


masks = st.lists(st.one_of(st.integers(0, 2 ** len(throttling.REASONS) - 1).map(float), st.just(math.nan)))


@given(masks)
def test_sampled_shares_are_shares(found):
    known = [int(mask) for mask in found if mask == mask]
    shares = summary.sampled_share(found)
    if not known:
        assert shares is None
        return
    assert all(0 < share <= 1 for share in shares.values())
    for bit, name in enumerate(throttling.REASONS):
        assert shares.get(name, 0) == pytest.approx(sum(mask >> bit & 1 for mask in known) / len(known))
    slow = [mask for mask in known if throttling.against_its_will(throttling.reasons(mask))]
    assert shares.get("none", 0) == pytest.approx(1 - len(slow) / len(known))
    assert bool(throttling.throttled(shares)) == bool(slow)


counts = st.tuples(
    st.sampled_from(["power_cap", "thermal", "hw_slowdown"]), st.floats(0, 1e9), st.floats(-1e9, 1e9)
)  # fmt: skip


@given(st.lists(counts, max_size=6), st.floats(0, 1e12), st.floats(1, 1e9))
def test_counted_shares_are_shares(rows, base, span):
    before = ThrottleCounters(base, tuple((name, start) for name, start, _ in rows))
    after = ThrottleCounters(base + span, tuple((name, max(0.0, start + more)) for name, start, more in rows))
    shares = summary.counted_share(before, after)
    assert all(0 < share <= 1 for share in shares.values())
    slow = sum(share for name, share in shares.items() if name != "none")
    assert shares.get("none", 0.0) == pytest.approx(max(0.0, 1 - slow), abs=1e-9)
    assert summary.counted_share(after, before) is None
    assert summary.counted_share(before, before) is None


def test_of_several_counters_for_one_reason_the_largest_counts_and_a_reset_one_does_not():
    before = ThrottleCounters(0, (("thermal", 10), ("thermal", 0), ("power_cap", 5000)))
    after = ThrottleCounters(1000, (("thermal", 110), ("thermal", 300), ("power_cap", 20)))
    assert summary.counted_share(before, after) == {"thermal": 0.3, "none": 0.7}


# ---- the sampling thread


class Scripted(Device):
    """A device of these probes."""

    def __init__(self, *probes: Probe, vendor: str = "nvidia") -> None:
        super().__init__(vendor, 0, "gpu", "a test")
        self._probes = list(probes)

    def probes(self) -> list[Probe]:
        return self._probes


def columns(sampler: Sampler, name: str = "nvidia:0") -> dict[str, list[float]]:
    return sampler.feeds[name].between(0, 2**62)


def test_samples_lie_on_an_absolute_schedule_without_drift():
    world = World(100 * S)

    def power():
        world.wait(0.007)  # a call that takes 7 ms
        return (world.now() / 1e9,)

    sampler = Sampler([Scripted(Probe(("power_instant_w",), power))], 10.0, world.now)
    with world.driving(sampler):
        world.wait_until(110 * S - 50 * MS)
        found = columns(sampler)
    first = 100 * S + 7 * MS  # every probe is called once before the thread starts
    assert [t - first for t in found["t_ns"]] == [i * 100 * MS + 3_500_000 for i in range(100)]
    assert set(found["half_width_ns"]) == {3_500_000}
    assert sampler.missed == 0


def test_ticks_that_a_slow_call_ran_over_are_missed_and_counted():
    world = World(100 * S)
    calls = []

    def power():
        world.wait(0.35 if len(calls) == 11 else 0.0)  # the tenth row; one call came before the thread
        calls.append(world.now())
        return (1.0,)

    sampler = Sampler([Scripted(Probe(("power_instant_w",), power))], 10.0, world.now)
    with world.driving(sampler):
        world.wait_until(102 * S + 50 * MS)
    assert sampler.missed == 3
    assert [round((t - 100 * S) / 1e9, 3) for t in calls[1:]] == [
        *(i / 10 for i in range(10)), 1.35, *(i / 10 for i in range(14, 21)),
    ]  # fmt: skip


def test_jobs_run_in_the_one_thread_between_samples_and_what_they_raise_comes_out():
    world = World()
    threads = []

    def power():
        threads.append(threading.current_thread())
        return (1.0,)

    def fail():
        threads.append(threading.current_thread())
        raise LookupError("of the job")

    sampler = Sampler([Scripted(Probe(("power_instant_w",), power))], 10.0, world.now)
    with world.driving(sampler):
        world.wait(0.5)
        with pytest.raises(LookupError, match="of the job"):
            sampler.call(fail)
        world.wait(0.5)
        assert sampler.call(threading.current_thread) is threads[-1]
        assert sampler.call(lambda: sampler.call(lambda: 5)) == 5  # from within, it does not wait for itself
        assert len(columns(sampler)["t_ns"]) == 11
    assert len(set(threads[1:])) == 1  # the first asks once before the thread is there
    assert threads[1].name == "telemetry"
    assert not threads[1].is_alive()
    assert sampler.call(lambda: 7) == 7
    assert sampler.cpu_share is None


def test_the_thread_ends_also_when_the_block_raises_and_there_is_none_without_devices():
    before = threading.active_count()
    with pytest.raises(KeyError), Sampler([Scripted(Probe(("power_instant_w",), lambda: (1.0,)))], 50.0):
        assert threading.active_count() == before + 1
        raise KeyError
    assert threading.active_count() == before
    with Sampler([]) as sampler:
        assert threading.active_count() == before
        assert sampler.call(lambda: 3) == 3
    assert sampler.cpu_share is None


def test_a_ring_keeps_the_newest_and_says_what_it_lost():
    world = World()
    feed = Feed(Scripted(Probe(("power_instant_w",), lambda: (world.now() / 1e9,))), 8)
    feed.settle()
    for _ in range(8):
        feed.take(world.now)
        world.wait(1.0)
    assert not feed.overwritten(100 * S)
    for _ in range(12):
        feed.take(world.now)
        world.wait(1.0)
    assert feed.between(0, 2**62)["power_instant_w"] == [float(t) for t in range(112, 120)]
    assert feed.between(113 * S, 115 * S)["t_ns"] == [113 * S, 114 * S, 115 * S]
    assert feed.overwritten(111 * S)
    assert not feed.overwritten(112 * S)
    assert feed.count == 20


def test_what_is_asked_for_seldom_is_not_all_asked_for_at_once():
    world = World()
    asked: dict[str, int] = {}

    def probe(key: str, every: int) -> Probe:
        def call():
            asked[key] = asked.get(key, 0) + 1
            return (1.0,)

        return Probe((key,), call, every)

    feed = Feed(
        Scripted(
            probe("power_instant_w", 1), probe("gpu_utilization_pct", 3), probe("core_clock_hz", 3),
            probe("memory_clock_hz", 3),
        ), 64,
    )  # fmt: skip
    feed.settle()
    asked.clear()
    for _ in range(30):
        feed.take(world.now)
    assert asked == {"power_instant_w": 30, "gpu_utilization_pct": 10, "core_clock_hz": 10, "memory_clock_hz": 10}
    found = feed.between(0, 2**62)
    for row in zip(*(found[key] for key in ("gpu_utilization_pct", "core_clock_hz", "memory_clock_hz")), strict=True):
        assert sum(value == value for value in row) == 1
    assert summary.summarise(found["core_clock_hz"]).samples == 10


def test_an_absent_value_comes_back_as_absent_and_never_as_a_number():
    world = World()
    answers = {"power_instant_w": 0.0, "temperature_core_c": Absent("unsupported", "no such sensor")}

    def power():
        return answers["power_instant_w"], Absent("transient", "try again")

    feed = Feed(
        Scripted(
            Probe(("power_instant_w", "power_average_w"), power),
            Probe(("temperature_core_c",), lambda: (answers["temperature_core_c"],)),
        ), 64,
    )  # fmt: skip
    assert feed.settle() == {"power_instant_w": 0.0}
    for value in (200.0, Absent("transient", "off the air"), 210.0):
        answers["power_instant_w"] = value
        answers["temperature_core_c"] = 55.0  # too late: what said "never" at first is not asked again
        feed.take(world.now)
    found = feed.between(0, 2**62)
    assert found["power_instant_w"][0] == 200
    assert math.isnan(found["power_instant_w"][1])
    assert summary.summarise(found["power_instant_w"]).mean == 205
    for key in ("power_average_w", "temperature_core_c", "energy_j"):
        assert summary.summarise(found[key]) is None
    assert feed.absent["temperature_core_c"].reason == "no such sensor"
    assert feed.absent["power_average_w"].status == "transient"
    assert feed.absent["energy_j"] == Absent("unsupported", "a test has no call for it")


def test_a_device_is_lost_at_the_third_strike_in_a_row():
    world = World()
    strikes: list[bool] = []
    calls = []

    def power():
        calls.append(1)
        if strikes and strikes.pop(0):
            raise Lost("fell off the bus")
        return (1.0,)

    feed = Feed(Scripted(Probe(("power_instant_w",), power)), 64)
    feed.settle()
    strikes += [True, True, False, True, True, True, False]
    for _ in range(6):
        feed.take(world.now)
    assert feed.lost == "fell off the bus"
    assert feed.count == 1  # no row of a device that was not there
    before = len(calls)
    feed.take(world.now)
    assert len(calls) == before


def test_one_lost_device_does_not_stop_the_others():
    world = World()

    def gone():
        raise Lost("gone")

    devices = [
        Scripted(Probe(("power_instant_w",), gone)),
        Scripted(Probe(("power_instant_w",), lambda: (1.0,)), vendor="amd"),
    ]
    sampler = Sampler(devices, 10.0, world.now)
    with world.driving(sampler):
        world.wait(1.05)
        assert sampler.feeds["nvidia:0"].lost == "gone"
        assert len(columns(sampler, "amd:0")["t_ns"]) == 11
        assert columns(sampler, "nvidia:0")["t_ns"] == []


@pytest.mark.parametrize(("tick_s", "lag_s"), [(0.001, 0.0), (0.001, 0.02), (0.1, 0.0), (0.1, 0.05), (0.1, 0.1)])
def test_a_counter_that_lags_gives_no_bias(lag_s, tick_s):
    """What is published at an edge may be some milliseconds old: the first edge after a window then lacks its end."""
    rng = random.Random(11)
    errors = []
    for _ in range(60):
        world = World(S)
        gpu = Gpu(world, Constant(100), tick_s=tick_s, phase_s=rng.random() * tick_s, latency_s=1e-4)
        read = gpu.joules
        gpu.joules = lambda t, read=read: read(max(t - lag_s, 0.0))
        world.wait(1.0 + rng.random())
        before = energy.opening(watched(world, gpu, 3))
        start = world.now()
        gpu.switch(start / 1e9, Constant(500))
        world.wait(2.0)
        end = world.now()
        gpu.switch(end / 1e9, Constant(100))
        found = energy.by_counter(before, energy.closing(watched(world, gpu, 4), end, tick_s), start, end, None)
        errors.append(found.energy_j / 1000.0 - 1)
    assert abs(statistics.fmean(errors)) < 2e-3
    assert max(map(abs, errors)) < 6e-3
