"""The page in a real browser: the system's chromium; skipped where there is none."""

from __future__ import annotations

import json

import pytest

from support import stories
from support.stories import CHARTS, HOSTILE

SHOWN = HOSTILE.replace("\u202e", "\ufffd").replace("\u2066", "\ufffd").replace("\x07", "\ufffd")
pytestmark = pytest.mark.slow
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


def _alive(tab) -> None:
    """Points at every chart, which makes it live."""
    for figure in tab.locator("figure").all():
        figure.scroll_into_view_if_needed()
        figure.dispatch_event("pointerenter")
    _until(tab, f"document.querySelectorAll('figure.tried').length === {CHARTS}")


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
    assert tab.locator("figure.live").count() == 0
    _alive(tab)
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
        assert box["width"] > 500 and box["height"] > 100
    folded = tab.locator("details table")
    assert not folded.is_visible()
    tab.locator("summary").click()
    assert folded.is_visible()
    assert tab.complaints == []
    assert tab.requests == [plain.as_uri()]


def test_points_explain_themselves(visit, plain):
    tab = visit(plain)
    _alive(tab)
    for chart, title in (
        ("ratios", "verdict"), ("throughput", "throughput"), ("latency", "percentile"), ("energy", "energy per sample"),
        ("sweep", "batch size"),
    ):  # fmt: skip
        tab.locator(f"#chart-{chart} .role-mark.mark-symbol path").first.hover()
        told = tab.locator("#vg-tooltip-element.visible", has_text=title)
        told.wait_for()
        assert stories.CASES[0][0].split(" · batch")[0] in told.inner_text()


def test_lines_over_time_explain_themselves_and_can_be_moved(visit, plain):
    tab = visit(plain)
    _alive(tab)
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
    _alive(tab)
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
    _alive(tab)
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
    sorting = tab.get_by_role("button", name="Sort by")
    assert tab.get_by_role("button").count() == sorting.count()  # nothing can be dismissed


def test_paper_shows_what_is_folded(visit, plain):
    tab = visit(plain, scripts=False, scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.locator("details table").bounding_box()["height"] > 100
    assert not tab.locator("nav").is_visible()
