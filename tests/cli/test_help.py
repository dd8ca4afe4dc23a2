"""Help is quick and says how: it imports nothing heavy."""

from __future__ import annotations

import pytest

from gpuprof.cli.help import COMMANDS
from support.running import gpuprof, imported_by

HEAVY = ("torch", "torchvision", "numpy", "scipy", "rich", "pydantic", "yaml")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_is_quick_and_says_how(arguments):
    assert not imported_by(*arguments) & set(HEAVY[:5])
    if arguments == ["--help"]:
        assert not imported_by(*arguments) & set(HEAVY)
    done = gpuprof(*arguments)
    assert done.code == 0
    assert done.err == ""
    if "--help" in arguments:
        assert "Example" in done.out
        assert "gpuprof " + (arguments[0] if arguments[0] != "--help" else "run") in done.out
        assert "pip install gpuprof" not in done.out


def test_help_imports_no_statistics():
    for arguments in (["history", "--help"], ["nightly", "--help"], ["schedule", "render", "--help"]):
        assert not imported_by(*arguments) & {"numpy", "scipy", "ruptures", "torch", "rich", "pydantic"}


@pytest.mark.parametrize("name", ["compare", "report"])
def test_help_imports_nothing_heavy(name):
    heavy = {"torch", "torchvision", "numpy", "scipy", "pydantic", "rich", "yaml", "jinja2", "vl_convert", "sqlite3"}
    assert not imported_by(name, "--help") & heavy
