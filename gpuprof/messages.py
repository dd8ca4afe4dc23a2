"""The messages between supervisor and worker: one JSON object per line, each a frozen class of this file.

The supervisor sends a Request; the worker answers with Result or Failed. Before a phase it sends
Ready and waits for Go.
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
        """The message as JSON, without the end of the line."""
        return json.dumps(self.model_dump(mode="json"))


class Request(_Message):
    """Something to ask a worker. `do` names the subclass in a message; `answered_by` is MODULE:FUNCTION.

    That function of the worker gets the request and the channel, and returns the data of the Result.
    """

    do: ClassVar[str]
    answered_by: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        REQUESTS[cls.do] = cls

    def line(self) -> str:
        """The message as JSON with its name, without the end of the line."""
        return json.dumps({"do": self.do, **self.model_dump(mode="json")})


class Environment(Request):
    """Asks for torch's version and libraries, and the GPUs it sees: fields of `record.run.Environment` and Device."""

    do = "environment"
    answered_by = "gpuprof.worker.environment:describe"


class Inspect(Request):
    """Asks for the counts, precision probe and correctness gate of a case, whose threads are resolved.

    `device` is torch's index of a GPU; None is the CPU, here and below.
    """

    do = "inspect"
    answered_by = "gpuprof.worker.inspect:inspect"
    case: CaseSpec
    device: int | None


class Measure(Request):
    """Asks for one repeat of a case. `pretrained`: whether the check had loaded pretrained weights."""

    do = "measure"
    answered_by = "gpuprof.worker.measure:measure"
    case: CaseSpec
    device: int | None
    protocol: Protocol
    pretrained: bool


class Load(Request):
    """Asks for a steady load that begins with the supervisor's Go and lasts for `seconds`, and then for pulses.

    Each of `phases_s` is a train of pulses: the load is on for the first half of each `period_s` of CLOCK_MONOTONIC,
    counted from so many seconds after its multiples. Rests lie before each.
    """

    do = "load"
    answered_by = "gpuprof.worker.load:load"
    device: int | None
    seconds: float
    phases_s: tuple[float, ...] = ()
    period_s: float = 0.1
    train_s: float = 2.0
    rest_s: float = 2.0


class Ready(_Message):
    """The worker waits before the phase `window`; `phases` are the marks so far.

    `device` tells its device from the machine's others, by some fields of `record.run.Device`; None after the first
    of these messages.
    """

    event: Literal["ready"] = "ready"
    window: str
    phases: tuple[Phase, ...] = ()
    device: dict[str, Any] | None = None


class Go(_Message):
    """The supervisor has read its sensors. `min_s` is the throughput window's least length, None the protocol's."""

    min_s: float | None = None


class Result(_Message):
    """The request was carried out; `data` is what its `answered_by` returned."""

    event: Literal["result"] = "result"
    data: dict[str, Any]


class Failed(_Message):
    """The request could not be carried out, and the worker can say why."""

    event: Literal["failed"] = "failed"
    outcome: Literal["error", "out_of_memory", "unsupported"]  # a worker that dies cannot report it
    reason: str


Answer = Ready | Result | Failed
_ANSWERS: dict[str, type[Answer]] = {"ready": Ready, "result": Result, "failed": Failed}
_M = TypeVar("_M", bound=_Message)


def request(line: str) -> Request:
    """The request in a line. Raises ValueError for one that no worker knows."""
    return _named(line, "do", REQUESTS)


def answer(line: bytes) -> Answer:
    """The answer in a line. Raises ValueError where it cannot be read."""
    return _named(line, "event", _ANSWERS)


def _named(line: str | bytes, key: str, kinds: Mapping[str, type[_M]]) -> _M:
    try:
        data = json.loads(line)
    except RecursionError:
        raise ValueError("message nested too deeply") from None
    name = data.pop(key, None) if isinstance(data, dict) else None
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"not a message whose {key!r} is one of {', '.join(kinds)}: {line[:100]!r}")
    return kinds[name].model_validate(data)
