"""docs/hardware.md names tests that are there."""

from __future__ import annotations

import re

from support.running import ROOT

TEXT = (ROOT / "docs" / "hardware.md").read_text()
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| \d+ \|", line)]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def test_each_finding_names_its_test_or_is_open():
    assert len(ROWS) >= 30
    for row in ROWS:
        test = row.split("|")[3]
        assert "open" in test or "::" in test, row


def test_the_tests_are_there():
    assert len(NAMED) >= 18
    gone = [f"{file}::{name}" for file, name in NAMED
            if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text()]  # fmt: skip
    assert gone == []
