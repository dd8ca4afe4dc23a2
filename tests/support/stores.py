"""Stores with runs in them, and ways in which a record can be damaged."""

from __future__ import annotations

from pathlib import Path

from gpuprof.store import runs as store
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from support.journals import NOW, journal, repeat


def finished(run_id: str):
    lines = journal(repeat(0), repeat(1))
    lines[0] |= {"run_id": run_id}
    return assemble(lines, NOW)


def publish(directory: Path, label: str = "x") -> Path:
    run_id = store.new_run_id(label)
    record, raw = finished(run_id)
    return Journal(directory, run_id).publish(record, raw)


DAMAGE = {
    "empty": b"", "cut": b'{"schema": "gpuprof.record/1", "run_id": "2026', "binary": b"\x00\xff\xfe",
    "list": b"[]", "foreign": b'{"benchmark": 3}', "future": b'{"schema": "gpuprof.record/99"}',
    "no cases": b'{"schema": "gpuprof.record/1"}', "deep": b"[" * 100_000,
}  # fmt: skip
