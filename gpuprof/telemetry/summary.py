"""Samples of a window -> what a record says of it. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from gpuprof.record.part import Summary
from gpuprof.telemetry.device import ThrottleCounters
from gpuprof.throttling import NONE, REASONS, against_its_will, reasons

# The signals that stand for the headline names, the better one first.
POWER = ("power_instant_w", "power_average_w")
TEMPERATURE = ("temperature_core_c", "temperature_hotspot_c")


def summarise(values: Sequence[float]) -> Summary | None:
    """None where every sample was absent."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    return Summary(
        mean=statistics.fmean(known),
        median=statistics.median(known),
        min=min(known),
        max=max(known),
        start=known[0],
        end=known[-1],
        samples=len(known),
    )


def chosen(columns: Mapping[str, Sequence[float]], names: Sequence[str]) -> str | None:
    """The first of these signals that has a value."""
    return next((name for name in names if any(not math.isnan(v) for v in columns.get(name, ()))), None)


def sampled_share(masks: Sequence[float]) -> dict[str, float] | None:
    """Share of the samples in which each reason held; None without samples."""
    known = [int(mask) for mask in masks if not math.isnan(mask)]
    if not known:
        return None
    found = [reasons(mask) for mask in known]
    shares = {name: sum(name in one for one in found) / len(known) for name in REASONS}
    shares[NONE] = sum(not against_its_will(one) for one in found) / len(known)
    return {name: share for name, share in shares.items() if share > 0}


def counted_share(before: ThrottleCounters, after: ThrottleCounters) -> dict[str, float] | None:
    """Share of the time between two readings; of several counters for one reason the largest. None where time stood."""
    span = after.base - before.base
    if span <= 0:
        return None
    shares: dict[str, float] = {}
    first = list(before.counts)
    for position, (name, count) in enumerate(after.counts):
        if position < len(first) and first[position][0] == name and count >= first[position][1]:
            share = min(1.0, (count - first[position][1]) / span)
            shares[name] = max(share, shares.get(name, 0.0))
    shares[NONE] = max(0.0, 1.0 - sum(shares.values()))
    return {name: share for name, share in shares.items() if share > 0}
