"""The index's version follows the tables that digests are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuprof.index.version import VERSION, version
from gpuprof.metrics import METRICS


@pytest.mark.parametrize(
    "table",
    [
        METRICS[:-1],
        (*METRICS, replace(METRICS[0], key="another")),
        (METRICS[1], METRICS[0], *METRICS[2:]),
        (replace(METRICS[0], unit="steps/s"), *METRICS[1:]),
        (replace(METRICS[0], each=None), *METRICS[1:]),
    ],
    ids=["a row less", "a row more", "another order", "another unit", "no values of processes"],
)
def test_the_version_follows_the_table_of_metrics(table):
    assert version(table) != VERSION == version(METRICS)
    assert 0 <= version(table) < 2**31  # what SQLite's user_version holds
