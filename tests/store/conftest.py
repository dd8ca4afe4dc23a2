"""A record of the first schema, as it lies in its file."""

from __future__ import annotations

import json

import pytest

from support.running import KEPT


@pytest.fixture
def old() -> dict:
    return json.loads((KEPT / "record.json").read_text())
