"""The sampling thread: on an absolute schedule, in virtual time."""

from __future__ import annotations

import math
import threading

import pytest

from gpuprof.telemetry import summary
from gpuprof.telemetry.device import Device, Lost, NoReading, Probe, Stuck
from gpuprof.telemetry.sampler import Feed, Sampler
from support.counted import MS
from support.virtual import S, World


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
    feed.choose_probes()
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
    feed.choose_probes()
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
    answers = {"power_instant_w": 0.0, "temperature_core_c": NoReading("no such sensor", "unsupported")}

    def power():
        return answers["power_instant_w"], NoReading("try again", "transient")

    feed = Feed(
        Scripted(
            Probe(("power_instant_w", "power_average_w"), power),
            Probe(("temperature_core_c",), lambda: (answers["temperature_core_c"],)),
        ), 64,
    )  # fmt: skip
    assert feed.choose_probes() == {"power_instant_w": 0.0}
    for value in (200.0, NoReading("off the air", "transient"), 210.0):
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
    assert feed.absent["energy_j"] == NoReading("a test does not report it", "unsupported")


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
    feed.choose_probes()
    strikes += [True, True, False, True, True, True, False]
    for _ in range(6):
        feed.take(world.now)
    assert feed.lost == NoReading("fell off the bus", "lost")
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
        assert sampler.feeds["nvidia:0"].lost == NoReading("gone", "lost")
        assert len(columns(sampler, "amd:0")["t_ns"]) == 11
        assert columns(sampler, "nvidia:0")["t_ns"] == []


def test_a_library_that_hangs_in_the_middle_loses_every_feed_with_the_true_reason():
    never = threading.Event()
    power = Probe(("power_instant_w",), lambda: (1.0,))
    sampler = Sampler([Scripted(power), Scripted(power, vendor="amd")], 50, patience_s=0.05)
    with sampler:
        with pytest.raises(Stuck, match="did not answer within"):
            sampler.call(never.wait)
        assert [feed.lost.reason for feed in sampler.feeds.values()] == [sampler.stuck] * 2
        never.set()
