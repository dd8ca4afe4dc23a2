"""Files that people write, checked: every problem of a file at once, each with its place and a suggestion."""

from __future__ import annotations

import difflib
import stat
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gpuprof.config.yaml_source import MAX_BYTES, Source
from gpuprof.errors import ConfigError, Problem


def read(path: Path) -> tuple[Source, bytes]:
    """A YAML file (UTF-8) as data with positions, and its bytes. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would be waited for; a device may have no end
            raise ConfigError([Problem(str(path), "", "is not a regular file")])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError([Problem(str(path), "", f"larger than {MAX_BYTES} bytes: not a gpuprof configuration")])
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", _no_such_file(path))]) from None
    except IsADirectoryError:
        raise ConfigError([Problem(str(path), "", "is a directory, not a YAML file")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), "", "is not UTF-8 text")]) from None
    return Source(text.removeprefix("\ufeff"), str(path)), raw


class Checker:
    """Collects the problems of one file.

    `overridden` maps the path of each value that came from outside the file to where it came from, such as an option.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.overridden: dict[tuple[str, ...], str] = {}

    def problem(self, path: tuple[str | int, ...], message: str) -> None:
        """Add a problem at `path` (keys and indices from the top), with the place of the value or of its override."""
        words = tuple(step for step in path if isinstance(step, str))
        above = (words[:n] for n in range(len(words), 0, -1))
        origin = next((self.overridden[part] for part in above if part in self.overridden), "")
        key = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")
        self.problems.append(Problem(origin or self.source.where(path), key, message))

    def model(
        self, model: type[BaseModel], data: dict[str, Any], at: tuple[str, ...] = (), params: tuple[str, ...] = (),
        needed: str = "",
    ) -> Any:  # fmt: skip
        """`data` as the model, or None with its faults added to the problems.

        `at` is the path of `data` in the file; `params` and `needed` are as for `message`.
        """
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for item in error.errors():
                path = (*at, *(step for step in item["loc"] if _in_data(step, item["loc"], data)))
                self.problem(path, message(item, item.get("input"), tuple(model.model_fields), params, needed))
            return None


_SINGLE = "; for float32 use ieee (full precision) or tf32 (a mantissa of 10 bits)"
_MEANT = {
    **dict.fromkeys(("fp32", "float32", "single", "float"), _SINGLE),
    **dict.fromkeys(("half", "float16"), "; did you mean 'fp16'?"),
    "bfloat16": "; did you mean 'bf16'?",
}


def _in_data(step: str | int, loc: tuple[str | int, ...], data: Any) -> bool:
    """Whether a step is a key or an index of the data: pydantic adds names of types to a location."""
    return step == loc[0] or isinstance(step, int) or (isinstance(data.get(loc[0]), dict) and step in data[loc[0]])


def field_adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Validates one field of a model by itself, as strictly as the model does."""
    info = model.model_fields[name]
    annotation: Any = info.annotation
    for constraint in info.metadata:
        annotation = Annotated[annotation, constraint]
    return TypeAdapter(annotation, config=ConfigDict(strict=True))


def message(
    item: Any, value: Any, known: tuple[str, ...] = (), params: tuple[str, ...] = (), needed: str = ""
) -> str:  # fmt: skip
    """A fault that pydantic reports, in words for whoever wrote the file.

    `item` is one of `ValidationError.errors()`, `value` the value it is about. `known` are the possible keys, `params`
    those of the mapping `params`; `needed` ends the message about a missing key.
    """
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(item["loc"][-1])
        return f"unknown key; did you mean 'params.{key}'?" if key in params else f"unknown key{suggest(key, known)}"
    if kind == "missing":
        return f"missing{needed}"
    if kind == "literal_error":
        allowed = tuple(part.strip(" '") for part in context["expected"].replace(" or ", ",").split(",") if part)
        hint = _MEANT.get(str(value).lower()) or suggest(str(value), allowed, list_all=False)
        return f"{show(value)} is not one of {', '.join(allowed)}{hint}"
    kinds = {
        "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "true or false",
        "dict_type": "a mapping of keys to values", "list_type": "a list, such as [1, 8, 32]",
        "greater_than_equal": f"{context.get('ge')} or more", "greater_than": f"more than {context.get('gt')}",
        "less_than_equal": f"{context.get('le')} or less",
    }  # fmt: skip
    return f"must be {kinds[kind]}, not {show(value)}" if kind in kinds else f"{item['msg']} (got {show(value)})"


def show(value: Any) -> str:
    """A value as a message quotes it, in 60 characters at most."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def suggest(word: str, known: tuple[str, ...], *, list_all: bool = True) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them, or "" without `list_all`."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if list_all else ""


def has(data: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether nested mappings hold a value at `path`."""
    for step in path:
        if not isinstance(data, dict) or step not in data:
            return False
        data = data[step]
    return True


def _no_such_file(path: Path) -> str:
    try:
        near = [p.name for p in path.parent.glob("*.y*ml")]
    except OSError:
        near = []
    close = difflib.get_close_matches(path.name, near, n=1)
    suggestions = [path.with_name(name) for name in close]
    suggestions += [shipped for shipped in (Path("configs", f"{path.stem}.yaml"),) if shipped.is_file()]
    return f"no such file{f'; did you mean {str(suggestions[0])!r}?' if suggestions else ''}"
