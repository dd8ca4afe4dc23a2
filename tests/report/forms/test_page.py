"""The page in a real browser (the system's chromium; skipped where there is none), and its parts without one."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpuprof.errors import GpuprofError
from gpuprof.report.charts import cases as charts
from gpuprof.report.charts import drawing
from gpuprof.report.charts.over_time import timeline
from gpuprof.report.forms import page, pdf
from gpuprof.report.story import Cell, Chart, Section, Story, Table
from gpuprof.text import printable
from support import stories

HOSTILE = (
    "<script>window.pwned=1</script>\"><img src=x onerror='window.pwned=1'></script><svg onload=window.pwned=1>"
    "javascript:window.pwned=1 {{7*7}} &lt;\u202eevil\u2066\x07" + "long" * 100
)
SHOWN = HOSTILE.replace("\u202e", "\ufffd").replace("\u2066", "\ufffd").replace("\x07", "\ufffd")
CHARTS = 6
pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Every text on the page, with its colour and what lies under it.
CONTRASTS = """() => {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[0-9.]+/g).map(Number);
    return {rgb: [r, g, b], a};
  };
  const linear = (v) => v <= 0.03928 * 255 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => {
    const [r, g, b] = rgb.map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const under = (e) => { for (; e; e = e.parentElement) {
    const b = parse(getComputedStyle(e).backgroundColor); if (b.a > 0.99) return b.rgb; } };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement, style = getComputedStyle(e);
    if (!node.data.trim() || e.closest("script, .skip, .hidden")) continue;
    const text = parse(e instanceof SVGElement ? style.fill : style.color).rgb;
    const [a, b] = [light(text), light(under(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.tagName + "." + e.getAttribute("class"), node.data.slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of our own for the scripts' bundle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def plain(folder) -> Path:
    file = folder / "plain.html"
    file.write_text(page.render(stories.demo()), "utf-8")
    return file


@pytest.fixture(scope="session")
def poisoned(folder) -> Path:
    file = folder / "poisoned.html"
    file.write_text(page.render(stories.poisoned(stories.demo(), HOSTILE)), "utf-8")
    return file


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the page was not tested in a browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Opens a page and keeps what it asked for and complained of."""
    contexts = []

    def visit(file: Path, *, scripts: bool = True, width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, color_scheme=scheme,
            reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        tab.complaints, tab.requests = [], []
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.on("request", lambda request: tab.requests.append(request.url))
        if scripts:
            tab.add_init_script(
                "addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.violatedDirective))"
            )
        tab.goto(file.as_uri())
        if scripts:
            tab.wait_for_selector("html.ready", state="attached")
        return tab

    yield visit
    for context in contexts:
        context.close()


def _until(tab, expression: str) -> None:
    """Waits for it; playwright's own way needs eval(), which the page forbids."""
    for _ in range(200):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(25)
    pytest.fail(f"never came true: {expression}")


@pytest.mark.parametrize("which", ["plain", "poisoned"])
def test_charts_come_alive_and_nothing_else_happens(which, visit, request):
    file = request.getfixturevalue(which)
    tab = visit(file)
    assert tab.locator("figure.live .chart svg.marks").count() == CHARTS
    assert tab.complaints == []
    assert tab.requests == [file.as_uri()]
    assert tab.evaluate("window.pwned") is None
    drawn = tab.evaluate(
        "[...document.querySelectorAll('figure')].map((f) => f.querySelectorAll('.mark-symbol path').length)"
    )
    assert all(count >= 6 for count in drawn), drawn


def test_a_foreign_script_is_refused(visit, folder, plain):
    spoiled = folder / "spoiled.html"
    spoiled.write_text(plain.read_text("utf-8").replace("</main>", "<script>window.pwned=1</script></main>"), "utf-8")
    tab = visit(spoiled)
    assert tab.evaluate("window.pwned") is None
    assert any("CSP script-src" in text for text in tab.complaints)


def test_without_scripts_all_can_be_read(visit, plain):
    tab = visit(plain, scripts=False)
    assert tab.locator("figure .chart svg.marks").count() == CHARTS
    for label, *_ in stories.CASES:
        assert tab.locator("tbody th", has_text=label).first.is_visible()
    for i in range(CHARTS):
        box = tab.locator("figure .chart svg.marks").nth(i).bounding_box()
        assert box["width"] > 600 and box["height"] > 100
    folded = tab.locator("details table")
    assert not folded.is_visible()
    tab.locator("summary").click()
    assert folded.is_visible()
    assert tab.complaints == []
    assert tab.requests == [plain.as_uri()]


def test_points_explain_themselves(visit, plain):
    tab = visit(plain)
    for chart, title in (
        ("ratios", "verdict"), ("throughput", "throughput"), ("latency", "percentile"), ("energy", "energy a sample"),
        ("sweep", "batch size"),
    ):  # fmt: skip
        tab.locator(f"#chart-{chart} .role-mark.mark-symbol path").first.hover()
        told = tab.locator("#vg-tooltip-element.visible", has_text=title)
        told.wait_for()
        assert stories.CASES[0][0].split(" · batch")[0] in told.inner_text()


def test_lines_over_time_explain_themselves_and_can_be_moved(visit, plain):
    tab = visit(plain)
    chart = tab.locator("#chart-timeline")
    chart.scroll_into_view_if_needed()
    dots = chart.locator(".role-mark.mark-symbol path")
    dots.nth(100).hover(force=True)
    told = tab.locator("#vg-tooltip-element.visible")
    told.wait_for()
    assert " W" in told.inner_text() and "time" in told.inner_text()
    ticks = "[...document.querySelectorAll('#chart-timeline .role-axis-label text')].map((t) => t.textContent).join()"
    before = tab.evaluate(ticks)
    box = dots.nth(100).bounding_box()
    tab.mouse.move(box["x"], box["y"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + 120, box["y"], steps=4)
    tab.mouse.up()
    _until(tab, f"{ticks} !== {json.dumps(before)}")
    assert tab.complaints == []


def test_a_hostile_label_in_a_tooltip_stays_text(visit, poisoned):
    tab = visit(poisoned)
    tab.locator("#chart-ratios .role-mark.mark-symbol path").first.hover()
    told = tab.locator("#vg-tooltip-element.visible")
    told.wait_for()
    assert "<script>window.pwned=1</script>" in told.inner_text()
    assert told.locator("script, img, svg").count() == 0
    assert tab.evaluate("window.pwned") is None


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_texts_are_shown(scripts, visit, poisoned):
    tab = visit(poisoned, scripts=scripts)
    for place in (
        ".banners span", ".title", "h1", "dt", "dd", "nav a", "h2", "caption", "thead th", "tbody th", "tbody td",
        "small", ".notice", ".bullets li", "figcaption", "summary", "footer p",
    ):  # fmt: skip
        text = tab.locator(place).first.text_content()
        assert SHOWN in text, place
    assert tab.locator("#chart-ratios svg text", has_text="<script>window").count() == len(stories.CASES)
    assert all(SHOWN in tab.locator(".frame").nth(i).get_attribute("aria-label") for i in range(CHARTS))
    assert tab.title().startswith("NVIDIA H100") and "<script>" in tab.title()
    assert tab.locator("img, iframe, object, base, main script:not([type='application/json'])").count() == 0
    links = tab.locator("a")
    assert all(links.nth(i).get_attribute("href").startswith("#") for i in range(links.count()))


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("which", ["plain", "poisoned"])
def test_a_narrow_screen_never_scrolls_sideways(scripts, which, visit, request):
    width = 360
    tab = visit(request.getfixturevalue(which), scripts=scripts, width=width)
    wide = tab.evaluate("document.scrollingElement.scrollWidth") if scripts else None
    tab.mouse.wheel(500, 0)
    right = max(
        box["x"] + box["width"] for box in (tab.locator(s).first.bounding_box() for s in ("h1", "main", "footer p"))
    )
    assert right <= width
    if scripts:
        assert wide == width
        assert tab.evaluate("scrollX") == 0


def test_charts_follow_the_width_of_the_window(visit, plain):
    tab = visit(plain)
    svg = "document.querySelector('#chart-sweep svg').getBoundingClientRect().width"
    assert tab.evaluate(svg) > 600
    tab.set_viewport_size({"width": 400, "height": 800})
    _until(tab, f"{svg} < 370")
    assert tab.evaluate("document.scrollingElement.scrollWidth") == 400


def test_light_and_dark_have_contrast(visit, plain):
    paper = {}
    for scheme in ("light", "dark"):
        tab = visit(plain, scheme=scheme)
        paper[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        found = tab.evaluate(CONTRASTS)
        assert len(found) > 200
        assert [entry for entry in found if entry[0] < 4.5] == []
    assert paper["light"] != paper["dark"]


def test_keyboard(visit, plain):
    tab = visit(plain)
    tab.keyboard.press("Tab")
    skip = tab.locator(":focus")
    assert skip.inner_text() == "Skip to the report"
    assert skip.bounding_box()["y"] >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "page-content"
    assert all(tab.locator(f"section{link}").count() == 1 for link in tab.evaluate(
        "[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))"))  # fmt: skip
    tab.locator("nav a").first.focus()
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_what_a_screen_reader_meets(visit, plain):
    tab = visit(plain)
    assert tab.get_by_role("alert").first.is_visible()
    assert tab.evaluate("document.querySelector('.banners').getBoundingClientRect().top") == 0
    assert [tab.get_by_role(role).count() for role in ("banner", "navigation", "main", "contentinfo")] == [1, 1, 1, 1]
    assert tab.get_by_role("img", name="Points right of 1 mean").count() == 1
    assert tab.get_by_role("table", name="Throughput by case, with 95% intervals").count() == 1
    assert tab.get_by_role("cell", name="not comparable: 1.42×").count() == 1
    assert tab.get_by_role("button").count() == 0  # nothing can be dismissed


def test_paper_shows_what_is_folded(visit, plain):
    tab = visit(plain, scripts=False, scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.locator("details table").bounding_box()["height"] > 100
    assert not tab.locator("nav").is_visible()


def test_the_policy_names_the_scripts_and_nothing_else(plain):
    text = plain.read_text("utf-8")
    assert len(text.encode()) < 2_000_000
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.search(r"script-src ([^;]*);", policy)[1].split() == [f"'sha256-{digest}'" for digest in digests]
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy and "http" not in policy
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(specs) == CHARTS
    assert all(not set("<>&") & set(spec) and json.loads(spec)["config"] for spec in specs)


def test_the_still_page_has_no_script():
    text = page.render(stories.poisoned(stories.demo(), HOSTILE), interactive=False)
    assert "<script" not in text
    assert "script-src &#39;none&#39;" in text
    assert text.count('class="marks"') == CHARTS
    assert len(text) < 1_000_000


def test_a_story_without_charts_needs_no_bundle(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    text = page.render(Story("t", "h", "plain", (), (Section("a", "A", (Table("c", ("x",), ()),)),), "m"))
    assert "<script" not in text and 'role="alert"' not in text


def test_texts_cannot_steer_their_display():
    assert printable("a\u202eb\x1b[0m\ud800\u00a0ü\n") == "a\ufffdb\ufffd[0m\ufffd\u00a0ü\n"
    chart = Chart("c", "t", "s", charts.ratios([
        {"label": "\u202e\ud800", "ratio": 2.0, "low": None, "high": None, "verdict": "", "allowed": True},
    ]))  # fmt: skip
    chart.spec["data"]["values"][0]["extra"] = math.nan
    page.render(Story("\ud800", "h", "plain", (), (Section("a", "A", (chart,)),), "m")).encode()


def test_cells():
    table = Table("c", ("case", "ratio"), [
        (Cell("a"), Cell("1.5×", "good", number=True, bar=(1.2, 1.5, 1.9))),
        (Cell("b"), Cell("–", struck=True, bar=(0.0, math.nan, 1.0))),
    ])  # fmt: skip
    text = page.render(Story("t", "h", "plain", (), (Section("a", "A", (table,)),), "m"))
    assert text.count('<svg class="bar"') == 1  # what a log scale cannot show has no picture
    assert '<span class="hidden">not comparable: </span><s>–</s>' in text
    assert '<th scope="col" class="number">ratio</th>' in text
    assert '<span class="mark" aria-hidden="true">▲</span> 1.5×' in text


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


def _marks(spec, kind):
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == kind]


def test_ratios_keep_their_order_and_say_what_may_not_be_compared():
    rows = [
        {"label": "a", "ratio": 1.5, "low": None, "high": None, "verdict": "faster", "allowed": False},
        {"label": "b", "ratio": 0.5, "low": 0.4, "high": 0.6, "verdict": "slower", "allowed": True},
        {"label": "c", "ratio": 0.0, "low": None, "high": None, "verdict": "", "allowed": True},
    ]
    spec = charts.ratios(rows)
    assert [(row["label"], row["state"], row["interval"]) for row in spec["data"]["values"]] == [
        ("a", "not comparable", "none"), ("b", "slower", "0.4000 – 0.6000×"),
    ]  # fmt: skip
    (points,) = _marks(spec, "point")
    assert points["encoding"]["y"]["scale"]["domain"] == ["a", "b"]
    assert len(set(points["encoding"]["shape"]["scale"]["range"])) == 2
    assert points["encoding"]["x"]["scale"]["domain"][0] < 0.4
    assert 1 in points["encoding"]["x"]["axis"]["values"]


@pytest.mark.parametrize(("high", "kind"), [(15.0, None), (400.0, "log")])
def test_far_apart_values_take_a_log_axis(high, kind):
    rows = [{"label": "a", "side": s, "value": v, "low": None, "high": None} for s, v in (("x", 1.0), ("y", high))]
    (points,) = _marks(charts.throughput(rows), "point")
    assert points["encoding"]["x"]["scale"].get("type") == kind


def test_sides_keep_their_colour_when_one_of_them_is_missing():
    rows = [{"label": "a", "side": "y", "value": 1.0, "low": None, "high": None}]
    (points,) = _marks(charts.throughput(rows, ("x", "y")), "point")
    assert points["encoding"]["color"]["scale"] == {
        "domain": ["x", "y"], "range": ["var(--baseline)", "var(--candidate)"]}  # fmt: skip
    assert points["encoding"]["shape"]["scale"]["range"] == ["circle", "diamond"]


def test_latency_is_in_milliseconds_and_energy_in_readable_joules():
    (row,) = charts.latency([{"label": "a", "side": "x", "percentile": "p50", "value_s": 0.0125}])["data"]["values"]
    assert (row["ms"], row["shown"]) == (12.5, "12.50 ms")
    (row,) = charts.energy([
        {"label": "a", "side": "x", "throughput": 1e3, "energy_j": 0.025, "low": 0.02, "high": 0.03},
    ])["data"]["values"]  # fmt: skip
    assert (row["energy"], row["shown"], row["interval"]) == (25.0, "25.00 mJ", "20.00 mJ – 30.00 mJ")


def test_a_long_timeline_is_thinned_and_keeps_its_peak():
    rows = [{"t_s": t / 10, "side": "x", "quantity": "power_instant_w", "value": 300.0 + t % 7} for t in range(20_000)]
    rows[7_777]["value"] = 999.0
    rows.append({"t_s": 1.0, "side": "x", "quantity": "core_clock_hz", "value": 1.9e9})
    spec = timeline(rows, [{"side": "x", "name": "warm-up", "start_s": 0, "end_s": 60}])
    assert [view["name"] for view in spec["vconcat"]] == ["phases", "power", "core"]
    power, clock = (view["data"]["values"] for view in spec["vconcat"][1:])
    assert len(power) <= 240
    assert max(point["value"] for point in power) == 999.0
    assert clock[0]["shown"] == "1,900 MHz"


def test_no_line_is_drawn_across_a_pause():
    times = [0.0, 0.1, 0.2, 0.3, 3.0, 3.1, 3.2]
    rows = [{"t_s": t, "side": "x", "quantity": "power_instant_w", "value": 300.0} for t in times]
    (view,) = timeline(rows)["vconcat"]
    values = [point["value"] for point in view["data"]["values"]]
    assert values == [300.0] * 4 + [None] + [300.0] * 3
    (path,) = re.findall(r'mark-line.*?<path d="([^"]*)"', drawing.svg(timeline(rows)))
    assert path.count("M") == 2


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
    assert drawing.bundle() == drawing.bundle() == "one\n'<\\/script>' '<\\!--'"
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


def test_pdf(monkeypatch):
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"no weasyprint: {error}")
    asked = []
    monkeypatch.setattr(pdf, "_refuse", lambda url, *_, **__: asked.append(url) or pytest.fail(url))
    made = pdf.render(stories.demo())
    assert made.startswith(b"%PDF-") and len(made) > 20_000
    assert asked == []


def test_a_pdf_fetches_nothing():
    with pytest.raises(ValueError, match="fetches nothing"):
        pdf._refuse("file:///etc/passwd")
