"""Small stores, and what their index says of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gpuprof.index.database import Index
from gpuprof.index.digest import digest
from gpuprof.index.selector import EVERYTHING
from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from support.journals import NOW, journal, repeat


def publish(directory: Path, number: int, *, rate: float = 100.0, host: str = "h", **more) -> Path:
    """A small run in the store, with the id that its number gives it."""
    lines = journal(*(repeat(i, samples_per_s=rate + i) for i in range(3)))
    lines[0] |= {"run_id": f"20261123T{number:06}Z-test-{number:08x}", **more}
    lines[0]["environment"]["hostname"] = host
    record, raw = assemble(lines, NOW)
    return Journal(directory, record.run_id).publish(record, raw)


def names(directory: Path, wanted=EVERYTHING) -> list[str]:
    with Index(directory) as index:
        return [brief.name for brief, _ in index.briefs(wanted)]


def cache(directory: Path) -> Path:
    """The file of that store."""
    (file,) = (Path(os.environ["XDG_CACHE_HOME"]) / "gpuprof").glob("*.sqlite")
    return file


def told(directory: Path) -> list[tuple]:
    """What the index says of every run, in full."""
    with Index(directory) as index:
        briefs = [brief for brief, _ in index.briefs()]
        return [(b.run_id, b.started_at, b.where, list(index.digests([b.name]))) for b in briefs]


def from_records(directory: Path) -> list[tuple]:
    found = [digest(store.read(path), str(path)) for path in store.run_directories(directory)]
    plain = [json.loads(json.dumps(one.as_json())) for one in found]
    return [(one.run_id, one.started_at, one.where, [type(one).from_json(data, one.where)])
            for one, data in zip(found, plain, strict=True)]  # fmt: skip


def unread(monkeypatch) -> list[Path]:
    """Every record that is read from now on."""
    opened: list[Path] = []
    content = store.content
    monkeypatch.setattr(store, "content", lambda file: opened.append(file) or content(file))
    return opened
