"""What a case is called."""

from __future__ import annotations

import re

from support.configurations import parse


def test_names_of_cases_never_collide():
    suite = parse("workload: vgg16\nsweep: {params.weights: [a/b.pth, a_b.pth, A_b.pth], batch_size: [1, 2]}")
    assert len({case.case_id for case in suite.cases}) == 6
    long = parse(f"workload: vgg16\nsweep: {{params.weights: [{'x' * 300}, {'x' * 301}]}}")
    names = {case.case_id for case in long.cases}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z0-9_.+=-]{1,200}", name) for name in names)
