"""YAML -> validated suite -> cases. Every problem is reported at once, each with its place and a suggestion."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gpuprof import workloads
from gpuprof.config.yaml_source import Source, parse_value
from gpuprof.errors import ConfigError, Problem
from gpuprof.record.part import Mode, Precision, Variant
from gpuprof.record.run import ConfigRecord
from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.workload import Workload

MAX_CASES = 1000


class SuiteKeys(BaseModel):
    """The keys of a configuration file, with their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    workload: str
    mode: Mode = "train"
    precision: Precision = "ieee"
    batch_size: Annotated[int, Field(ge=1, le=1 << 30)] = 32
    seq_len: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    variant: Variant = "eager"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] | None = None
    energy_error: Annotated[float, Field(gt=0, le=0.5, strict=False)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    sweep: dict[str, list[Any]] = Field(default_factory=dict)


SWEEPABLE = ("mode", "precision", "batch_size", "seq_len", "variant", "threads", "seed")


@dataclass(frozen=True)
class Suite:
    """A validated configuration file with its overrides."""

    cases: list[CaseSpec]
    repeats: int
    timeout_s: float | None
    record: ConfigRecord
    energy_error: float | None = None
    explicit_repeats: bool = field(default=False)


@dataclass(frozen=True)
class Override:
    """One key that is set from outside its file. `where` says who does: an option, or a place in a suite file."""

    steps: tuple[str, ...]
    value: Any
    where: str

    @classmethod
    def option(cls, text: str) -> Override:
        """Of `--set KEY=VALUE`. Raises ConfigError."""
        key, equals, value = text.partition("=")
        steps = tuple(key.strip().split("."))
        if not equals or not all(steps):
            raise ConfigError([Problem(f"--set {text}", "", "write it as --set key=value")])
        if steps[0] == "sweep" and len(steps) == 3:  # sweep.params.NAME: the swept key itself holds a dot
            steps = ("sweep", ".".join(steps[1:]))
        return cls(steps, parse_value(value), f"--set {text}")

    @property
    def text(self) -> str:
        """As `--set` takes it."""
        plain = isinstance(self.value, str) and parse_value(self.value) == self.value
        return f"{'.'.join(self.steps)}={self.value if plain else json.dumps(self.value)}"


def read(path: Path) -> tuple[Source, ConfigRecord]:
    """A file and what the record says of it. Raises ConfigError."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", _no_such_file(path))]) from None
    except IsADirectoryError:
        raise ConfigError([Problem(str(path), "", "is a directory; name a YAML file")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), "", "is not UTF-8 text")]) from None
    record = ConfigRecord(file=str(path), sha256=hashlib.sha256(raw).hexdigest(), text=text)
    return Source(text.removeprefix("\ufeff"), str(path)), record


def parse(source: Source, options: Sequence[str], record: ConfigRecord, common: Sequence[Override] = ()) -> Suite:
    """Override, validate and expand. `options` (of `--set`) have the last word over `common` (of a suite file).

    Raises ConfigError with everything that is wrong.
    """
    checker = _Checker(source)
    data = checker.apply(source.data, options, common)
    keys, cases = checker.validate(data)
    if checker.problems or keys is None:
        raise ConfigError(checker.problems)
    record = record.model_copy(update={"overrides": [*(override.text for override in common), *options]})
    return Suite(cases, keys.repeats, keys.timeout_s, record, keys.energy_error, explicit_repeats="repeats" in data)


class _Checker:
    """Collects problems; knows whether a value came from the file or from outside it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.overridden: dict[tuple[str, ...], str] = {}

    def apply(self, data: Any, options: Sequence[str], common: Sequence[Override]) -> dict[str, Any]:
        if data is None:
            data = {}
        if not isinstance(data, dict):
            self.problem((), f"a configuration is a mapping of keys to values, not a {type(data).__name__}")
            raise ConfigError(self.problems)
        overrides = list(common)
        for option in options:
            try:
                overrides.append(Override.option(option))
            except ConfigError as error:
                self.problems += error.problems
        for override in overrides:
            steps, target = override.steps, data
            for step in steps[:-1]:
                inner = target.get(step)
                target[step] = target = dict(inner) if isinstance(inner, dict) else {}
            target[steps[-1]] = override.value
            self.overridden[steps] = override.where
            # Whoever is outside has the last word: one value ends the file's sweep over that key, and the reverse.
            if steps[0] != "sweep" and isinstance(data.get("sweep"), dict):
                data["sweep"] = {k: v for k, v in data["sweep"].items() if k != ".".join(steps)}
            elif steps[0] == "sweep" and len(steps) > 1:
                outer, _, inner_key = steps[1].rpartition(".")
                holder = data.get(outer, {}) if outer else data
                if isinstance(holder, dict):
                    holder.pop(inner_key, None)
        return data

    def problem(self, path: tuple[str | int, ...], message: str) -> None:
        words = tuple(step for step in path if isinstance(step, str))
        above = (words[:n] for n in range(len(words), 0, -1))
        origin = next((self.overridden[part] for part in above if part in self.overridden), "")
        key = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")
        self.problems.append(Problem(origin or self.source.where(path), key, message))

    def validate(self, data: dict[str, Any]) -> tuple[SuiteKeys | None, list[CaseSpec]]:
        name = data.get("workload")
        workload = None
        if isinstance(name, str) and name in workloads.names():
            workload = workloads.get(name)
        keys = self._model(SuiteKeys, data, (), tuple(workload.params_model.model_fields) if workload else ())
        if isinstance(name, str) and workload is None:
            self.problem(("workload",), f"{_show(name)} is not a workload{_suggest(name, workloads.names())}")
        params = data.get("params")
        if workload is not None and isinstance(params, dict):
            self._model(workload.params_model, params, ("params",))
        if workload is not None and not workload.is_sequence:
            for path in (("seq_len",), ("sweep", "seq_len")):
                if _has(data, path):
                    self.problem(path, f"workload {name!r} has no sequence; remove this key")
        sweep = data.get("sweep")
        if isinstance(sweep, dict):
            self._sweep(sweep, data, workload)
        if self.problems or keys is None or workload is None:
            return None, []
        return keys, self._expand(keys, workload)

    def _sweep(self, sweep: dict[str, Any], data: dict[str, Any], workload: Workload | None) -> None:
        count = 1
        for key, values in sweep.items():
            if not isinstance(key, str):
                continue
            if not isinstance(values, list):
                continue  # already reported: a list is wanted
            if not values:
                self.problem(("sweep", key), "an empty list leaves nothing to run; give values or remove the key")
            count *= max(len(values), 1)
            nested = key.startswith("params.")
            if nested and workload is None:
                continue  # the unknown workload is reported; its parameters cannot be judged
            model: type[BaseModel] = workload.params_model if nested and workload is not None else SuiteKeys
            name = key.removeprefix("params.")
            allowed = SWEEPABLE if model is SuiteKeys else tuple(model.model_fields)
            if name not in allowed:
                names = (*SWEEPABLE, *(f"params.{n}" for n in (workload.params_model.model_fields if workload else ())))
                self.problem(("sweep", key), f"cannot be swept{_suggest(key, names)}")
                continue
            adapter: TypeAdapter[Any] = _field_adapter(model, name)
            for index, value in enumerate(values):
                if value is None:
                    self.problem(("sweep", key, index), "empty; give a value")
                    continue
                try:
                    adapter.validate_python(value)
                except ValidationError as error:
                    for item in error.errors():
                        self.problem(("sweep", key, index), _message(item, value))
                if any(type(value) is type(earlier) and value == earlier for earlier in values[:index]):
                    self.problem(("sweep", key, index), f"{_show(value)} stands in the list twice")
            if _has(data, tuple(key.split("."))):
                self.problem(("sweep", key), "given here and as a key of its own; keep one of them")
        if count > MAX_CASES:
            self.problem(("sweep",), f"expands into {count} cases; at most {MAX_CASES} are run at once")

    def _expand(self, keys: SuiteKeys, workload: Workload) -> list[CaseSpec]:
        cases = []
        for values in itertools.product(*keys.sweep.values()):
            chosen = dict(zip(keys.sweep, values, strict=True))
            params = keys.params | {k.removeprefix("params."): v for k, v in chosen.items() if k.startswith("params.")}
            plain = {name: chosen.get(name, getattr(keys, name)) for name in SWEEPABLE}
            plain["seq_len"] = plain["seq_len"] or workload.default_seq_len
            resolved = workload.params_model(**params).model_dump()
            cases.append(CaseSpec(workload=keys.workload, params=resolved, **plain))
        return cases

    def _model(
        self, model: type[BaseModel], data: dict[str, Any], at: tuple[str, ...], params: tuple[str, ...] = ()
    ) -> Any:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for item in error.errors():
                path = (*at, *(step for step in item["loc"] if _in_data(step, item["loc"], data)))
                self.problem(path, _message(item, item.get("input"), tuple(model.model_fields), params))
            return None


_SINGLE = "; float32 is no single arithmetic on GPUs: ieee keeps it in full, tf32 cuts its mantissa to 10 bits"
_MEANT = {
    **dict.fromkeys(("fp32", "float32", "single", "float"), _SINGLE),
    **dict.fromkeys(("half", "float16"), "; did you mean 'fp16'?"),
    "bfloat16": "; did you mean 'bf16'?",
}


def _in_data(step: str | int, loc: tuple[str | int, ...], data: Any) -> bool:
    """pydantic adds the names of types to a location; what is not a key or an index of the data is left out."""
    return step == loc[0] or isinstance(step, int) or (isinstance(data.get(loc[0]), dict) and step in data[loc[0]])


def _field_adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    info = model.model_fields[name]
    annotation: Any = info.annotation
    for constraint in info.metadata:
        annotation = Annotated[annotation, constraint]
    return TypeAdapter(annotation, config=ConfigDict(strict=True))


def _message(item: Any, value: Any, known: tuple[str, ...] = (), params: tuple[str, ...] = ()) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(item["loc"][-1])
        return f"unknown key; did you mean 'params.{key}'?" if key in params else f"unknown key{_suggest(key, known)}"
    if kind == "missing":
        return f"missing; give one of {', '.join(workloads.names())}"
    if kind == "literal_error":
        allowed = tuple(part.strip(" '") for part in context["expected"].replace(" or ", ",").split(",") if part)
        hint = _MEANT.get(str(value).lower()) or _suggest(str(value), allowed, list_all=False)
        return f"{_show(value)} is not one of {', '.join(allowed)}{hint}"
    wanted = {
        "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "true or false",
        "dict_type": "a mapping of keys to values", "list_type": "a list, such as [1, 8, 32]",
        "greater_than_equal": f"{context.get('ge')} or more", "greater_than": f"more than {context.get('gt')}",
        "less_than_equal": f"{context.get('le')} or less",
    }.get(kind)  # fmt: skip
    return f"must be {wanted}, not {_show(value)}" if wanted else f"{item['msg']} (got {_show(value)})"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _suggest(word: str, known: tuple[str, ...], *, list_all: bool = True) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if list_all else ""


def _has(data: dict[str, Any], path: tuple[str, ...]) -> bool:
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
