"""Sweeps: which cases they expand into."""

from __future__ import annotations

from support.configurations import parse


def test_sweep_expands_in_the_order_written_and_every_case_has_its_own_name():
    suite = parse(
        "workload: lstm\nsweep:\n  batch_size: [1, 8]\n  precision: [ieee, bf16]\n  params.hidden_size: [64, 32]"
    )
    assert len({case.case_id for case in suite.cases}) == 8
    assert suite.cases[0].case_id == "lstm-train-ieee-b1-t100-eager"
    assert suite.cases[-1].case_id == "lstm-train-bf16-b8-t100-eager-hidden_size=32"
