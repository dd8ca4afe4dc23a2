"""The worker's side of the conversation with the supervisor."""

from __future__ import annotations

import json
from typing import Any, TextIO


class Unsupported(Exception):  # noqa: N818 - a finding about the device, not a fault
    """This device or torch build cannot run the case; the message says why."""


class Channel:
    def __init__(self, requests: TextIO, replies: TextIO) -> None:
        self._requests = requests
        self._replies = replies

    def send(self, **message: Any) -> None:
        self._replies.write(json.dumps(message) + "\n")
        self._replies.flush()

    def wait_for_go(self, window: str, **details: Any) -> dict[str, Any]:
        """Announce the next phase and wait until the supervisor has read its sensors. EOFError when it is gone."""
        self.send(event="ready", window=window, **details)
        line = self._requests.readline()
        if not line:
            raise EOFError("the supervisor is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer
