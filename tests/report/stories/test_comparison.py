"""The story of a comparison."""

from __future__ import annotations

import pytest

from gpuprof.report.forms import markdown
from gpuprof.report.forms.document import document
from gpuprof.report.stories import comparison, overview
from support.sides import NOW, case, claims, compare, one, rows, run, side


def test_two_simulated_sides_are_compared_under_the_banner_in_every_form():
    found = compare(one(case(), simulated=True), one(case(), simulated=True, vendor="amd", device="MI300X"))
    assert "simulated" not in rows(found)
    assert claims(found)[0].allowed
    assert document(found, NOW)["simulated"] is True
    assert all(document(found, NOW)[name]["simulated"] for name in ("baseline", "candidate"))
    told = comparison.story(found, NOW)
    assert told.banners == [comparison.SIMULATED.format(names="H100 and MI300X")]
    assert "SIMULATED" in markdown.render(told)
    whole = overview.Overview("x", [one(case(), simulated=True)], [])
    assert [banner.partition(":")[0] for banner in overview.story(whole, NOW).banners] == ["SIMULATED"]
    assert comparison.story(compare(one(case()), one(case())), NOW).banners == []


@pytest.mark.parametrize(
    ("rates", "machines", "says"),
    [((100, 101, 99), "aa", "3 processes per side; includes 1.4% on the ratio for other days"),
     ((100, 101, 99), "ab", "3 processes per side; includes 2.5% on the ratio for other machines and days"),
     ((100, 101), "aa", "3 and 2 processes; includes 1.4% on the ratio for other days"),
     ((100, 101), "aab", "3 and 4 processes; includes 2.2% on the ratio for other machines and days")],
)  # fmt: skip
def test_the_units_of_inference_are_counted_and_their_added_variation_named(rates, machines, says):
    baseline = side(run(case(), machine=machines[0]))
    candidate = side(*(run(case(rates), machine=machine) for machine in machines[1:]))
    facts = dict(comparison.story(compare(baseline, candidate), NOW).facts)
    assert facts["Inference"] == says


def test_no_row_of_cases_says_less_or_more_than_its_interval():
    """The interval beside a verdict is the one at the level at which it was tested."""
    works = [f"w{i}" for i in range(8)]
    base = one(*(case(case_id=w, workload=w) for w in works))
    found = compare(base, one(*(case((101.5, 102.3, 100.9), case_id=w, workload=w) for w in works), machine="b"))
    told = comparison.story(found, NOW)
    rows_ = [row for section in told.sections[:1] for table in section.blocks for row in table.rows]
    assert len(rows_) == 8
    for row in rows_:
        low, _, high = row[-2].bar or row[-1].bar or next(cell.bar for cell in row if cell.bar)
        shown = any("faster" in cell.text for cell in row)
        assert shown == (low > 1 or high < 1)
