"""Help is quick and says how: it imports nothing heavy."""

from __future__ import annotations

from support.running import imported_by


def test_help_imports_no_statistics():
    for arguments in (["history", "--help"], ["nightly", "--help"], ["schedule", "render", "--help"]):
        assert not imported_by(*arguments) & {"numpy", "scipy", "ruptures", "torch", "rich", "pydantic"}
