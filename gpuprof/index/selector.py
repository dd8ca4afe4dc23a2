"""`vendor=nvidia,date>=2026-11-01`: conditions that pick runs, and cases in them, out of a store."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gpuprof.case_keys import SELECTED
from gpuprof.errors import UsageError

RUN_FIELDS = ("run", "date", "outcome", "simulated", "kind", "vendor", "device", "host", "torch", "driver")
_OWN = ("run", "date")
CASE_FIELDS = ("workload", *(key.name for key in SELECTED))
_BOUNDS = {"since": ">=", "until": "<="}  # of the date; shells take no sign of theirs for a redirection
_ALIASES = {"device.name": "device", "batch": "batch_size", "hostname": "host", "run_id": "run", "started_at": "date"}
_CONDITION = re.compile(r"\s*([a-z_.]+)\s*(!=|>=|<=|==|=|~|>|<)\s*(.*?)\s*")
_OPERATORS = re.compile(r"[=~<>]")
_NUMBER = re.compile(r"\d+")
_DATE = re.compile(r"\d[\d:.TZ+ -]*", re.IGNORECASE)
_VERSIONS = ("torch", "driver")
_NUMBERS = tuple(key.name for key in SELECTED if not key.words)


@dataclass(frozen=True)
class Condition:
    """One condition, such as `batch_size>=32`, on a field of RUN_FIELDS or CASE_FIELDS."""

    field: str
    operator: str  # = == (to the letter) != ~ (contains) >= <= > <
    value: str

    def holds(self, actual: Any) -> bool:
        """Whether a run's or case's value fulfils it, letters' case aside. A missing value (None) fulfils only `!=`."""
        if actual is None:
            return self.operator == "!="
        text, value = str(actual).casefold(), self.value.casefold()
        if self.field == "date":
            text = text[: len(value)]
        if self.operator == "==":
            return text == value
        if self.operator in ("=", "!="):
            equal = _has(text, value) if self.field == "device" else text == value
            return equal == (self.operator == "=")
        if self.operator == "~":
            return value in text
        left, right = _versions(text, value) if self.field in _VERSIONS else _comparable(actual, self.value)
        return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[self.operator]


def _has(text: str, value: str) -> bool:
    """Whether these words are among those of a name: H100 names an NVIDIA H100 80GB HBM3, and MI300 no MI300X."""
    return text == value or re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _versions(actual: str, given: str) -> tuple[Any, Any]:
    """Number by number, as many as the condition gives: 2.10 is later than 2.9, and 2.9.1 is 2.9."""
    left, right = ([int(number) for number in _NUMBER.findall(text)] for text in (actual, given))
    return left[: len(right)], right


def _comparable(actual: Any, given: str) -> tuple[Any, Any]:
    """Numbers as such; a date by as much of it as was given, so that `date<=2026-11-01` includes that day."""
    if isinstance(actual, (int, float)):
        try:
            return float(actual), float(given)
        except ValueError:
            return str(actual), given
    return str(actual)[: len(given)], given


@dataclass(frozen=True)
class Selector:
    """Conditions that all must hold; without any, everything is selected."""

    conditions: tuple[Condition, ...]

    @cached_property
    def on_runs(self) -> tuple[Condition, ...]:
        """Those on fields of a run."""
        return tuple(c for c in self.conditions if c.field in RUN_FIELDS)

    @cached_property
    def on_cases(self) -> tuple[Condition, ...]:
        """Those on fields of a case."""
        return tuple(c for c in self.conditions if c.field in CASE_FIELDS)

    def head(self, shared: Mapping[str, Any]) -> bool:
        """Whether a run's fields that many runs share (all but id and date) fulfil the conditions on runs."""
        return all(c.holds(shared.get(c.field)) for c in self.on_runs if c.field not in _OWN)

    def run(self, run_id: str, date: str) -> bool:
        """Whether a run's id and date fulfil the conditions on them."""
        own = dict(zip(_OWN, (run_id, date), strict=True))
        return all(c.holds(own[c.field]) for c in self.on_runs if c.field in own)

    def case(self, fields: Mapping[str, Any]) -> bool:
        """Whether a case's fields, by name, fulfil the conditions on cases."""
        return all(c.holds(fields.get(c.field)) for c in self.on_cases)


@dataclass(frozen=True)
class OfMachines(Selector):
    """Of runs only those on these machines, a field that nobody writes."""

    machines: frozenset[str]

    def head(self, shared: Mapping[str, Any]) -> bool:
        """As `Selector.head`."""
        return shared["machine"] in self.machines and super().head(shared)


EVERYTHING = Selector(())


def is_selector(text: str) -> bool:
    """Whether it holds an operator, and so is to be parsed as a selector unless a file has that name."""
    return bool(_OPERATORS.search(text))


def parse(text: str) -> Selector:
    """The selector that is written as conditions with commas between. Raises UsageError for what makes no sense."""
    return Selector(tuple(_condition(part) for part in text.split(",")))


def _condition(part: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    if match is None:
        signs = "= != ~ (contains) == (to the letter) >= <= > or <"
        raise UsageError(f"{part!r} is not a condition; write FIELD=VALUE, with {signs}")
    name, operator, value = match.groups()
    if name in _BOUNDS and operator == "=":
        name, operator = "date", _BOUNDS[name]
    name = _ALIASES.get(name, name)
    fields = (*RUN_FIELDS, *CASE_FIELDS)
    if name not in fields:
        close = difflib.get_close_matches(name, (*fields, *_BOUNDS), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(fields)}"
        raise UsageError(f"unknown field {name!r}; {hint}")
    if value == "":
        raise UsageError(f"{part!r} has no value")
    if _OPERATORS.match(value):
        raise UsageError(f"{part!r} is not a condition; the operators are = != ~ (contains) >= <= > and <")
    if name == "date" and operator != "~" and not _DATE.fullmatch(value):
        raise UsageError(f"{part!r}: write a date as 2026-11-01, or part of one, such as 2026-11")
    if name in _NUMBERS and operator != "~" and not value.isdecimal():
        raise UsageError(f"{part!r}: {name} must be a number")
    if name in _VERSIONS and operator not in ("=", "==", "!=", "~") and not _NUMBER.search(value):
        raise UsageError(f"{part!r}: {value!r} is not a version; write one such as 2.10")
    return Condition(name, operator, value)


def varied(baseline: Selector, candidate: Selector) -> set[str]:
    """Case fields that the two sides ask for with different values: what such a comparison is about."""
    sides: Iterable[dict[str, str]] = [
        {c.field: c.value.casefold() for c in side.on_cases if c.operator in ("=", "==")}
        for side in (baseline, candidate)
    ]
    left, right = sides
    return {name for name in left.keys() & right.keys() if left[name] != right[name]}
