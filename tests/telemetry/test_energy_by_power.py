"""Without a counter: integrated power, its wider error, and what fools it."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof.absent import Absent
from gpuprof.telemetry import energy
from gpuprof.telemetry.energy import WindowEnergy
from gpuprof.telemetry.ticks import Draw
from support.counted import IDLE_W, Constant, Gpu, Square, measure
from support.virtual import S, World


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
    short = energy.by_power(times, watts, 0, int(9.9 * S), window_s=1.0, idle=None)
    assert "9.9 s is too short for a power sensor that averages over 1 s (at least 10 s needed)" in short.reason
    assert isinstance(energy.by_power(times, watts, 0, 10 * S, window_s=1.0, idle=None), WindowEnergy)
    few = energy.by_power(times[::10], watts[::10], 0, 10 * S, window_s=0.1, idle=None)
    assert few == Absent("10 power samples in the window; 20 needed")
    assert energy.by_power([], [], 0, 10 * S, window_s=0.1, idle=None).reason.startswith("0 power samples")


def test_samples_that_end_in_the_middle_do_not_stand_for_the_whole():
    """As of a device that was lost: what it drew afterwards, if anything, nobody knows."""
    times, watts = [i * S // 10 for i in range(61)], [100.0] * 61
    found = energy.by_power(times, watts, 0, 10 * S, window_s=0.1, idle=None)
    assert isinstance(found, Absent)
    assert "cover" in found.reason


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
