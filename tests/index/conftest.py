"""A store whose index is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.indexed import publish


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A store with four runs; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "runs"
    for number in range(4):
        publish(directory, number, rate=100.0 + number, host=f"host{number % 2}")
    return directory
