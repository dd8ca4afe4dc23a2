"""The unit of inference: processes, runs or machines."""

from __future__ import annotations

import math

import pytest

from gpuprof.analysis.levels import level
from support.scatter import of


def test_the_unit_is_the_highest_level_that_there_is():
    one_run = [of(1.0, 1.1, 1.2)]
    two_runs = [of(1.0, 1.1), of(1.2, 1.3)]
    three_runs = [*two_runs, of(1.1, 1.15)]
    two_machines = [*three_runs, of(1.4, machine="n")]
    found = [(one.unit, one.units, one.machines) for one in map(level, (one_run, two_runs, three_runs))]
    assert found == [("process", 3, 1), ("process", 4, 1), ("run", 3, 1)]
    found = level(two_machines)
    assert (found.unit, found.units, found.machines) == ("machine", 2, 2)


def test_processes_of_two_runs_scatter_around_one_mean():
    values = (1.0, 1.1, 1.3, 1.35, 1.2)
    whole = level([of(*values)])
    parts = level([of(*values[:2]), of(*values[2:])])
    assert (parts.mean, parts.variance) == (pytest.approx(whole.mean), pytest.approx(whole.variance))


def test_runs_and_machines_count_once_each_however_many_processes_they_have():
    runs = [of(*[100.0] * 2), of(*[110.0] * 9), of(*[121.0] * 3)]
    assert math.exp(level(runs).mean) == pytest.approx(110)
    machines = [of(*[100.0] * 2, machine="a"), of(*[121.0] * 9, machine="b")]
    assert math.exp(level(machines).mean) == pytest.approx(110)
