"""The schemas of the record that this version reads, and how a document of an older one becomes one of today's.

gpuprof.record/1  first version.
gpuprof.record/2  telemetry in run, case and repeat: power, energy, temperatures, clocks, throttling of the device.
gpuprof.record/3  config.shard and config.held: which of the configuration's cases are this run's, and why.
gpuprof.record/4  case.item and case.items_per_sample: what the workload counts beside samples.
"""

from __future__ import annotations

from typing import Any

from gpuprof.record.case import CASE_TELEMETRY

SCHEMA = "gpuprof.record/4"
OLDER = ("gpuprof.record/1", "gpuprof.record/2", "gpuprof.record/3")


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """A document of schema 1 or 2 as one of today's; what was not recorded then is absent, with that reason.

    `data` stays as it is. Raises KeyError, TypeError or AttributeError for a damaged document.
    """
    if data["schema"] == "gpuprof.record/1":
        data = _with_telemetry(data)
    return {**data, "schema": SCHEMA}  # before schema 3 every run was all of its configuration: config's defaults


def _with_telemetry(data: dict[str, Any]) -> dict[str, Any]:
    reason = "this run was recorded before gpuprof had telemetry"

    def without(part: dict[str, Any], *names: str) -> dict[str, Any]:
        return {**part, **dict.fromkeys(names), "absent": {**part["absent"], **dict.fromkeys(names, reason)}}

    cases = [
        {**without(case, *CASE_TELEMETRY), "repeats": [without(repeat, "telemetry") for repeat in case["repeats"]]}
        for case in data["cases"]
    ]
    protocol = {**without(data["protocol"], "energy_error"), "idle_s": 0.0}
    return {**without(data, "telemetry"), "cases": cases, "protocol": protocol}
