"""Entry point of a worker process."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from typing import Any, TextIO

from gpuprof import messages
from gpuprof.messages import Failed, Result
from gpuprof.worker.channel import Channel, Unsupported


def main() -> None:
    """Serve a supervisor: requests from stdin, replies to the descriptor named as first argument."""
    _die_with_parent()
    # Not to be inherited by what torch starts: the supervisor takes a closed descriptor for the worker's end.
    reply_fd = int(sys.argv[1])
    os.set_inheritable(reply_fd, False)
    with os.fdopen(reply_fd, "w", encoding="utf-8") as replies:
        serve(sys.stdin, replies)


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until the input ends."""
    started = time.perf_counter()
    import torch

    channel = Channel(requests, replies, time.perf_counter() - started)
    while line := requests.readline():
        try:
            channel.send(Result(data=_answered(line, channel)))
        except Unsupported as error:
            channel.send(Failed(outcome="unsupported", reason=str(error)))
        except (BrokenPipeError, EOFError):
            return
        except Exception as error:  # noqa: BLE001 - whatever torch raises belongs into the record, with its reason
            traceback.print_exc()
            if _is_out_of_memory(error, torch):
                reason = f"out of memory; try a smaller batch_size ({_summary(error)})"
                channel.send(Failed(outcome="out_of_memory", reason=reason))
            else:
                channel.send(Failed(outcome="error", reason=_summary(error)))


def _answered(line: str, channel: Channel) -> dict[str, Any]:
    request = messages.request(line)
    # Imported here: an `environment` request needs none of the measuring parts.
    module, _, function = request.answered_by.partition(":")
    data: dict[str, Any] = getattr(importlib.import_module(module), function)(request, channel)
    return data


def _is_out_of_memory(error: Exception, torch: Any) -> bool:
    """Also in its guises: a library that could not allocate, or an error that a clean-up raised on top of it."""
    texts = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)):
            return True
        if isinstance(cause, RuntimeError) and any(text in str(cause) for text in texts):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _summary(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else 'no message'}"


def _die_with_parent() -> None:
    """Ask Linux to end this process when the supervisor ends, however that happens."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    main()
