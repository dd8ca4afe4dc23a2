"""A worker seen by the supervisor: start it, ask it, wait with a deadline, and describe how it ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuprof.messages import Answer, Failed, Go, Ready, Request, Result, answer
from gpuprof.record.variables import without_secrets
from gpuprof.system.procfs import oom_kills
from gpuprof.system.python import own

_TAIL_CHARS = 2000
ENDS_S = 10.0  # for a killed process to be gone; one that a driver holds in the kernel may never be
_MOST_OUTPUT_BYTES = 1 << 26  # of all that it prints, which is on this machine's disk meanwhile
_LOOKS_S = 1.0  # how often that is looked at
_MOST_REPLY_BYTES = 1 << 28  # of one line; raw times of a long window are some 10 MB
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class WorkerFailed(Exception):  # noqa: N818 - carries an outcome of the record
    """A request without a result. `outcome` is one of `record.part.RepeatOutcome`.

    `exit_code` is None where the worker did not end by itself. `output_tail` are the last characters it printed.
    """

    def __init__(self, outcome: str, reason: str, exit_code: int | None = None, output_tail: str = "") -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.exit_code = exit_code
        self.output_tail = output_tail


class WorkerProcess:
    """A fresh Python process with torch, in a session of its own so that Ctrl-C reaches the supervisor alone."""

    def __init__(self, threads: int, cache: Path) -> None:
        """`threads` are for its CPU work, `cache` is the directory of its compiled kernels. Raises WorkerFailed."""
        self._oom_kills = oom_kills()
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115
            replies, replies_theirs = os.pipe()
            try:
                self._process = subprocess.Popen(
                    [*own("gpuprof.worker.main"), str(replies_theirs)],
                    stdin=subprocess.PIPE,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=(replies_theirs,),
                    env=_variables(threads, cache),
                    start_new_session=True,
                )
            except OSError:
                os.close(replies)
                raise
            finally:
                os.close(replies_theirs)
        except OSError as error:
            raise WorkerFailed("error", f"could not start a process: {error.strerror or error}") from None
        self._replies = replies
        self._buffer = b""
        self.pid = self._process.pid
        self.stuck = ""  # why the process was given up, although it is still there

    def ask(self, request: Request, timeout_s: float, at_pause: Callable[[Ready], Go] | None = None) -> dict[str, Any]:
        """The data of the worker's result. Raises WorkerFailed; a worker that failed is not to be asked again.

        `at_pause` gets each message with which the worker waits before a phase, and returns the answer it waits for.
        """
        deadline = time.monotonic() + timeout_s
        try:
            self._send(request.line())
            while True:
                message = self._receive(deadline)
                if isinstance(message, Result):
                    return message.data
                if isinstance(message, Failed):
                    raise WorkerFailed(message.outcome, message.reason, None, self._tail())
                self._send((Go() if at_pause is None else at_pause(message)).line())
        except TimeoutError:
            self.kill()
            reason = self.stuck or f"no result within {timeout_s:g} s; raise the limit with --set timeout_s=SECONDS"
            raise WorkerFailed("timeout", reason, self._process.returncode, self._tail()) from None
        except (EOFError, BrokenPipeError):
            raise self._death() from None

    def kill(self) -> None:
        """End the worker and everything it started; once more does no harm. One that does not end is `stuck`."""
        if not self.stuck:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            try:
                self._process.wait(timeout=ENDS_S)
            except subprocess.TimeoutExpired:
                self.stuck = (
                    f"process {self.pid} did not end within {ENDS_S:g} s of SIGKILL and was given up; it may hold the "
                    "device until the machine is restarted"
                )
                self._process.returncode = -signal.SIGKILL  # or Python would wait for it once more
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        if self._replies >= 0:
            os.close(self._replies)
            self._replies = -1

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self, deadline: float) -> Answer:
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError
                if os.fstat(self._log.fileno()).st_size > _MOST_OUTPUT_BYTES:
                    self.kill()
                    limit = f"{_MOST_OUTPUT_BYTES >> 20} MiB"
                    raise WorkerFailed("error", f"the worker printed more than {limit}", None, self._tail())
                if selector.select(timeout=min(remaining, _LOOKS_S)):
                    chunk = os.read(self._replies, 1 << 20)
                    if not chunk:
                        raise EOFError
                    self._buffer += chunk
                    if len(self._buffer) > _MOST_REPLY_BYTES:
                        self.kill()
                        raise WorkerFailed("error", "the worker sent a reply without end", None, self._tail())
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            return answer(line)
        except ValueError:
            self.kill()
            raise WorkerFailed("error", "the worker sent an unreadable reply", None, self._tail()) from None

    def _death(self) -> WorkerFailed:
        """Why a worker closed its side of the conversation."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
            return WorkerFailed("error", "the worker stopped answering", self._process.returncode, self._tail())
        tail = self._tail()
        self.kill()
        if code >= 0:
            last = next((line for line in reversed(tail.splitlines()) if line.strip()), "it printed nothing")
            return WorkerFailed("error", f"the worker exited with code {code}: {last.strip()[:300]}", code, tail)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        kills = oom_kills()
        if code == -signal.SIGKILL and kills is not None and self._oom_kills is not None and kills > self._oom_kills:
            reason = "the kernel killed the worker because memory ran out (SIGKILL); try a smaller batch_size"
            return WorkerFailed("out_of_memory", reason, code, tail)
        outcome = "crashed" if -code in _CRASHES else "killed"
        return WorkerFailed(outcome, f"the worker was killed by {name}", code, tail)

    def _tail(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _TAIL_CHARS))
        return without_secrets(self._log.read().decode("utf-8", errors="replace"), os.environ)


def _variables(threads: int, cache: Path) -> dict[str, str]:
    return {  # environment.OVERRIDDEN names those that change what is measured
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "PYTHONUNBUFFERED": "1",
    }
