"""Whether a run is whole, and what of a dead one may go."""

from __future__ import annotations

import json
import shutil

import pytest

from gpuprof.store import runs as store
from gpuprof.store import upkeep
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal, unfinished
from support.journals import DAY_S, NOW, dead, journal, repeat
from support.running import DATA
from support.stores import publish


def test_verify_asks_for_no_times_where_nothing_was_measured(tmp_path):
    lines = journal(repeat(0), repeat(1, outcome="crashed"))
    lines[0] |= {"run_id": store.new_run_id("x")}
    lines[3] |= {"raw": {}}
    record, raw = assemble(lines, NOW)
    assert list(raw) == ["a/0/x"]
    assert upkeep.verify(Journal(tmp_path, record.run_id).publish(record, raw)) is None


def test_verify_finds_kept_runs_whole(tmp_path):
    """Real ones, of earlier schemas."""
    schemas = set()
    for file in DATA.rglob("record.json"):
        data = json.loads(file.read_text())
        shutil.copytree(file.parent, tmp_path / data["run_id"])
        assert upkeep.verify(tmp_path / data["run_id"]) is None
        schemas.add(data["schema"])
    assert schemas >= {"gpuprof.record/1", "gpuprof.record/2"}


def test_verify_accepts_what_a_writer_killed_after_publishing_left(tmp_path):
    run = publish(tmp_path)
    (run / "journal.jsonl").write_text("{}\n")
    assert upkeep.verify(run) is None


def test_what_somebody_recovers_meanwhile_is_not_removed(tmp_path):
    path = dead(tmp_path, age_s=90)
    (found,) = upkeep.leftovers(tmp_path, DAY_S, path.stat().st_mtime + 90)
    for held in unfinished(tmp_path):
        assert (held, upkeep.remove(found)) == (path, False)
    assert path.exists()
    shutil.rmtree(path)
    assert upkeep.remove(found) is False


@pytest.mark.parametrize(
    ("data", "nothing"),
    [({"correctness": {"verdict": "pass"}}, True), ({"failed": "no memory"}, True), (None, True),
     ({"correctness": 5}, True), ({"correctness": {"verdict": "wrong"}}, False)],
)  # fmt: skip
def test_checks_alone_are_nothing_unless_they_found_wrong_results(tmp_path, data, nothing):
    lines = [{"type": "run"}, {"type": "case"}, {"type": "inspected", "case_id": "a", "data": data}]
    assert upkeep.nothing_measured(tmp_path, lines) is nothing
