"""How cases are called."""

from __future__ import annotations

from gpuprof.analysis import titles
from gpuprof.report.charts import pictures
from gpuprof.report.charts.pictures import Timeline
from support.sides import case, compare, one


def test_cases_are_named_by_what_tells_them_apart():
    found = compare(*(one(case(), case(batch_size=64), case(workload="gru")) for _ in range(2)))
    called = [c.title for c in found.cases]
    assert called == ["lstm · train · batch 32", "lstm · train · batch 64", "gru · train"]


def test_a_full_title_has_every_key_and_the_parameters_that_differ():
    cases = [case(params={"hidden_size": 8, "fused": True}), case(params={"hidden_size": 16, "fused": True})]
    assert titles.full(cases, but=("batch_size",)) == [
        "lstm · train · ieee · T 100 · eager · 1 thread · hidden_size 8",
        "lstm · train · ieee · T 100 · eager · 1 thread · hidden_size 16",
    ]


def test_lines_over_batch_sizes_are_of_one_length_each():
    swept = [case(batch_size=batch, seq_len=length, rates=[1.0, 1.1]) for batch in (8, 64) for length in (10, 100)]
    shown = [("", "a card", evidence) for evidence in one(*swept).cases.values()]
    charts = pictures.of_cases(shown, ["a card"], Timeline(), "")
    (chart,) = [chart for chart in charts if chart.key == "sweep"]
    assert chart.says.count("T 10 ·") == chart.says.count("T 100 ·") == 2
    assert len({row["label"] for row in chart.spec["data"]["values"]}) == 2
