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

    def wait_for_go(self, window: str) -> None:
        """Announce a timed window and wait until the supervisor has read its counters. EOFError when it is gone."""
        self.send(event="ready", window=window)
        if not self._requests.readline():
            raise EOFError("the supervisor is gone")
