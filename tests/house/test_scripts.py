"""Every script of scripts/ starts, and what their --help cannot show is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpuprof.worker.correctness import SHIPPED
from support.running import CONFIGS, LIMIT_S, ROOT, variables

pytestmark = pytest.mark.slow  # most scripts import torch

SCRIPTS = ROOT / "scripts"


MODULES = {"bench/_cost.py", "bench/_pairs.py"}  # imported by others
FOUND = sorted(
    path for path in SCRIPTS.rglob("*")
    if path.is_file() and path.suffix != ".pyc" and path.relative_to(SCRIPTS).as_posix() not in MODULES
)  # fmt: skip


def script(path: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, path, *arguments], env=variables(), capture_output=True, text=True, timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_walk_finds_scripts_of_every_kind():
    assert {SCRIPTS / name for name in ("make_references.py", "compare_nightly", "bench/counts.py")} <= set(FOUND)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_a_script_has_help(path):
    assert script(path, "--help").lower().startswith("usage: ")


def test_references_are_made(tmp_path):
    """Equal to the shipped ones but for the last digits: other CPUs add up in another order."""
    made = tmp_path / "references.json"
    script(SCRIPTS / "make_references.py", CONFIGS / "rnn.yaml", "-o", made)
    shipped = json.loads(SHIPPED.read_text("utf-8"))
    ((key, found),) = json.loads(made.read_text("utf-8")).items()
    assert found.keys() == shipped[key].keys()
    for name, values in found.items():
        assert values == pytest.approx(shipped[key][name], rel=1e-9), name
