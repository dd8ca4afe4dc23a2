"""Nights of one series, each a run; what a history makes of them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

from gpuprof.analysis import history as analysis
from gpuprof.analysis.history import history
from gpuprof.index.brief import brief
from gpuprof.index.digest import digest
from gpuprof.record.run import RunRecord
from gpuprof.store.assemble import assemble
from support.journals import journal, repeat

FIRST = datetime(2026, 9, 1, 2, 17, tzinfo=timezone.utc)
RATE = "throughput_per_s"


def night(number: int, rate: float, *, gpu: str | None = None, host: str = "h", processes: int = 3,
          scatter: float = 0.01, driver: str = "1", torch: str = "2.15.0", threads: int = 1, config: str = "x",
          requested: str = "ieee", effective: str | None = None, outcome: str = "ok", params: dict | None = None,
          vendor: str = "nvidia", verdict: str | None = None, copy_s: float | None = None) -> RunRecord:  # fmt: skip
    """A run of one case on a night of its own."""
    at = (FIRST + timedelta(days=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rates = [rate * (1 + scatter * (i - (processes - 1) / 2)) for i in range(processes)]
    lines = journal(
        *(
            repeat(i, samples_per_s=r, outcome=outcome, started_at=at, **_yardstick(copy_s, i))
            for i, r in enumerate(rates)
        ),
        kind="gpu" if gpu else "cpu",
    )
    stamp = (FIRST + timedelta(days=number)).strftime("%Y%m%dT%H%M%SZ")
    lines[0] |= {"run_id": f"{stamp}-test-{number:08x}", "started_at": at}
    lines[0]["config"] |= {"file": f"configs/{config}.yaml"}
    lines[1]["request"] |= {"threads": threads, "precision": requested, "params": params or {}}
    environment = lines[0]["environment"]
    environment |= {"hostname": host, "kernel": driver, "torch": torch}
    environment["absent"].pop("torch")
    if gpu:
        known = {"name": gpu, "vendor": vendor, "index": 0, "uuid": f"GPU-{gpu}", "pci": "0000:01:00.0"}
        lines[0]["device"] |= known
        lines[0]["device"]["absent"] = {k: v for k, v in lines[0]["device"]["absent"].items() if k not in known}
    record, _ = assemble(lines, at)
    data = record.model_dump(mode="json", by_alias=True)
    case = data["cases"][0]
    if effective is not None:
        case["precision"] |= {"effective": effective, "absent": {}}
    if verdict is not None:
        case["correctness"]["verdict"] = verdict
        case["correctness"]["absent"].pop("verdict", None)
    return RunRecord.model_validate(data)


def _yardstick(copy_s: float | None, process: int) -> dict:
    if copy_s is None:
        return {}
    times = {"product_s": 0.005 * (1 + 0.002 * process), "copy_s": copy_s * (1 + 0.002 * process)}
    return {"yardstick": times}


def followed(*records: RunRecord, metric: str = RATE) -> list[analysis.Series]:
    digests = [digest(record) for record in records]
    return history([(brief(one), None, lambda one=one: one) for one in digests], metric)


def stepped(
    before: int, after: int, ratio: float = 0.9, seed: int = 3, was: dict | None = None, **then
) -> list[RunRecord]:
    """Nights with a step; `then` holds from the step on, `was` before it."""
    rng = random.Random(seed)
    rates = [100 * (1 + rng.gauss(0, 0.01)) * (ratio if i >= before else 1) for i in range(before + after)]
    return [night(i, rate, **(then if i >= before else was or {})) for i, rate in enumerate(rates)]
