"""What `calibrate-telemetry` found of a card's energy counter, kept for this user's later runs on that card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpuprof.absent import Absent
from gpuprof.errors import GpuprofError
from gpuprof.record.run import Calibration
from gpuprof.system.files import cache_directory, is_ours, make_private, to_file
from gpuprof.telemetry.device import Device

# The end of a load tells the lag, and what a card draws while it comes to rest makes that longer than it is.
_SHORTER_S, _LONGER_S = 0.03, 0.01


def keep(device: Device, result: dict[str, Any], measured_at: str) -> bool:
    """Whether it could be kept: the card needs a UUID, and the cache a place."""
    if (path := _path(device)) is None:
        return False
    known = {"lag_s": result["lag"].get("lag_s"), "driver": result["identity"]["driver_version"]["value"]}
    reasons = {"lag_s": result["lag"].get("absent", ""), "driver": "its version could not be read"}
    absent = {name: reasons[name] for name, value in known.items() if value is None}
    found = {**result["finding"], "measured_at": measured_at, **known, "absent": absent}
    try:
        make_private(path.parent)
        to_file(path, json.dumps(found).encode("ascii"))
    except (OSError, GpuprofError):
        return False
    return True


def kept(device: Device, driver: object) -> Calibration | Absent:
    """The last calibration of this card on this machine with this version of its driver, or why there is none."""
    path = _path(device)
    if path is None:
        return Absent("this device has no UUID by which a calibration could be kept")
    if not path.is_file() or not is_ours(path):
        return Absent("calibrate-telemetry has not run on this card")
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValueError):  # a ValidationError is one
        return Absent("what calibrate-telemetry kept cannot be read: run it again")
    if found.driver != driver:  # it is the driver that counts, or reads what firmware counts
        return Absent(f"calibrated with driver {found.driver}, now {driver}: run calibrate-telemetry again")
    return found


def lag_s(calibration: Calibration | Absent) -> tuple[float, float] | None:
    """The bounds of the counter's lag, for `energy.by_counter`."""
    if isinstance(calibration, Absent) or calibration.lag_s is None or not trusted(calibration):
        return None
    return max(0.0, calibration.lag_s - _SHORTER_S), max(0.0, calibration.lag_s) + _LONGER_S


def trusted(calibration: Calibration | Absent) -> bool:
    """Whether the counter was seen to count all of the time, and at the right scale."""
    return not isinstance(calibration, Absent) and calibration.kind in ("ideal", "lagging")


def doubts(calibration: Calibration | Absent) -> Iterator[str]:
    """A check of each energy that is counted by a counter which was found to count wrongly."""
    if not isinstance(calibration, Absent) and calibration.kind in ("late", "part-time", "mis-scaled"):
        when = calibration.measured_at[:10]
        yield f"the energy counter is {calibration.kind} (calibrated {when}): {calibration.means}"


def _path(device: Device) -> Path | None:
    if not device.uuids:
        return None
    name = hashlib.sha256(min(device.uuids).encode()).hexdigest()[:32]
    return cache_directory() / "calibrations" / f"{name}.json"
