"""The timing loop on a clock of its own: what is divided by what, and when it stops."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest

from gpuprof.config.configuration import Configuration
from gpuprof.record.config import ConfigRecord
from gpuprof.supervisor import plan
from gpuprof.worker.timing import Blocks, Meter, drift, judge, measure_blocks, measure_requests, warm_up

RECORD = ConfigRecord(file="x", sha256="0" * 64, text="")
FULL = plan.protocol(Configuration([], 5, None, RECORD), quick=False)
QUICK = plan.protocol(Configuration([], 5, None, RECORD), quick=True)


@dataclass
class World:
    """A clock that only steps and synchronisations move. Work runs behind the host, as on a GPU."""

    step_times: object
    submit_s: float = 1e-5
    now: float = 0.0
    busy_until: float = 0.0
    steps: int = 0
    synchronisations: int = 0
    has_events: bool = True
    _iterator: object = field(init=False)

    def __post_init__(self):
        self._iterator = iter(self.step_times)

    def clock(self) -> float:
        return self.now

    def step(self) -> None:
        self.steps += 1
        self.now += self.submit_s
        self.busy_until = max(self.busy_until, self.now) + next(self._iterator)

    def synchronize(self) -> None:
        self.synchronisations += 1
        self.now = max(self.now, self.busy_until)

    def event(self):
        return Event(self) if self.has_events else None


@dataclass
class Event:
    world: World
    at: float = 0.0

    def record(self) -> None:
        self.at = max(self.world.now, self.world.busy_until)

    def elapsed_time(self, other: Event) -> float:
        return (other.at - self.at) * 1e3


def steadily(seconds: float, noise: float = 0.0):
    rng = random.Random(0)
    while True:
        yield seconds * (1 + noise * rng.gauss(0, 1))


def meter(world: World) -> Meter:
    return Meter(world.step, world, world.clock)


def test_block_has_one_synchronisation_and_three_clocks():
    world = World(steadily(1e-3), submit_s=1e-4)
    blocks = Blocks(20)
    meter(world).block(blocks)
    assert (world.steps, world.synchronisations) == (20, 1)
    assert blocks.wall_s == [pytest.approx(1e-3, rel=0.01)]
    assert blocks.submit_s == [pytest.approx(1e-4)]
    assert blocks.device_s == [pytest.approx(1e-3, rel=0.01)]


def test_host_bound_work_is_seen_in_the_submit_time():
    world = World(steadily(1e-6), submit_s=1e-3)
    blocks = Blocks(20)
    meter(world).block(blocks)
    assert blocks.submit_s[0] / blocks.wall_s[0] > 0.99


def test_no_device_events_no_device_times():
    world = World(steadily(1e-3), has_events=False)
    blocks = Blocks(3)
    meter(world).block(blocks)
    assert blocks.device_s == []


@pytest.mark.parametrize("step_s", [1e-5, 1e-3, 0.5])
def test_warm_up_takes_its_steps_its_time_and_blocks_long_enough(step_s):
    world = World(steadily(step_s))
    warmup, steps_per_block = warm_up(meter(world), FULL)
    assert warmup.steady, warmup.reason
    assert warmup.steps == world.steps >= FULL.warmup_min_steps
    assert warmup.seconds >= FULL.warmup_min_s
    assert steps_per_block * (step_s + world.submit_s) >= FULL.block_min_s
    assert steps_per_block == 1 or step_s < FULL.block_min_s


def test_warm_up_goes_on_while_steps_become_faster():
    def cooling():
        step_s = 0.01
        for _ in range(2000):
            yield step_s
            step_s *= 0.999
        yield from steadily(step_s)

    warmup, _ = warm_up(meter(World(cooling())), FULL)
    assert warmup.steady
    assert warmup.steps > 1500


def test_warm_up_gives_up_on_what_never_settles():
    def growing():
        step_s = 0.01
        while True:
            yield step_s
            step_s *= 1.001

    warmup, _ = warm_up(meter(World(growing())), QUICK)
    assert not warmup.steady
    assert warmup.reason.startswith("gave up after 3")
    assert "rise" in warmup.reason or "differ" in warmup.reason


def test_noise_without_a_trend_is_steady_and_a_step_is_not():
    rng = random.Random(8)
    flat = [1 + 0.03 * rng.gauss(0, 1) for _ in range(30)]
    assert judge(flat)[0] == "steady"
    assert judge([*(v * 1.3 for v in flat[:10]), *flat[10:]])[0] == "moving"
    assert judge(flat[:8]) == ("moving", "8 blocks are too few to judge (9 needed)")


def test_false_alarms_of_steadiness_are_few():
    rng = random.Random(4)
    steady = sum(judge([1 + 0.02 * rng.gauss(0, 1) for _ in range(30)])[0] == "steady" for _ in range(300))
    # A check that fails is repeated one block later, so a false alarm costs a block, not the verdict.
    assert steady > 210


def test_throughput_window_is_a_fixed_time_with_a_least_number_of_blocks():
    fast, slow = World(steadily(1e-3)), World(steadily(0.9))
    assert measure_blocks(meter(fast), FULL, 20).total_s == pytest.approx(FULL.measure_min_s, abs=0.05)
    assert len(measure_blocks(meter(slow), FULL, 1).wall_s) == FULL.measure_min_blocks
    endless = World(steadily(10.0))
    assert len(measure_blocks(meter(endless), FULL, 1).wall_s) == 3


def test_requests_are_synchronised_one_by_one_and_enough_for_a_p99():
    world = World(steadily(8e-3))
    times, submits = measure_requests(meter(world), FULL)
    assert submits == [pytest.approx(world.submit_s)] * 299
    assert len(times) == world.synchronisations == 299
    assert times[0] == pytest.approx(8e-3, rel=0.01)
    assert len(measure_requests(meter(World(steadily(3.0))), FULL)[0]) == 4


@pytest.mark.parametrize("step_s", [1e-4, 1e-5])
def test_short_requests_fill_the_window_and_are_kept_evenly(step_s):
    """Requests that get slower as time goes by: the first and the last of the window are among those kept."""
    world = World(())
    world._iterator = (step_s * (1 + world.now) for _ in itertools.count())
    times, submits = measure_requests(meter(world), FULL)
    assert FULL.latency_min_s <= world.now < 1.1 * FULL.latency_min_s
    assert FULL.latency_max_requests <= len(times) == len(submits) < 2 * FULL.latency_max_requests
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[-1] > 1.9 * times[0]
    assert max(gaps) < 0.01 * times[-1]


def test_great_noise_is_called_noisy_and_never_steady():
    rng = random.Random(6)
    states = [judge([1 + 0.4 * rng.random() for _ in range(30)])[0] for _ in range(200)]
    assert states.count("noisy") > 50
    for _ in range(200):
        times = [1 + 0.4 * rng.random() for _ in range(30)]
        assert judge(times)[0] != "steady" or drift(times) <= 0.05


def test_drift_is_the_spread_of_thirds():
    assert drift([1.0] * 10 + [1.1] * 10 + [1.3] * 10) == pytest.approx(0.3 / 1.1)
    assert drift([2.0, 2.0, 2.0]) == 0
