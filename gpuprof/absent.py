"""Why a value is missing: the one way in which gpuprof's own code says so.

A value that may be missing is `T | Absent`; its users ask with isinstance, which type checkers follow. In a stored
record it is null, with its reason in the part's `absent`.
"""

from __future__ import annotations

from dataclasses import dataclass

# Why a record lacks a field that came after it.
EARLIER = "this run was recorded before gpuprof had it"


@dataclass(frozen=True)
class Absent:
    """Instead of a value, the reason why there is none, in words for a person.

    It does nothing else: no default, no arithmetic, nothing that lets it pass for a number. A sensor's reason has a
    status as well (`telemetry.device.NoReading`); other reasons have none, and a default would make one up.
    """

    reason: str


# The reason of an error that is no number: whoever shows the largest of several must not pass over it.
NOT_FINITE = "not finite, or against a reference of zero"
