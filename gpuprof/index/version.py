"""The version of an index, by which one whose contents mean something else is known and made anew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

from gpuprof import throttling
from gpuprof.index.brief import NOTABLE, PER_METRIC, STATIC
from gpuprof.index.digest import IDENTITY, READ_BEFORE, CaseDigest, Digest
from gpuprof.metrics import INDEXED, Metric

_MEANING = 14  # raise it when a value comes to mean something else and none of the tables below shows that


def version(metrics: Sequence[Metric] = INDEXED) -> int:
    """A number that changes with what an index holds. 31 bits, since SQLite keeps a signed 32-bit number.

    It follows the tables by itself: a new row in INDEXED moves every number in an index.
    """
    tables = (
        _MEANING, [(metric.key, metric.unit, metric.each is not None) for metric in metrics], PER_METRIC, NOTABLE,
        STATIC, READ_BEFORE, IDENTITY, throttling.against_its_will((*throttling.REASONS, throttling.NONE)),
        [[field.name for field in dataclasses.fields(kind)] for kind in (CaseDigest, Digest)],
    )  # fmt: skip
    return int.from_bytes(hashlib.sha256(json.dumps(tables).encode()).digest()[:4], "big") >> 1


VERSION = version()
