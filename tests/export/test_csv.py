"""CSV: one row a case and metric, and no cell is a formula."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.export.csv import guard
from gpuprof.export.table import COLUMNS
from gpuprof.metrics import METRICS
from support.made import made, render, table


def test_csv_is_one_row_a_case_and_metric():
    found = table(render("csv", made()))
    assert list(found[0]) == [column.name for column in COLUMNS]
    by_metric = {row["metric"]: row for row in found}
    assert list(by_metric) == [metric.key for metric in METRICS]
    row = by_metric["throughput_per_s"]
    assert float(row["value"]) == pytest.approx(100)
    assert (row["unit"], row["processes"], row["device"], row["batch_size"]) == ("samples/s", "2", "NVIDIA H100", "8")
    assert by_metric["latency_p50_s"]["processes"] == "2"
    assert by_metric["temperature_max_c"]["value"] == "61.0"


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n; '"), max_size=8))
def test_no_cell_begins_a_formula_and_the_text_comes_back(text):
    cell = guard(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert not cell.startswith(("\t", "\r"))
    assert not re.search(r"[;\t]\s*[=+@-]", cell)
    inside = cell[1:] if cell.startswith("'") else cell
    assert re.sub(r"([;\t]\s*)'(?=[=+@\t\r'＝＋－＠-])", r"\1", inside) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", " =", "\n=", "'="])
def test_a_formula_in_a_name_is_text(start):
    text = table(render("csv", made(name=f'{start}HYPERLINK("x")')))[0]["device"]
    assert text == f'\'{start}HYPERLINK("x")'
    negative = table(render("csv", made()))[0]["value"]
    assert not negative.startswith("'")
