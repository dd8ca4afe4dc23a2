"""The worker's side of the conversation with the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from gpuprof.messages import Answer, Go, Ready
from gpuprof.record.repeat import Phase


class Unsupported(Exception):  # noqa: N818 - a finding about the device, not a fault
    """This device or torch build cannot run the case; the message says why."""


class Channel:
    """Sends answers, and waits for the supervisor's go.

    `import_s` is how long the import of torch took, which no handler can measure any more.
    """

    def __init__(self, requests: TextIO, replies: TextIO, import_s: float) -> None:
        self._requests = requests
        self._replies = replies
        self.import_s = import_s

    def send(self, answer: Answer) -> None:
        """Write one answer, at once. BrokenPipeError when the supervisor is gone."""
        self._replies.write(answer.line() + "\n")
        self._replies.flush()

    def wait_for_go(
        self, window: str, phases: Sequence[Phase] = (), *, device: dict[str, Any] | None = None
    ) -> Go:  # fmt: skip
        """Announce the next phase and wait until the supervisor has read its sensors. EOFError when it is gone."""
        self.send(Ready(window=window, phases=tuple(phases), device=device))
        line = self._requests.readline()
        if not line:
            raise EOFError("the supervisor is gone")
        return Go.model_validate_json(line)
