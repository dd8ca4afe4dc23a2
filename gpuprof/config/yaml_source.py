"""YAML with positions: plain data by the YAML 1.2 core schema, and the line of every key.

PyYAML follows YAML 1.1, where `yes` is true, `1e-3` a string, `12:30` a number and a repeated key silently wins;
none of that may reach a benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from gpuprof.errors import ConfigError, Problem

MAX_BYTES = 1_000_000
_MOST_DIGITS = 100
# Keys of configurations. A file that has others is not one, and may be anybody's: what stands in it is not quoted.
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader that knows the YAML 1.2 core scalars only."""


_CoreLoader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _CORE:
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def _construct_int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    if len(text) > _MOST_DIGITS:  # Python refuses to print what is much longer, and takes long to read it
        raise ValueError(f"a number of {len(text)} digits")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _construct_float(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_CoreLoader.add_constructor(_TAG + "int", _construct_int)
_CoreLoader.add_constructor(_TAG + "float", _construct_float)


class Source:
    """One YAML text: `data` (None where it is empty), and the position of each part of it."""

    def __init__(self, text: str, name: str) -> None:
        """Raises ConfigError with every problem of the text itself."""
        self.name = name
        if len(text) > MAX_BYTES:
            raise ConfigError([Problem(name, "", f"larger than {MAX_BYTES} bytes: not a gpuprof configuration")])
        loader = None
        try:
            loader = _CoreLoader(text)
            self._node = loader.get_single_node()
            problems = list(self._structure_problems(self._node, "", set()))
            if problems:
                raise ConfigError(problems)
            self.data: Any = None if self._node is None else loader.construct_document(self._node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            fault = (error.problem or "cannot be read").replace("\n", " ")
            fault += "; indent with spaces" if "'\\t'" in fault else ""
            raise ConfigError([Problem(self._at(mark), "", f"not valid YAML: {fault}")]) from None
        except yaml.YAMLError as error:
            raise ConfigError([Problem(name, "", f"not valid YAML: {' '.join(str(error).split())}")]) from None
        except (RecursionError, ValueError) as error:
            fault = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ConfigError([Problem(name, "", f"not valid YAML: {fault}")]) from None
        finally:
            if loader is not None:
                loader.dispose()

    def where(self, path: tuple[str | int, ...]) -> str:
        """`file:line:column` of the key at `path`, or of the nearest part above it; the file where it is empty."""
        node, mark = self._node, getattr(self._node, "start_mark", None)
        for step in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == step), None)
                if pair is None:
                    break
                mark, node = pair[0].start_mark, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                mark = node.start_mark
            else:
                break
        return self._at(mark)

    def _at(self, mark: Any) -> str:
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}" if mark else self.name

    def _structure_problems(self, node: Any, key: str, seen: set[int]) -> Iterator[Problem]:
        """Repeated keys, keys that are not words, and aliases (a configuration has no use for them)."""
        if node is None:
            return
        if not isinstance(node, yaml.ScalarNode):
            if id(node) in seen:
                yield Problem(self._at(node.start_mark), key, "YAML aliases (&name, *name) are not supported")
                return
            seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self._structure_problems(item, f"{key}[{index}]", seen)
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, Any] = {}
            for name, value in node.value:
                if not isinstance(name, yaml.ScalarNode) or not _KEY.fullmatch(name.value):
                    yield Problem(self._at(name.start_mark), key, "a key must be a word")
                    continue
                path = f"{key}.{name.value}" if key else name.value
                if name.value in first:
                    line = first[name.value].line + 1
                    yield Problem(self._at(name.start_mark), path, f"given twice, first on line {line}")
                first.setdefault(name.value, name.start_mark)
                yield from self._structure_problems(value, path, seen)


def parse_value(text: str) -> Any:
    """The value that a file would have in this text (for `--set`); the text itself where it is not valid YAML."""
    try:
        return Source(text, "").data
    except ConfigError:
        return text
