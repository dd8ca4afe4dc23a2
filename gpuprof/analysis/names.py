"""Names of devices as people say them, short and still apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpuprof.analysis.evidence import Evidence

_SHORT = 52  # characters of a name that still fits a heading
# What people leave out when they speak of a device: makers, families, kinds of memory and of board.
_MAKERS = re.compile(
    r"\b(simulated|nvidia|amd|intel|geforce|instinct|radeon(?= (rx|pro|graphics|vii))|tesla|quadro|processor|cpu)\b|"
    r"\((r|tm)\)|@.*|\d+-core\b",
    re.IGNORECASE,
)  # fmt: skip
_BOARD = re.compile(r"[- ](sxm\d*|pcie|nvl|oam|hbm\w*|\d+ ?gi?b)\b", re.IGNORECASE)


def short(device: str) -> str:
    """The name as people say it: H100, MI300X, RTX 4090, EPYC 7B13."""
    return _said(_BOARD.sub("", device)) or device


def _said(device: str) -> str:
    return " ".join(_MAKERS.sub(" ", device).split())


def shorts(devices: Sequence[str]) -> list[str]:
    """Their names, as short as still tells them all apart."""
    for shorten in (short, _said):
        names = [shorten(device) for device in devices]
        if all(names) and len(set(names)) == len(set(devices)):
            return names
    return list(devices)


def names(baseline: Evidence, candidate: Evidence) -> tuple[str, str]:
    """Names that tell the sides apart: their devices, else the texts that selected them, else their roles."""
    devices = (baseline.device, candidate.device)
    first, second = shorts(devices) if all(devices) else devices
    for pair in ((first, second), (baseline.text, candidate.text)):
        if pair[0] != pair[1] and all(pair) and max(map(len, pair)) <= _SHORT:
            return pair
    return "baseline", "candidate"
