"""What supervisor and worker say to each other: one JSON object a line, each a frozen class of this file.

The supervisor sends a Request; the worker answers with Result or Failed. Before a phase it says Ready and waits for Go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from gpuprof.record.protocol import Protocol
from gpuprof.record.repeat import Phase
from gpuprof.workloads.case import CaseSpec

REQUESTS: dict[str, type[Request]] = {}


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def line(self) -> str:
        return json.dumps(self.model_dump(mode="json"))


class Request(_Message):
    """Asked of a worker. A subclass is known by its name `do`, and answered by a function of the worker.

    `answered_by` is MODULE:FUNCTION. The function is given the request and the channel, and returns the result's data.
    """

    do: ClassVar[str]
    answered_by: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        REQUESTS[cls.do] = cls

    def line(self) -> str:
        return json.dumps({"do": self.do, **self.model_dump(mode="json")})


class Environment(Request):
    """torch, its libraries, and the GPUs that it sees."""

    do = "environment"
    answered_by = "gpuprof.worker.environment:describe"


class Inspect(Request):
    """A case's counts, precision probe and correctness gate. `device` None is the CPU; `case` has its threads."""

    do = "inspect"
    answered_by = "gpuprof.worker.inspect:inspect"
    case: CaseSpec
    device: int | None


class Measure(Request):
    """One repeat of a case. `pretrained`: with the weights that the check had loaded."""

    do = "measure"
    answered_by = "gpuprof.worker.measure:measure"
    case: CaseSpec
    device: int | None
    protocol: Protocol
    pretrained: bool


class Load(Request):
    """A steady load for `seconds` from the supervisor's go."""

    do = "load"
    answered_by = "gpuprof.worker.load:load"
    device: int | None
    seconds: float


class Ready(_Message):
    """The worker waits before `window`: `phases` are the marks so far, `device` is told with the first of them."""

    event: Literal["ready"] = "ready"
    window: str
    phases: tuple[Phase, ...] = ()
    device: dict[str, Any] | None = None


class Go(_Message):
    """The supervisor has read its sensors. `min_s`: how long the throughput window has to be, where not as usual."""

    min_s: float | None = None


class Result(_Message):
    event: Literal["result"] = "result"
    data: dict[str, Any]


class Failed(_Message):
    event: Literal["failed"] = "failed"
    outcome: Literal["error", "out_of_memory", "unsupported"]  # what else can become of a worker it cannot say itself
    reason: str


Answer = Ready | Result | Failed
_ANSWERS: dict[str, type[Answer]] = {"ready": Ready, "result": Result, "failed": Failed}
_M = TypeVar("_M", bound=_Message)


def request(line: str) -> Request:
    """Raises ValueError where it is none that a worker knows."""
    return _named(line, "do", REQUESTS)


def answer(line: bytes) -> Answer:
    """Raises ValueError where it cannot be read."""
    return _named(line, "event", _ANSWERS)


def _named(line: str | bytes, key: str, kinds: Mapping[str, type[_M]]) -> _M:
    try:
        data = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply for a message") from None
    name = data.pop(key, None) if isinstance(data, dict) else None
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"no message with {key!r} of {', '.join(kinds)}: {line[:100]!r}")
    return kinds[name].model_validate(data)
