"""Charts as pictures, and the scripts that make them live."""

from __future__ import annotations

import json
import re
import stat
import sys
from types import SimpleNamespace

import pytest

from gpuprof.errors import GpuprofError
from gpuprof.report.charts import cases as charts
from gpuprof.report.charts import drawing
from gpuprof.report.charts.over_time import timeline
from gpuprof.report.forms import pdf
from support import stories


@pytest.mark.parametrize("draw", [charts.ratios, charts.throughput, charts.latency, charts.energy, charts.sweep,
                                  timeline])  # fmt: skip
def test_a_chart_of_nothing_is_drawn(draw):
    spec = draw([])
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert drawing.svg(spec).startswith("<svg")


def test_pictures_use_colours_of_the_page_alone():
    picture = drawing.svg(stories.demo().sections[0].blocks[2].spec)
    assert set(re.findall(r"var\(--([a-z]+)\)", picture)) <= set(drawing.LIGHT)
    assert set(drawing.LIGHT) == set(drawing.DARK)
    assert "var(" not in drawing.concrete(picture)
    assert drawing.LIGHT["good"] in drawing.concrete(picture)


class _Library(SimpleNamespace):
    __version__ = "9.9"
    built = 0

    def javascript_bundle(self):
        self.built += 1
        return "one\r\n'</script>' '<!--'"


def test_the_bundle_is_kept(tmp_path, monkeypatch):
    library = _Library()
    monkeypatch.setattr(drawing, "_library", lambda: library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert drawing.bundle() == drawing.bundle()
    assert drawing.bundle().endswith("*/\none\n'<\\/script>' '<\\!--'")
    for said in ("University of Washington Interactive Data Lab", "Mike Bostock", "AS IS"):
        assert said in drawing.bundle()
    assert library.built == 1
    (file,) = (tmp_path / "new/gpuprof").iterdir()
    assert file.name == "vega-9.9.js"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_bundle_needs_no_cache(tmp_path, monkeypatch):
    library = _Library()
    monkeypatch.setattr(drawing, "_library", lambda: library)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert drawing.bundle() == drawing.bundle()
    assert library.built == 2


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(GpuprofError, match="pip install 'vl-convert-python"):
        drawing.svg(charts.ratios([]))
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(GpuprofError, match=r"pip install 'gpuprof-dl\[pdf\]'"):
        pdf.render(stories.demo())
