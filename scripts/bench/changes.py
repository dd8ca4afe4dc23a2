"""Change detection on seeded series: how often a step is found and how soon, how often one is invented, how fast.

    python scripts/bench/changes.py [--series 400]

Runs scatter by 1%; 3% of them are slowed to between 1/1.2 and 1/2. A step counts as found within three runs of where it
is. Goals: a 5% step found within 5 runs in 95% of series, a 3% step within 10 in 85%; a change in at most 1% of series
of 60 runs without one; at most 0.2 s of CPU time for 150 runs. Series that lose 10% in 150 nights, evenly, at a scatter
of 0.3%, are called worse in 95%; where weekends are slower by 4%, at most 5% of the nights after four weeks are; in at
most 10% of months in which nothing changes any night is.

Without a goal: how often one night alone, after 40, is called worse when it is 5% slower, and when nothing changed. And
how often a change is found, where there is none, in runs that do not scatter independently about one level, as PELT
takes it.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta

from gpuprof.analysis import history
from gpuprof.analysis.change_points import change_points
from gpuprof.analysis.newest import NIGHT_LEVEL, over_earlier
from gpuprof.analysis.series import Key, Point
from gpuprof.index.brief import shared

CV, OUTLIERS, BEFORE, WITHIN = 0.01, 0.03, 40, 3
NOTHING = shared("{}")


def series(rng: random.Random, runs: int, step: float = 0.0, at: int = 0) -> list[float]:
    """Throughputs; from run `at` on lower by `step`."""
    values = []
    for run in range(runs):
        value = 100.0 * (1 + rng.gauss(0, CV)) / (rng.uniform(1.2, 2.0) if rng.random() < OUTLIERS else 1.0)
        values.append(value * (1 - step) if run >= at else value)
    return values


def found(rng: random.Random, count: int, step: float, new: int) -> float:
    """Share of series of BEFORE runs and `new` ones below them whose step is found."""
    hits = (
        any(abs(point - BEFORE) <= WITHIN for point in change_points(series(rng, BEFORE + new, step, BEFORE)))
        for _ in range(count)
    )
    return sum(hits) / count


def invented(rng: random.Random, count: int, runs: int = 60) -> float:
    """Share of series without a step in which one is found."""
    return sum(bool(change_points(series(rng, runs))) for _ in range(count)) / count


def nights(rng: random.Random, count: int, step: float) -> float:
    """Share of single nights that are called worse than the BEFORE ones before them."""
    worse = 0
    for _ in range(count):
        values = series(rng, BEFORE + 1, step, BEFORE)
        effect = over_earlier([Point("", "", value, None, {}, NOTHING, NOTHING, dict) for value in values])
        assert effect is not None and effect.p is not None  # BEFORE runs are enough for both
        worse += effect.ratio <= 1 - history.LEAST and effect.p < NIGHT_LEVEL
    return worse / count


def judged(values: list[float], metric: str = "throughput_per_s") -> bool:
    """Whether `gpuprof nightly` would call the last of these nights, one a day, worse."""
    first = date(2026, 1, 5)  # a Monday
    points = [Point("", (first + timedelta(days=i)).isoformat(), value, None, {}, NOTHING, NOTHING, dict)
              for i, value in enumerate(values)]  # fmt: skip
    key = Key("m", "d", False, "c", "full", ("w",), ())
    followed = history._series("w", key, points[-history.WINDOW :], metric)
    return bool(history.regressions([followed], tonight=True))


def iid(rng: random.Random, runs: int, scatter: float = CV) -> list[float]:
    return [100.0 * math.exp(rng.gauss(0, scatter)) for _ in range(runs)]


def decay(rng: random.Random, count: int, decline: float = 0.10, runs: int = 150, scatter: float = 0.003) -> float:
    """Share of series that decline evenly, and are called worse in their last night."""
    return (
        sum(
            judged([value * (1 - decline * i / runs) for i, value in enumerate(iid(rng, runs, scatter))])
            for _ in range(count)
        )
        / count
    )


def weekends(rng: random.Random, count: int, slow: float = 0.04, weeks: int = 4) -> float:
    """Share of the nights of the two weeks after `weeks` weeks that are called worse, where weekends are slow."""
    alarms = nights_ = 0
    for _ in range(count):
        values = [value * (1 - slow * (i % 7 > 4)) for i, value in enumerate(iid(rng, 7 * (weeks + 2)))]
        for night in range(7 * weeks, len(values)):
            alarms += judged(values[: night + 1])
            nights_ += 1
    return alarms / nights_


def months(rng: random.Random, count: int, before: int = BEFORE) -> float:
    """Share of months, 30 nights of one series in which nothing changes, in which any night is called worse."""
    found_ = 0
    for _ in range(count):
        values = iid(rng, before + 30)
        found_ += any(judged(values[: before + night + 1]) for night in range(30))
    return found_ / count


def drifting(rng: random.Random, runs: int = 60, memory: float = 0.5) -> list[float]:
    """Each run has something of the one before it (first-order autoregression)."""
    state, values = 0.0, []
    for _ in range(runs):
        state = memory * state + rng.gauss(0, CV * math.sqrt(1 - memory**2))
        values.append(100.0 * math.exp(state))
    return values


def two_states(rng: random.Random, runs: int = 60, share: float = 0.5) -> list[float]:
    """As with a clock or an algorithm that is chosen anew in each run."""
    return [100.0 * (1 + rng.gauss(0, 0.003)) * (1.03 if rng.random() < share else 1.0) for _ in range(runs)]


def tied(rng: random.Random, runs: int = 60) -> list[float]:
    """As peak memory: most values are equal to the last byte."""
    return [110.0 if rng.random() < 0.2 else 100.0 for _ in range(runs)]


def changed(rng: random.Random, count: int, make: Callable[[random.Random], list[float]]) -> float:
    return sum(bool(change_points(make(rng))) for _ in range(count)) / count


def seconds(rng: random.Random, runs: int = 150, times: int = 5) -> float:
    """CPU time of one series, the least of several; the first call imports and does not count."""
    change_points(series(rng, runs))
    took = []
    for _ in range(times):
        values = series(rng, runs, 0.03, runs // 2)
        start = time.process_time()
        change_points(values)
        took.append(time.process_time() - start)
    return min(took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    rows = [
        ("5% step within 5 runs", found(rng, options.series, 0.05, 5), ">=", 0.95),
        ("3% step within 10 runs", found(rng, options.series, 0.03, 10), ">=", 0.85),
        ("10% step within 5 runs", found(rng, options.series, 0.10, 5), ">=", 0.95),
        ("a change in 60 runs without one", invented(rng, options.series), "<=", 0.01),
        ("seconds for 150 runs", seconds(rng), "<=", 0.2),
        ("10% in 150 nights, evenly", decay(rng, options.series // 2), ">=", 0.95),
        ("alarms in nights with slow weekends", weekends(rng, max(10, options.series // 20)), "<=", 0.05),
        ("months of one series with a false alarm", months(rng, options.series // 2), "<=", 0.1),
    ]
    good = True
    for name, value in (
        ("one night, 5% slower", nights(rng, 10 * options.series, 0.05)),
        ("one night, nothing changed", nights(rng, 10 * options.series, 0.0)),
        ("a change in 60 runs of two states", changed(rng, options.series, two_states)),
        ("a change in 60 runs, most of them equal", changed(rng, options.series, tied)),
        ("a change in 60 runs, autocorrelation 0.5", changed(rng, options.series, drifting)),
    ):
        print(f"{name:<42}{value:8.3f}")
    for name, value, sense, goal in rows:
        met = value >= goal if sense == ">=" else value <= goal
        good &= met
        print(f"{name:<42}{value:8.3f}   goal {sense} {goal}   {'met' if met else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
