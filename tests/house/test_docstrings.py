"""Public names say what their caller gets."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.running import ROOT

LEAST = 0.85
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def public(path: Path) -> Iterator[tuple[str, bool]]:
    """Functions, classes and methods that others may use, each with whether it has a docstring."""

    def within(node: ast.AST, prefix: str) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _NAMED) and not child.name.startswith("_"):
                name = f"{prefix}{child.name}"
                yield name, ast.get_docstring(child) is not None
                if isinstance(child, ast.ClassDef):
                    yield from within(child, f"{name}.")
            elif not isinstance(child, _NAMED):
                yield from within(child, prefix)

    return within(ast.parse(path.read_text()), f"{path.relative_to(ROOT)}: ")


def test_public_names_have_docstrings():
    found = [named for path in sorted((ROOT / "gpuprof").rglob("*.py")) for named in public(path)]
    bare = [name for name, documented in found if not documented]
    assert 1 - len(bare) / len(found) >= LEAST, "\n".join(bare)


def test_a_name_without_one_is_seen(tmp_path, monkeypatch):
    file = tmp_path / "module.py"
    documented = 'class A:\n    """Documented."""\n    def b(self): ...\n    def _c(self): ...\n'
    file.write_text(documented + "if True:\n    def d(): ...\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert list(public(file)) == [("module.py: A", True), ("module.py: A.b", False), ("module.py: d", False)]
