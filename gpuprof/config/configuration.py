"""A configuration file -> what is to be measured: its keys checked, its sweep expanded into cases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuprof import workloads
from gpuprof.case_keys import LENGTHS
from gpuprof.config import checked, sweep
from gpuprof.config.checked import Checker, has, show, suggest
from gpuprof.config.keys import Keys
from gpuprof.config.yaml_source import Source, parse_value
from gpuprof.errors import ConfigError, Problem
from gpuprof.record.config import ConfigRecord
from gpuprof.workloads.case import CaseSpec


@dataclass(frozen=True)
class Configuration:
    """A validated configuration file with its overrides: its cases in order, the sweep expanded.

    `timeout_s` (of one repeat) and `energy_error` (relative) are None where the file leaves them to the protocol.
    `explicit_repeats`: whether the number of repeats was given, or is the default.
    """

    cases: list[CaseSpec]
    repeats: int
    timeout_s: float | None
    record: ConfigRecord
    energy_error: float | None = None
    explicit_repeats: bool = field(default=False)


@dataclass(frozen=True)
class Override:
    """A key that is set from outside its file. `steps` is its path; `where` is an option or a place in a suite file."""

    steps: tuple[str, ...]
    value: Any
    where: str

    @classmethod
    def option(cls, text: str) -> Override:
        """The override of one `--set KEY=VALUE`. Raises ConfigError."""
        key, equals, value = text.partition("=")
        steps = tuple(key.strip().split("."))
        if not equals or not all(steps):
            raise ConfigError([Problem(f"--set {text}", "", "write it as --set key=value")])
        if steps[0] == "sweep" and len(steps) == 3:  # sweep.params.NAME: the swept key itself holds a dot
            steps = ("sweep", ".".join(steps[1:]))
        return cls(steps, parse_value(value), f"--set {text}")

    @property
    def text(self) -> str:
        """KEY=VALUE, as `--set` takes it and the record keeps it."""
        plain = isinstance(self.value, str) and parse_value(self.value) == self.value
        return f"{'.'.join(self.steps)}={self.value if plain else json.dumps(self.value)}"


def read(path: Path) -> tuple[Source, ConfigRecord]:
    """A file as data with positions, and its part of the record. Raises ConfigError."""
    source, raw = checked.read(path)
    return source, ConfigRecord(file=str(path), sha256=hashlib.sha256(raw).hexdigest(), text=raw.decode("utf-8"))


def parse(
    source: Source, options: Sequence[str], record: ConfigRecord, common: Sequence[Override] = ()
) -> Configuration:
    """Override, validate and expand. `options` (of `--set`) override `common` (of a suite file), and both the file.

    Changes the data of `source`, which serves one call only. Raises ConfigError with everything that is wrong.
    """
    checker = Checker(source)
    data = _apply(checker, source.data, options, common)
    keys, cases = _validate(checker, data)
    if checker.problems or keys is None:
        raise ConfigError(checker.problems)
    record = record.model_copy(update={"overrides": [*(override.text for override in common), *options]})
    return Configuration(
        cases, keys.repeats, keys.timeout_s, record, keys.energy_error, explicit_repeats="repeats" in data
    )


def _apply(checker: Checker, data: Any, options: Sequence[str], common: Sequence[Override]) -> dict[str, Any]:
    """The data of a file with every override in it, `common` first. Changes `data`."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        checker.problem((), f"a configuration must be a mapping of keys to values, not a {type(data).__name__}")
        raise ConfigError(checker.problems)
    overrides = list(common)
    for option in options:
        try:
            overrides.append(Override.option(option))
        except ConfigError as error:
            checker.problems += error.problems
    for override in overrides:
        path, mapping = override.steps, data
        for key in path[:-1]:
            # Anything else than a mapping on the way is replaced; what that makes is checked like the rest.
            inner = mapping.get(key)
            mapping[key] = dict(inner) if isinstance(inner, dict) else {}
            mapping = mapping[key]
        mapping[path[-1]] = override.value
        checker.overridden[path] = override.where
        # What comes from outside wins: one value ends the file's sweep over that key, and a sweep the file's one value.
        # The sweep of a parameter is a single key with a dot, params.NAME.
        if path[0] != "sweep" and isinstance(data.get("sweep"), dict):
            data["sweep"] = {key: values for key, values in data["sweep"].items() if key != ".".join(path)}
        elif path[0] == "sweep" and len(path) > 1:
            within, _, swept = path[1].rpartition(".")
            holder = data.get(within, {}) if within else data
            if isinstance(holder, dict):
                holder.pop(swept, None)
    return data


def _validate(checker: Checker, data: dict[str, Any]) -> tuple[Keys | None, list[CaseSpec]]:
    name = data.get("workload")
    workload = None
    if isinstance(name, str) and name in workloads.names():
        workload = workloads.get(name)
    keys = checker.model(
        Keys, data, params=tuple(workload.params_model.model_fields) if workload else (),
        needed=f"; give one of {', '.join(workloads.names())}",
    )  # fmt: skip
    if isinstance(name, str) and workload is None:
        checker.problem(("workload",), f"{show(name)} is not a workload{suggest(name, workloads.names())}")
    params = data.get("params")
    if workload is not None and isinstance(params, dict):
        checker.model(workload.params_model, params, ("params",))
    foreign = [key for key in LENGTHS if workload is not None and key.name not in workload.lengths]
    for key in foreign:
        for path in ((key.name,), ("sweep", key.name)):
            if has(data, path):
                checker.problem(path, f"workload {name!r} {key.without}; remove this key")
    swept = data.get("sweep")
    if isinstance(swept, dict):
        sweep.check(checker, swept, data, workload)
    if checker.problems or keys is None or workload is None:
        return None, []
    return keys, sweep.expand(keys, workload)
