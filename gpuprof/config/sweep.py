"""A sweep: lists of values, each combination of which is a case."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from gpuprof.config.checked import Checker, field_adapter, has, message, show, suggest
from gpuprof.config.keys import SWEEPABLE, Keys
from gpuprof.workloads.case import CaseSpec
from gpuprof.workloads.workload import Workload

MAX_CASES = 1000


def check(checker: Checker, sweep: dict[str, Any], data: dict[str, Any], workload: Workload | None) -> None:
    """Add the problems of the `sweep` of `data`. Without a known workload, swept parameters are not checked."""
    count = 1
    for key, values in sweep.items():
        if not isinstance(key, str):
            continue
        if not isinstance(values, list):
            continue  # already reported: a list is wanted
        if not values:
            checker.problem(("sweep", key), "an empty list leaves nothing to run; give values or remove the key")
        count *= max(len(values), 1)
        nested = key.startswith("params.")
        if nested and workload is None:
            continue
        model: type[BaseModel] = workload.params_model if nested and workload is not None else Keys
        name = key.removeprefix("params.")
        allowed = SWEEPABLE if model is Keys else tuple(model.model_fields)
        if name not in allowed:
            names = (*SWEEPABLE, *(f"params.{n}" for n in (workload.params_model.model_fields if workload else ())))
            checker.problem(("sweep", key), f"cannot be swept{suggest(key, names)}")
            continue
        adapter: TypeAdapter[Any] = field_adapter(model, name)
        for index, value in enumerate(values):
            if value is None:
                checker.problem(("sweep", key, index), "empty; give a value")
                continue
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                for item in error.errors():
                    checker.problem(("sweep", key, index), message(item, value))
            if any(type(value) is type(earlier) and value == earlier for earlier in values[:index]):
                checker.problem(("sweep", key, index), f"{show(value)} is in the list twice")
        if has(data, tuple(key.split("."))):
            checker.problem(("sweep", key), "set both here and outside the sweep; keep one of them")
    if count > MAX_CASES:
        checker.problem(("sweep",), f"expands into {count} cases; the limit is {MAX_CASES}")


def expand(keys: Keys, workload: Workload) -> list[CaseSpec]:
    """A case for every combination of the swept values; the key that the file names last varies fastest."""
    cases = []
    for values in itertools.product(*keys.sweep.values()):
        chosen = dict(zip(keys.sweep, values, strict=True))
        params = keys.params | {k.removeprefix("params."): v for k, v in chosen.items() if k.startswith("params.")}
        plain = {name: chosen.get(name, getattr(keys, name)) for name in SWEEPABLE}
        plain |= {name: default for name, default in workload.lengths.items() if name in plain and plain[name] is None}
        resolved = workload.params_model(**params).model_dump()
        cases.append(CaseSpec(workload=keys.workload, params=resolved, **plain))
    return cases
