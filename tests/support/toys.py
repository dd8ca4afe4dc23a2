"""Networks that only tests have, beside the package's own: in this process, and in a copy that commands run from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuprof import workloads
from gpuprof.workloads import networks
from support.running import ROOT

TOYS = Path(__file__).with_name("networks")
NAMES = tuple(sorted(path.stem for path in TOYS.glob("*.py")))


@pytest.fixture
def toys(monkeypatch) -> Iterator[None]:
    """The toys are workloads of this process, until the test is over."""
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(TOYS)])
    workloads._modules.cache_clear()
    yield
    workloads._modules.cache_clear()
    for name in NAMES:
        sys.modules.pop(f"{networks.__name__}.{name}", None)


def package_in(folder: Path) -> dict[str, str]:
    """A copy of the package, to which a test adds; the variables that commands run with, to run from it."""
    shutil.copytree(ROOT / "gpuprof", folder / "gpuprof", ignore=shutil.ignore_patterns("__pycache__"))
    # Bytecode is kept beside the copy: its modules are imported by every command and every worker.
    return {"PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": ""}


def package_with_toys(folder: Path) -> dict[str, str]:
    """A `package_in` the folder in which the toys are files like the others."""
    variables = package_in(folder)
    for name in NAMES:
        shutil.copy(TOYS / f"{name}.py", folder / "gpuprof" / "workloads" / "networks")
    return variables
