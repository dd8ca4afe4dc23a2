"""A machine on which nights are measured."""

from __future__ import annotations

import pytest

from gpuprof.nightly import measure as tonight
from gpuprof.nightly import run as nightly
from gpuprof.record.run import RunRecord
from support.made import publish


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose `gpuprof run` publishes the next of `records`, or fails with what stands in its place."""

    class Machine:
        store, out = tmp_path / "store", tmp_path / "out"
        records: list[RunRecord | tuple[int | None, bytes] | Exception]
        calls: list[list[str]]

        def __init__(self):
            self.records, self.calls = [], []
            self.store.mkdir()

        def night(self, name: str, *records, configs=("x.yaml",), **more) -> nightly.Night:
            self.records = list(records)
            done = nightly.run(tonight.Plan(configs, self.store, self.out, name, **more))
            assert not self.records, "left over: less was measured than expected"
            return done

        def call(self, command, log, lock, timeout_s):
            self.calls.append(command)
            record = self.records.pop(0)
            if isinstance(record, Exception):
                raise record
            if isinstance(record, tuple):
                return record
            publish(self.store, (record, {}))
            good = all(case.outcome == "ok" for case in record.cases)
            return 0 if good else 1, record.to_json().encode()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Machine()
    monkeypatch.setattr(tonight, "_call", found.call)
    return found
