"""Reasons for throttling: one vocabulary for all vendors, and which of them are against the device's will."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

IDLE, CLOCKS_SETTING = "idle", "clocks_setting"
NONE = "none"  # stands beside the reasons in shares of a window: nothing held the device back
# A reason's position is its bit in the signal `throttle`.
REASONS = (
    IDLE, CLOCKS_SETTING, "power_cap", "thermal", "hw_slowdown", "power_brake", "current_limit", "sync_boost", "other",
)  # fmt: skip
# Reasons that slow nothing down against a request: an idle device, and clocks that somebody set.
_WILLED = (IDLE, CLOCKS_SETTING, NONE)


def bits(*reasons: str) -> int:
    """The reasons as a value of the signal `throttle`. Raises ValueError for one that is not in REASONS."""
    return sum(1 << REASONS.index(reason) for reason in set(reasons))


def reasons(mask: int) -> list[str]:
    """The reasons in a value of the signal `throttle`; empty when nothing holds the device back."""
    return [name for bit, name in enumerate(REASONS) if mask >> bit & 1]


def against_its_will(reasons: Iterable[str]) -> list[str]:
    """The reasons that slow a device down although more was asked of it; unknown ones are counted among them."""
    return [reason for reason in reasons if reason not in _WILLED]


def throttled(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares of a window by reason, only those in which the device was slowed down against its will."""
    return {reason: shares[reason] for reason in against_its_will(shares)}
