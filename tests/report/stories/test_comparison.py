"""The story of a comparison."""

from __future__ import annotations

from gpuprof.report.forms import markdown
from gpuprof.report.forms.document import document
from gpuprof.report.stories import comparison, overview
from support.sides import NOW, case, claims, compare, one, rows


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
