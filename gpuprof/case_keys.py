"""THE table of case keys: what a configuration sets, a sweep varies, and tells two cases of one workload apart.

A row is a field of CaseKeys. Everything else follows from it: the key of a configuration with its type, limits and
default, `sweep:` and `--set`; the case's id, its title, its field in the record, the index and the exports; selectors,
`--vary`, what pairs two cases, what a change in history is put down to. A new key is its row here, and whoever makes
use of its value.

Plain Python without pydantic: commands that only read results import this at their start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

Mode = Literal["train", "infer"]
Precision = Literal["ieee", "tf32", "bf16", "fp16"]
Variant = Literal["eager", "compile", "graph"]
# What a case with another value is, for whoever compares:
# work      other work, never compared with this
# shape     another experiment: not compared, unless --vary names it
# setting   the same work under another setting of the machine: compared, with an entry in the ledger
# unseen    a repeat of the same case
Role = Literal["work", "shape", "setting", "unseen"]


@dataclass(frozen=True)
class CaseKey:
    """One key: what it is, which values it takes, and how ids and titles write them."""

    about: str
    default: Any  # of a configuration; None where the workload (a length) or the supervisor (`resolved`) has one
    role: Role = "shape"
    least: int = 1
    most: int = 1 << 30
    unit: str = ""  # of a number, for exports
    # A length belongs to the workloads that declare it, and is None for the others: "the workload has no sequence".
    length: bool = False
    without: str = "has no such length"
    # None in a configuration leaves the value to the supervisor: it sends the worker one, and the record holds it.
    resolved: bool = False
    # Names and titles first say what is computed, then how.
    how: bool = False
    id_form: str = ""
    id_always: bool = False  # others stand in a case's id where they differ from their default
    say: Callable[[Any], str] | None = None
    heading: str = ""  # where a reason or a ledger names the key
    # Every record holds it. One that is older than a later key ran with that key's default, which its id does not name;
    # of a later length it is unknown what it was, since workloads may declare lengths that are no keys.
    in_old_records: bool = False
    # Both from the field of CaseKeys.
    name: str = ""
    words: tuple[str, ...] = ()  # its values; none where it takes whole numbers from `least` to `most`

    @property
    def optional(self) -> bool:
        """Whether a record may hold None for it."""
        return self.default is None and not self.resolved

    def in_id(self, value: Any, default: Any) -> Iterator[str]:
        """The value's part of a case's id; nothing for None, nor for the `default` of most keys."""
        if value is not None and (self.id_always or value != default):
            yield self.id_form.format(value)

    def said(self, value: Any) -> str:
        """A value as a title has it; "" for None."""
        return "" if value is None else self.say(value) if self.say else f"{self.heading} {value}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseKeys:
    """The values of one case, in the order in which a reader wants to know of differences."""

    mode: Annotated[
        Mode,
        CaseKey("train or infer", "train", role="work", id_form="{}", id_always=True, say=str, in_old_records=True),
    ]
    precision: Annotated[
        Precision,
        CaseKey("requested precision", "ieee", id_form="{}", id_always=True, say=str, heading="effective precision",
                in_old_records=True),
    ]  # fmt: skip
    variant: Annotated[
        Variant,
        CaseKey("eager, compile or graph", "eager", how=True, id_form="{}", id_always=True, say=str,
                in_old_records=True),
    ]  # fmt: skip
    batch_size: Annotated[
        int,
        CaseKey("samples per step", 32, unit="samples", id_form="b{}", id_always=True, heading="batch",
                in_old_records=True),
    ]  # fmt: skip
    seq_len: Annotated[
        int | None,
        CaseKey("sequence length; none if the workload has no sequence", None, most=1_000_000, unit="steps",
                length=True, without="has no sequence", id_form="t{}", say="T {}".format, heading="sequence length",
                in_old_records=True),
    ]  # fmt: skip
    threads: Annotated[
        int | None,
        CaseKey("CPU threads", None, role="setting", most=4096, unit="threads", resolved=True, how=True,
                id_form="{}threads", say=_threads, in_old_records=True),
    ]  # fmt: skip
    seed: Annotated[
        int,
        CaseKey("seed of the random weights and inputs", 0, role="unseen", least=0, most=2**32 - 1, how=True,
                id_form="seed{}", in_old_records=True),
    ]  # fmt: skip


def _rows(table: type) -> Iterator[CaseKey]:
    for name, annotated in get_type_hints(table, include_extras=True).items():
        kind, key = get_args(annotated)
        words = get_args(kind) if get_origin(kind) is Literal else ()
        heading = key.heading or name.replace("_", " ")
        yield replace(key, name=name, words=words, heading=heading, id_form=key.id_form or f"{name}={{}}")


KEYS: Mapping[str, CaseKey] = {key.name: key for key in _rows(CaseKeys)}
# In the order of ids and titles.
NAMED = tuple(sorted(KEYS.values(), key=lambda key: key.how))
LENGTHS = tuple(key for key in KEYS.values() if key.length)
# Those that select cases.
SELECTED = tuple(key for key in KEYS.values() if key.role != "unseen")
WORK = tuple(name for name, key in KEYS.items() if key.role == "work")
SHAPE = tuple(name for name, key in KEYS.items() if key.role == "shape")
SETTINGS = tuple(name for name, key in KEYS.items() if key.role == "setting")
# What tells cases of one workload and mode apart, the workload's parameters included.
FIELDS = (*SHAPE, "params", *SETTINGS)
HEADINGS = {"params": "parameters"} | {name: key.heading for name, key in KEYS.items()}


def values(case: Any, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """By name, the values of a case's keys, a record's or a digest's, without those named in `but`."""
    return {name: getattr(case, name) for name in KEYS if name not in but}
