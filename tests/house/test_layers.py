"""The import contracts of pyproject.toml catch what they are there for: faults are planted in a copy of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in (ROOT / "gpuprof").glob("*/__init__.py"))
FLAT = sorted(path.stem for path in (ROOT / "gpuprof").glob("*.py"))  # __init__ as well
WORKER = ("worker", "workloads")
PLANTS = {"at the top": "import {0}\n", "in a function": "def planted():\n    import {0}\n"}


@pytest.fixture
def house(tmp_path) -> Path:
    shutil.copytree(ROOT / "gpuprof", tmp_path / "gpuprof", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> tuple[int, str]:
    code = (
        "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-logo", "--no-cache"], cwd=house, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_house_as_it_stands_is_kept(house):
    code, said = lint(house)
    assert code == 0, said


@pytest.mark.parametrize("where", PLANTS)
@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("torch", WORKER),
        ("torchvision", ("workloads",)),
        ("pydantic", ("record", "config", "workloads", "messages")),
        ("pynvml", ()),
        ("amdsmi", ()),
    ],
)
def test_a_library_planted_in_any_room_but_its_own_is_found(house, library, allowed, where):
    text = PLANTS[where].format(library)
    planted = []
    for room in ROOMS:
        (house / "gpuprof" / room / "planted.py").write_text(text)
        planted += [f"gpuprof.{room}.planted"] if room not in allowed else []
    for name in FLAT:
        if name not in ("__init__", *allowed):
            with (house / "gpuprof" / f"{name}.py").open("a") as file:
                file.write(f"\n\n{text}")
            planted.append(f"gpuprof.{name}")
    code, said = lint(house)
    assert code == 1
    for module in planted:
        assert f"{module} -> {library} " in said, module
    assert not [room for room in allowed if f"gpuprof.{room}.planted -> {library} " in said]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("units", "metrics"), ("record", "system.procfs"), ("workloads.workload", "worker.step"),
        ("store.runs", "index.database"), ("index.sources", "analysis.evidence"), ("worker.measure", "store.runs"),
        ("telemetry.window", "report.views.sensors"), ("analysis.compare", "report.story"),
        ("report.story", "telemetry.summary"), ("export.csv", "report.story"), ("supervisor.run", "analysis.compare"),
        ("nightly.run", "cli.app"), ("text", "report.wording"),
    ],
)  # fmt: skip
def test_an_import_from_a_lower_room_to_a_higher_one_is_found(house, low, high):
    path = house / "gpuprof" / f"{low.replace('.', '/')}"
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with file.open("a") as text:
        text.write(f"\n\ndef planted():\n    import gpuprof.{high}\n")
    code, said = lint(house)
    assert code == 1
    assert f"gpuprof.{low} -> gpuprof.{high} " in said


def test_a_room_that_no_contract_names_is_found(house):
    (house / "gpuprof" / "attic").mkdir()
    (house / "gpuprof" / "attic" / "__init__.py").touch()
    code, said = lint(house)
    assert code == 1
    assert "gpuprof.attic" in said


def test_a_module_at_the_top_that_no_contract_names_is_found(house):
    (house / "gpuprof" / "helpers.py").touch()
    code, said = lint(house)
    assert code == 1
    assert "gpuprof.helpers" in said
