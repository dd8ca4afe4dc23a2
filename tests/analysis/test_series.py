"""Which runs are one series, and which are points of it."""

from __future__ import annotations

import pytest

from gpuprof.analysis.series import Key, _brief
from gpuprof.store.assemble import assemble
from support.journals import journal, repeat
from support.nights import followed, night


def test_series_are_one_machine_one_file_one_work():
    records = [
        night(0, 100), night(1, 100, host="other"), night(2, 100, config="y"), night(3, 100, requested="bf16"),
        night(4, 100, threads=8), night(5, 100, params={"fused": False}), night(6, 100, effective="tf32"),
        night(7, 100, params={"hidden_size": 8}),
    ]  # fmt: skip
    series = followed(*records)
    assert sorted(len(one.points) for one in series) == [1, 1, 1, 1, 4]  # threads, kernels, arithmetic: settings
    assert len({one.title for one in series}) == len(series)


def test_a_run_with_several_ways_of_the_same_work_keeps_them_apart():
    lines = journal(repeat(0, samples_per_s=100))
    request = lines[1]["request"]
    lines.insert(2, {**lines[1], "case_id": "b", "request": {**request, "threads": 4}})
    lines.insert(4, {"type": "repeat", "case_id": "b", "repeat": repeat(0, samples_per_s=300), "raw": {}})
    both = assemble(lines, "2026-11-23T09:00:00.000Z")[0]
    one, other = followed(night(0, 99, config="x").model_copy(update={"config": both.config}), both)
    assert sorted((len(one.points), len(other.points))) == [1, 2]


def test_seeds_of_one_run_are_series_of_their_own():
    lines = journal(repeat(0, samples_per_s=100))
    lines.insert(2, {**lines[1], "case_id": "seed1"})
    lines.insert(4, {"type": "repeat", "case_id": "seed1", "repeat": repeat(0, samples_per_s=80), "raw": {}})
    series = followed(assemble(lines, "2026-11-23T09:00:00.000Z")[0])
    assert [[round(value) for value in one.values] for one in series] == [[100], [80]]
    assert len({one.title for one in series}) == 2


def test_failed_and_wrong_runs_are_no_points():
    (series,) = followed(night(0, 100), night(1, 100, outcome="error"), night(2, 1000, verdict="wrong"))
    assert [point.value for point in series.points] == [pytest.approx(100, rel=0.01)]
    assert series.newest is None
    assert "too short to judge: 1 of 10 runs" in series.short


def test_a_title_names_the_device_and_no_whole_id_of_a_card():
    h100 = {"gpu": "NVIDIA H100 80GB HBM3", "vendor": "nvidia"}
    two = followed(night(0, 100), night(1, 100, **h100))
    assert {one.title.rpartition(" · ")[2] for one in two} == {"H100", two[0].device.removeprefix("AMD ")}
    alike = followed(night(0, 100, host="a-long-name-1"), night(1, 100, host="a-long-name-2"))
    assert {one.title.rpartition(" · ")[2] for one in alike} == {"a-long-name-1", "a-long-name-2"}
    key = Key("GPU-0a1b2c3d-1111-2222-3333-444455556666", "H100", False, "x", "full", ("lstm",), ())
    assert _brief(key) == "0a1b2c3d"
