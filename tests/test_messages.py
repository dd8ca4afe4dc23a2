"""The conversation of supervisor and worker: what is said comes back as it was, and a new request is one class."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import messages
from gpuprof.messages import Failed, Go, Inspect, Load, Ready, Request, Result
from gpuprof.record.repeat import Phase
from gpuprof.worker import main
from gpuprof.worker.channel import Channel
from support.cases import case

PHASE = Phase(name="cold", start_ns=1, end_ns=2)


def answered(*lines: str) -> list[messages.Answer]:
    """What a worker says to these lines, in this process."""
    replies = io.StringIO()
    main.serve(io.StringIO("".join(f"{line}\n" for line in lines)), replies)
    return [messages.answer(line.encode()) for line in replies.getvalue().splitlines()]


@pytest.mark.parametrize("message", [
    Load(device=0, seconds=1.5), Inspect(case=case("lstm"), device=None), messages.Environment(),
])  # fmt: skip
def test_a_request_comes_back_as_it_was_sent(message):
    assert messages.request(message.line()) == message


@pytest.mark.parametrize("message", [
    Result(data={"a": [1, None, "x"]}), Failed(outcome="out_of_memory", reason="b"),
    Ready(window="cold", device={"kind": "cpu"}), Ready(window="latency", phases=(PHASE,)),
])  # fmt: skip
def test_an_answer_comes_back_as_it_was_sent(message):
    assert messages.answer(message.line().encode()) == message


NO_ANSWERS = [
    b"null", b"[]", b"{}", b'{"event": "ready"}', b'{"event": ["result"]}', b"[" * 200_000,
    b'{"event": "failed", "outcome": "ok", "reason": "x"}',
]  # fmt: skip


@given(st.binary() | st.sampled_from(NO_ANSWERS))
def test_what_is_no_answer_is_one_kind_of_error(line):
    with pytest.raises(ValueError):
        messages.answer(line)


def test_messages_cannot_be_changed_and_hold_nothing_else():
    with pytest.raises(ValueError):
        Go(min_s=1.0).min_s = 2.0
    with pytest.raises(ValueError):
        Go.model_validate({"min_s": 1.0, "max_s": 2.0})


@pytest.mark.parametrize("line", ['{"do": "meazure"}', "{}", "nonsense", '{"do": "load"}', "[1]"])
def test_an_unknown_request_is_an_error_and_the_worker_goes_on(line):
    wrong, right = answered(line, Toy(number=1).line())
    assert isinstance(wrong, Failed) and wrong.outcome == "error"
    assert right == Result(data={"twice": 2})


class Toy(Request):
    """All that a new request takes: this class, and the function that answers."""

    do = "toy"
    answered_by = f"{__name__}:answer"
    number: int


def answer(request: Toy, channel: Channel) -> dict[str, Any]:
    return {"twice": 2 * request.number}


def test_a_new_request_is_a_class_and_a_function():
    assert answered(Toy(number=21).line()) == [Result(data={"twice": 42})]


def test_every_request_is_answered_by_a_function_of_the_worker():
    for name, kind in messages.REQUESTS.items():
        if kind is not Toy:
            module, _, function = kind.answered_by.partition(":")
            assert module.startswith("gpuprof.worker."), name
            assert function.isidentifier()
