"""A value, or the reason why there is none, is spelled in one way: `T | Absent`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gpuprof"
# A text beside these is a value like them; beside an Absent it is the value.
PLAIN = {"None", "bool", "int", "float", "bytes", "Absent", "NoReading"}
NO_REASONS = {
    # Where to look for a module, None for wherever Python looks by itself; the text is what the place is called.
    "telemetry/vendors/amd_wrapper.py": ["tuple[Path | None, str]"],
}
REASONS = ("absent", "why_not")  # as names of texts, for instance why_not_above


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns


def members(annotation: ast.expr) -> set[str]:
    """Of a union."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return members(annotation.left) | members(annotation.right)
    return {ast.unparse(annotation)}


def spelled_otherwise(tree: ast.AST) -> Iterator[str]:
    for part in {id(part): part for whole in annotations(tree) for part in ast.walk(whole)}.values():
        if isinstance(part, ast.BinOp) and "str" in members(part) and members(part) - {"str", *PLAIN}:
            yield ast.unparse(part)  # a text in the place of a value
        if isinstance(part, ast.Subscript) and ast.unparse(part.value) == "tuple" and isinstance(part.slice, ast.Tuple):
            *values, last = part.slice.elts
            if members(last) == {"str"} and any("None" in members(value) for value in values):
                yield ast.unparse(part)  # a value that may be None, and why
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("why_not"):
            yield node.attr  # a reason beside a value
        if isinstance(node, ast.ClassDef):
            texts = [f for f in node.body if isinstance(f, ast.AnnAssign) and "str" in members(f.annotation)]
            yield from (ast.unparse(f.target) for f in texts if ast.unparse(f.target).startswith(REASONS))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_missing_value_is_spelled_in_one_way(path):
    known = NO_REASONS.get(path.relative_to(PACKAGE).as_posix(), [])
    assert list(spelled_otherwise(ast.parse(path.read_text()))) == known


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("def find() -> Match | str: ...", "Match | str"),
        ("edges: dict[str, str | list[Edge] | None] = {}", "str | list[Edge] | None"),
        ("def ask(of: Callable[[], tuple[Torch | None, str]]): ...", "tuple[Torch | None, str]"),
        ("class Side:\n    value: float | None\n    absent: str = ''", "absent"),
        ("class Judged:\n    why_not: str", "why_not"),
        ("def read(station): return station.why_not", "why_not"),
    ],
)
def test_another_spelling_is_found(planted, told):
    assert told in spelled_otherwise(ast.parse(planted))


def test_texts_that_are_values_are_none():
    allowed = "def name(a: str | None, b: str | Absent, c: tuple[str, str | None]) -> dict[str, str | float]: ..."
    assert list(spelled_otherwise(ast.parse(allowed))) == []
