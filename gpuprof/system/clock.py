"""The time of day, as records write it."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> str:
    """The time as records hold it: ISO 8601, milliseconds, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime | None:
    """A time of a record (ISO 8601); None where it is none."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
