"""What tells an index of another meaning, so that it is made anew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

from gpuprof import throttling
from gpuprof.index.brief import NOTABLE, PER_METRIC, STATIC
from gpuprof.index.digest import IDENTITY, READ_BEFORE, CaseDigest, Digest
from gpuprof.metrics import METRICS, Metric

_MEANING = 12  # raise it where a value comes to mean something else and none of the tables below shows it


def version(metrics: Sequence[Metric] = METRICS) -> int:
    """What tells an index that holds something else: it is made anew. 31 bits, as SQLite keeps a signed 32-bit number.

    It follows the tables by itself: a row more in METRICS moves every number that an index holds.
    """
    tables = (
        _MEANING, [(metric.key, metric.unit, metric.each is not None) for metric in metrics], PER_METRIC, NOTABLE,
        STATIC, READ_BEFORE, IDENTITY, throttling.against_its_will((*throttling.REASONS, throttling.NONE)),
        [[one.name for one in dataclasses.fields(kind)] for kind in (CaseDigest, Digest)],
    )  # fmt: skip
    return int.from_bytes(hashlib.sha256(json.dumps(tables).encode()).digest()[:4], "big") >> 1


VERSION = version()
