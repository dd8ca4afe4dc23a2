"""Times of day as records write them."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> str:
    """Now, as in 2026-11-23T09:00:00.000Z."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime | None:
    """A time of a record (ISO 8601; UTC where it names no zone) with its zone; None for other text."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
