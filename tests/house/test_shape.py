"""The shape of the house: few modules at the top, short files, no circles, tables that equal their folders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

from gpuprof import engines, export, telemetry, workloads
from gpuprof.cli.help import COMMANDS
from gpuprof.report.stories import comparison

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gpuprof"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, MOST_AT_THE_TOP = 400, 80, 12
LOADS_BY_NAME = {
    "cli/app.py", "export/__init__.py", "telemetry/vendors/amd_wrapper.py", "worker/main.py", "workloads/__init__.py"
}  # fmt: skip
# A vendor's library, which is one thing.
LONG: set[str] = set()


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def stems(folder: str, *but: str) -> set[str]:
    return {path.stem for path in (PACKAGE / folder).glob("*.py") if not path.stem.startswith("_")} - {*but}


def module(function: Any) -> str:
    return function.__module__.rpartition(".")[2]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_few_modules_stand_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


def test_files_fit_a_head():
    long = {name(path) for path in FILES if len(path.read_text().splitlines()) > LONGEST_FILE}
    assert long == LONG


def test_functions_fit_a_screen():
    assert [(name(p), f, n) for p in FILES for f, n in functions(p) if n > LONGEST_FUNCTION] == []


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Modules that import each other, directly or not."""
    reached = {module: graph.find_downstream_modules(module) for module in graph.modules}
    return [{one, other} for one in reached for other in reached[one] if one < other and one in reached[other]]


def test_no_import_goes_in_a_circle():
    """Neither inside functions nor for type checkers."""
    assert circles(grimp.build_graph("gpuprof", cache_dir=None)) == []


def test_a_circle_is_found():
    graph = grimp.ImportGraph()
    for one, other in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")):
        graph.add_import(importer=one, imported=other)
    assert {frozenset(pair) for pair in circles(graph)} == {frozenset(pair) for pair in ("ab", "bc", "ac")}


def test_every_folder_is_a_package():
    """What is none is seen by no contract."""
    assert {path.parent for path in FILES} == {path.parent for path in PACKAGE.rglob("__init__.py")}


def test_modules_are_loaded_by_name_in_few_places():
    """No contract sees what is imported so."""
    by_name = re.compile(r"\b(import_module|__import__|find_spec|spec_from_file_location)\(")
    assert {name(path) for path in FILES if by_name.search(path.read_text())} == LOADS_BY_NAME


DOCUMENTS = [path for path in ROOT.rglob("*.md") if not {".venv", "results"} & {*path.relative_to(ROOT).parts}]
NAMED = re.compile(r"(?<![\w./])(?:gpuprof|tests|scripts|docs|configs)/[\w./-]*\w")
NOT_OURS = {"gpuprof/my.yaml", "docs/x.md"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_files_that_are_there(path):
    """Of the working tree; a word in capitals stands for a name of the reader's own."""
    named = {text for text in NAMED.findall(path.read_text()) if not re.search(r"[A-Z]{3}|NAME", text)} - NOT_OURS
    assert {text for text in named if not (ROOT / text).exists()} == set()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_room_says_what_it_holds(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text or path.name == "__main__.py"


def test_tables_equal_their_folders():
    assert {command.replace("-", "_") for command in COMMANDS} == stems(
        "cli", "app", "checking", "common", "completed", "help", "progress", "writing"
    )
    assert set(engines.FORMS) == stems("engines", "schedule")
    folders = [folder.__name__.partition(".")[2].replace(".", "/") for folder in workloads.FOLDERS]
    assert set(workloads.names()) == set().union(*map(stems, folders))
    assert {module(tell) for _, _, tell in comparison.SECTIONS} == stems("report/sections", "subject")
    backends = stems(
        "telemetry/vendors", "amd_facts", "amd_library", "amd_numbers", "amd_packages", "amd_wrapper", "nvml"
    )
    assert {module(opened) for opened in telemetry.VENDORS.values()} == backends
    rendered = {format.render.__closure__[0].cell_contents for format in export.FORMATS.values()}
    assert rendered == stems("export", "redacted", "runs", "table")
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} - {"reference"} == set(workloads.names())


def test_the_architecture_names_every_room():
    told = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {f"{path.parent.relative_to(PACKAGE).as_posix()}/" for path in PACKAGE.rglob("__init__.py")} - {"./"}
    flat = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert sorted(room for room in rooms | flat if f"`{room}`" not in told) == []


def test_the_tests_mirror_the_package():
    """A folder of tests has the name of a room, or is one of the few that stand for no room."""
    others = {"house", "scripts", "support", "containers"}
    folders = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py")} - {Path(".")}
    strange = [f.as_posix() for f in folders if f.parts[0] not in others and not (PACKAGE / f).is_dir()]
    assert strange == []
