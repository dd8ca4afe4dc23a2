"""A colour for each vendor, the same in every report and chart."""

from __future__ import annotations

from collections.abc import Sequence

# Blue, orange and violet are told apart by colour-blind eyes; shapes and dashes differ as well.
_OWN = {"nvidia": "nvidia", "amd": "amd", "cpu": "cpu"}
_OTHERS = ("second", "third", "fourth")


def hues(vendors: Sequence[str]) -> list[str]:
    """A CSS variable for each: the vendor's own colour, in every report, or the next free one where it is taken."""
    found: list[str] = []
    free = iter([*_OTHERS] * len(vendors))
    for vendor in vendors:
        own = _OWN.get(vendor, "")
        found.append(own if own and own not in found else next(free))
    return [f"var(--{name})" for name in found]
