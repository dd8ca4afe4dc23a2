"""Numbers as they are shown: nothing is lost but what four significant digits lose, in any unit and of any size."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprof import units
from gpuprof.report.charts import cases as charts
from support.running import ROOT, variables

PREFIXES = {"": 1.0, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "m": 1e-3, "µ": 1e-6, "n": 1e-9}
PREFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
SHOWN = ("B", "B/s", "FLOP/s", "Hz", "J", "s", "W", "samples/s", "")
# As large as an exaflop, as small as what a clock cannot tell.
sizes = st.floats(1e-15, 1e19) | st.sampled_from([10.0**power for power in range(-15, 19)])
values = st.builds(lambda size, sign: size * sign, sizes, st.sampled_from([1, -1]))


def parsed(text: str, unit: str) -> float:
    """The value that a reader takes from the text."""
    figure, _, named = text.partition(" ")
    assert named.endswith(unit)
    return float(figure.replace(",", "")) * PREFIXES[named.removesuffix(unit)]


@given(values, st.sampled_from(SHOWN))
def test_four_significant_digits_are_kept(value, unit):
    shown = units.show(value, unit)
    assert abs(parsed(shown, unit) / value - 1) <= 0.0005000001, shown
    assert len(shown) <= 22 + len(unit), "readable"


@given(values, values, st.sampled_from(SHOWN))
def test_an_interval_tells_both_bounds(one, other, unit):
    low, high = units.show_interval((one, other), unit).split(" – ")
    if unit and unit not in low:  # said once, at the end, and then both are in it
        assert parsed(high, unit) == pytest.approx(float(high.split(" ")[0].replace(",", "")))
        low += f" {unit}"
    rounding = 0.5001 * 10 ** (1 - units.digits((one, other)))
    assert parsed(low, unit) == pytest.approx(one, rel=rounding)
    assert parsed(high, unit) == pytest.approx(other, rel=rounding)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567, "samples/s", "1,234,567 samples/s"), (12.3456, "samples/s", "12.35 samples/s"), (0, "B", "0 B"),
        (0.00123456, "s", "1.235 ms"), (2.5e-7, "s", "250.0 ns"), (61.2345, "s", "61.23 s"), (0, "s", "0 s"),
        (3 * 2**30, "B", "3.000 GiB"), (512, "B", "512 B"), (0.5, "B", "0.5000 B"), (2**41, "B", "2.000 TiB"),
        (2.85e12, "B/s", "2.850 TB/s"), (9.895e14, "FLOP/s", "989.5 TFLOP/s"), (1.98e9, "Hz", "1,980 MHz"),
        (32_768, "Hz", "32.77 kHz"), (3.5e-10, "J", "0.3500 nJ"), (0, "J", "0 J"), (0.05, "W", "0.05000 W"),
        (700, "W", "700.0 W"), (45.04, "°C", "45.0 °C"), (-0.25, "J", "-250.0 mJ"), (0.99999, "s", "1.000 s"),
        (999.96, "samples/s", "1,000 samples/s"), (0.00012, "", "0.00012"), (0.5, "", "0.5000"), (0, "", "0"),
        (1.2e-7, "", "1.2e-7"), (2.85e12, "", "2.85e12"), (123_456_789, "", "123,456,789"), (1e-5, "", "0.00001"),
    ],
)  # fmt: skip
def test_numbers_read_well(value, unit, text):
    assert units.show(value, unit) == text


@pytest.mark.parametrize(
    ("bounds", "unit", "text"),
    [
        ((3476, 6214), "samples/s", "3,476 – 6,214 samples/s"), ((0.005, 0.0085), "s", "5.000 ms – 8.500 ms"),
        ((1.5, 2.0), "J", "1.500 – 2.000 J"), ((1.5, 2000), "J", "1.5 J – 2.0 kJ"), ((1, 2), "", "1.0 – 2.0"),
        ((1, 1.9), "", "1.000 – 1.900"), ((7.952, 518.5), "samples/s", "8.0 – 520 samples/s"),
        ((512, 2048), "B", "512 B – 2.0 KiB"),
    ],
)  # fmt: skip
def test_intervals_read_well(bounds, unit, text):
    assert units.show_interval(bounds, unit) == text


def test_energies_of_an_axis_share_the_unit_of_the_smallest():
    assert units.joules([0.002, 5.0]) == (1e3, "mJ")
    assert units.joules([2e-9]) == (1e9, "nJ")
    assert units.joules([]) == (1.0, "J")


@pytest.mark.parametrize(
    ("chart", "row", "texts"),
    [
        (charts.throughput, {"value": 0.05, "low": 0.04, "high": None}, {"shown": "0.05000 samples/s"}),
        (charts.latency, {"percentile": "p50", "value_s": 2.5e-4}, {"shown": "250.0 µs"}),
        (charts.energy, {"throughput": 9e9, "energy_j": 3e-10, "low": 2e-10, "high": 4e-9},
         {"shown": "0.3000 nJ", "interval": "0.20 nJ – 4.0 nJ", "rate": "9e9 samples/s"}),
    ],
)  # fmt: skip
def test_a_chart_says_what_a_table_says(chart, row, texts):
    (drawn,) = chart([{"label": "a", "side": "b", **row}])["data"]["values"]
    assert {name: drawn[name] for name in texts} == texts


def test_units_import_neither_the_record_nor_pydantic():
    code = "import sys; import gpuprof.units; print([n for n in ('gpuprof.record', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=variables(), cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
