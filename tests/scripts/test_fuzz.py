"""A few inputs of each kind from the fuzz bench: read, or refused by name."""

from __future__ import annotations

import sys

import pytest

from support.running import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import fuzz

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_files_are_read_or_refused_by_name(kind, tmp_path):
    for number in range(60):
        code, said = fuzz.outcome(kind, number, 7, tmp_path)
        assert code in (fuzz.READ, fuzz.REFUSED), (fuzz.WORDS[code], said)


def test_what_fails_in_its_reader_is_seen(tmp_path, monkeypatch):
    def fails(path):
        raise KeyError("planted")

    monkeypatch.setitem(fuzz.KINDS, "raw", (fuzz.make_raw, fails, 0.1))
    code, said = fuzz.outcome("raw", 0, 7, tmp_path)
    assert code == fuzz.TRACEBACK
    assert "planted" in said
