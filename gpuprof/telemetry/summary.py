"""Samples of a window -> the summary in its record. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from gpuprof.record.part import Summary
from gpuprof.telemetry.device import ThrottleCounters
from gpuprof.throttling import NONE, REASONS, against_its_will, reasons

# The signals behind `power_w` and `temperature_c`, the better one first.
POWER = ("power_instant_w", "power_average_w")
TEMPERATURE = ("temperature_core_c", "temperature_hotspot_c")


def summarise(values: Sequence[float]) -> Summary | None:
    """Mean, median and the rest of the samples that have a value (not NaN); None where none has."""
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
    """The first of these signals that has a value in some sample; None where none has."""
    return next((name for name in names if any(not math.isnan(v) for v in columns.get(name, ()))), None)


def sampled_share(masks: Sequence[float]) -> dict[str, float] | None:
    """Share of the samples in which each throttle reason held, 0 left out; None without samples.

    NONE is the share without a reason that counts as throttling. `masks` are values of the signal `throttle`.
    """
    known = [int(mask) for mask in masks if not math.isnan(mask)]
    if not known:
        return None
    samples = [reasons(mask) for mask in known]
    shares = {name: sum(name in active for active in samples) / len(known) for name in REASONS}
    shares[NONE] = sum(not against_its_will(active) for active in samples) / len(known)
    return {name: share for name, share in shares.items() if share > 0}


def counted_share(before: ThrottleCounters, after: ThrottleCounters) -> dict[str, float] | None:
    """Share of the time between two readings by throttle reason, 0 left out; None where the device's time stood still.

    Of several counters for one reason the largest counts; one that fell was reset and is left out.
    """
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
