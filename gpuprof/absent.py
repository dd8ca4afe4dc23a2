"""Why a value is missing: the one way in which gpuprof's own code says so.

What may be missing is `T | Absent`, and whoever uses it asks with isinstance, which type checkers follow. In a stored
record the same is null, with its reason in the part's `absent`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Absent:
    """Instead of a value, the reason why there is none, in words for a person.

    It does nothing else: no default, no arithmetic, nothing that lets it pass for a number. Most reasons are no more
    than words; those of sensors have a status as well (`telemetry.device.NoReading`), which a default would make up.
    """

    reason: str
