"""How cases are called."""

from __future__ import annotations

from support.sides import case, compare, one


def test_cases_are_named_by_what_tells_them_apart():
    found = compare(*(one(case(), case(batch_size=64), case(workload="gru")) for _ in range(2)))
    titles = [c.title for c in found.cases]
    assert titles == ["lstm · train · batch 32", "lstm · train · batch 64", "gru · train"]
