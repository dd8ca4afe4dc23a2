"""Journals of runs whose supervisor was killed -> records with the outcome `interrupted`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from gpuprof.errors import StoreError
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import publish_recovered, read_journal, unfinished
from gpuprof.store.upkeep import EMPTY_AFTER_S, empty


@dataclass(frozen=True)
class Recovery:
    """What became of one dead run. `path` is its directory, published or not; `why` is empty where it is recovered."""

    path: Path
    outcome: Literal["recovered", "removed", "left", "failed"]
    why: str = ""
    repeats: int = 0


def recover(store: Path, now_s: float) -> Iterator[Recovery]:
    """Publish what dead runs measured, one after the other; a run that cannot be recovered does not stop the others.

    `now_s` is in seconds since 1970. A journal without a measurement is removed once it is a minute old.
    """
    for staging in unfinished(store):
        try:
            recovery = _recovered(staging, now_s)
        except Exception as error:  # noqa: BLE001 - a journal may hold anything, and the others are waiting
            recovery = Recovery(staging, "failed", str(error).splitlines()[0] if str(error) else type(error).__name__)
        yield recovery


def _recovered(staging: Path, now_s: float) -> Recovery:
    changed_s = (staging / "journal.jsonl").stat().st_mtime
    if empty(staging):
        if now_s - changed_s <= EMPTY_AFTER_S:
            return Recovery(staging, "left", "nothing was measured, but it may just be starting")
        shutil.rmtree(staging)
        return Recovery(staging, "removed", "nothing was measured")
    lines, _ = read_journal(staging)
    if not lines:
        raise StoreError("its journal has no complete line")
    ended = datetime.fromtimestamp(changed_s, timezone.utc).isoformat(timespec="milliseconds")
    record, raw = assemble(lines, ended)
    path = publish_recovered(staging, record, raw)
    return Recovery(path, "recovered", repeats=sum(len(case.repeats) for case in record.cases))
