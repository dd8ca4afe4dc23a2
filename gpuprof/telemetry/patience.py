"""Calls that may never come back: a GPU that hangs takes its vendor's library with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gpuprof.telemetry.device import Stuck
from gpuprof.telemetry.quiet import quiet

PATIENCE_S = 30.0
_Result = TypeVar("_Result")


def patiently(function: Callable[[], _Result], patience_s: float | None = None) -> tuple[_Result, str]:
    """(result, what was printed meanwhile) of a function that runs in a thread, at most `patience_s` (PATIENCE_S) long.

    Raises Stuck when it does not end by then, and leaves the thread behind; else whatever the function raises.
    """
    limit_s = PATIENCE_S if patience_s is None else patience_s
    answer: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            answer.append((True, function()))
        except BaseException as error:  # noqa: BLE001 - handed on
            answer.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    with quiet() as printed:
        thread.start()
        thread.join(limit_s)
    if not answer:
        raise Stuck(f"the vendor library did not answer within {limit_s:g} s")
    good, result = answer[0]
    if not good:
        raise result
    return result, printed.text
