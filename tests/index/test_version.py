"""The index's version follows the tables that digests are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuprof.index.version import VERSION, version
from gpuprof.metrics import INDEXED


@pytest.mark.parametrize(
    "table",
    [
        INDEXED[:-1],
        (*INDEXED, replace(INDEXED[0], key="another")),
        (INDEXED[1], INDEXED[0], *INDEXED[2:]),
        (replace(INDEXED[0], unit="steps/s"), *INDEXED[1:]),
        (replace(INDEXED[0], each=None), *INDEXED[1:]),
    ],
    ids=["a row less", "a row more", "another order", "another unit", "no values of processes"],
)
def test_the_version_follows_the_table_of_metrics(table):
    assert version(table) != VERSION == version(INDEXED)
    assert 0 <= version(table) < 2**31  # what SQLite's user_version holds
