"""The unit of inference: processes, runs or machines."""

from __future__ import annotations

import math
import statistics

import pytest

from gpuprof.analysis.levels import level
from support.scatter import of


def test_the_unit_is_the_highest_level_that_there_is():
    one_run = [of(1.0, 1.1, 1.2)]
    two_runs = [of(1.0, 1.1), of(1.2, 1.3)]
    three_runs = [*two_runs, of(1.1, 1.15)]
    two_machines = [*three_runs, of(1.4, machine="n")]
    three_machines = [*two_machines, of(1.5, machine="o")]
    found = [(one.unit, one.units, len(one.machines))
             for one in map(level, (one_run, two_runs, three_runs, two_machines, three_machines))]  # fmt: skip
    assert found == [("process", 3, 1), ("process", 4, 1), ("run", 3, 1), ("run", 4, 2), ("machine", 3, 3)]


def test_processes_of_two_runs_scatter_around_the_mean_of_each():
    """What the runs differ by is the scatter of days."""
    values = (1.0, 1.1, 1.3, 1.35, 1.2)
    parts = level([of(*values[:2]), of(*values[2:])])
    logs = [[math.log(v) for v in part] for part in (values[:2], values[2:])]
    means = [statistics.fmean(part) for part in logs]
    within = sum((log - m) ** 2 for part, m in zip(logs, means, strict=True) for log in part)
    assert parts.mean == pytest.approx(statistics.fmean(map(math.log, values)))
    assert parts.variance == pytest.approx(within / 3 / 5)
    assert parts.freedom == 3
    assert parts.days == pytest.approx((sum((m - parts.mean) ** 2 for m in means), 1))
    assert (parts.day_share, parts.machine_share) == (0.5, 1)


def test_two_machines_scatter_around_the_mean_of_each():
    found = level([of(1.0, 1.1), of(1.3, 1.4, machine="n")])
    assert found.names == ("m", "n")
    assert found.chassis.freedom == 1
    assert found.chassis.squares == pytest.approx((found.machines[1][1] - found.machines[0][1]) ** 2 / 2)
    assert (found.day_share, found.machine_share) == (0.5, 0.5)


def test_runs_and_machines_count_once_each_however_many_processes_they_have():
    runs = [of(*[100.0] * 2), of(*[110.0] * 9), of(*[121.0] * 3)]
    assert math.exp(level(runs).mean) == pytest.approx(110)
    machines = [of(*[100.0] * 2, machine="a"), of(*[121.0] * 9, machine="b")]
    assert math.exp(level(machines).mean) == pytest.approx(110)
