"""What a buyer sees first: where the answer stands on the screens of a desk and of a phone, and who can read it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from gpuprof.report.forms import page
from gpuprof.report.story import Cell, Section, Table
from support import axe

pytestmark = pytest.mark.slow
BOTTOMS = """() => Object.fromEntries(["h1", ".detail", ".remark", ".forest", ".tiles"].map((what) =>
  [what, Math.max(...[...document.querySelectorAll(what)].map((e) => e.getBoundingClientRect().bottom))]))"""
SERIOUS = """async () => (await axe.run()).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" ")}`)"""


@pytest.mark.parametrize(("width", "height", "screens"), [(1280, 800, 1), (390, 844, 2)])
def test_the_answer_and_its_numbers_are_on_the_first_screen(visit, sample, width, height, screens):
    tab = visit(sample, width=width, height=height)
    bottoms = tab.evaluate(BOTTOMS)
    assert all(bottom <= screens * height for bottom in bottoms.values()), bottoms
    first = tab.locator("h1").inner_text()
    assert first.startswith("Too close to call: MI300X may be ")
    tiles = tab.locator(".tiles div")
    assert [tile.locator("dt a").inner_text() for tile in tiles.all()] == ["Speed", "Energy", "Power", "Memory"]
    for tile in tiles.all()[:3]:
        assert re.search(r"\d×\s+\[\d.*, \d.*\]", tile.inner_text())
    assert tab.evaluate("document.scrollingElement.scrollWidth") == width


def test_a_vendor_has_one_colour_wherever_it_appears(told):
    text = page.render(told, interactive=False)
    forest = re.findall(r'<span style="color: (var\(--\w+\))">[^<]*?(H100|MI300X) faster', text)
    sides = re.findall(r"border-color: (var\(--\w+\))[^>]*>(H100|MI300X)<", text)
    assert {name: hue for hue, name in forest} == {"H100": "var(--nvidia)", "MI300X": "var(--amd)"}
    assert set(sides) == set(forest)
    for chart in (block for section in told.sections for block in section.blocks if hasattr(block, "spec")):
        found = re.findall(r"'domain': \['H100', 'MI300X'\], 'range': \[([^]]*)\]", str(chart.spec))
        colours = {each for each in found if "var" in each}
        assert colours <= {"'var(--nvidia)', 'var(--amd)'"}, chart.key
        assert colours or chart.key == "ratios"


def test_rows_can_be_sorted_and_filtered(visit, sample):
    tab = visit(sample)
    first = "document.querySelector('#cases tbody th').innerText"
    tab.locator("#cases").get_by_role("button", name="Sort by H100, samples/s").click()
    assert tab.evaluate(first) == "cnn · train · batch 16"
    tab.locator("#cases").get_by_role("button", name="Sort by H100, samples/s").click()
    assert tab.evaluate(first) == "cnn · train · batch 256"
    assert tab.locator("#cases [aria-sort=descending]").count() == 1
    ledger = tab.locator("#fairness tbody tr")
    count = ledger.count()
    tab.locator("#fairness input").fill("host busy")
    assert 0 < len([row for row in ledger.all() if row.is_visible()]) < count


def test_a_time_in_milliseconds_sorts_below_one_in_seconds(visit, told, folder):
    rows = [[Cell(text), Cell(text, number=True)] for text in ("2.000 s", "30.00 ms", "400.0 µs", "1.5 s")]
    table = Table("times", ("name", "time"), rows)
    file = folder / "times.html"
    file.write_text(page.render(dataclasses.replace(told, sections=[Section("a", "A", [table])])), "utf-8")
    tab = visit(file)
    tab.get_by_role("button", name="Sort by time").click()
    assert tab.locator("section td").all_inner_texts() == ["400.0 µs", "30.00 ms", "1.5 s", "2.000 s"]


def test_the_answer_can_be_copied_as_markdown(visit, sample, told):
    tab = visit(sample)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.get_by_role("button", name="Copy the answer as Markdown").click()
    tab.get_by_text("Copied.").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert told.headline in copied.replace("\\", "")
    assert "| Energy |" in copied
    assert "SIMULATED" in copied


def test_words_are_explained_where_they_stand_and_in_the_glossary(visit, sample):
    tab = visit(sample)
    term = tab.locator("thead a.term", has_text="MDE").first
    assert "smallest difference" in term.get_attribute("title")
    term.click()
    assert tab.locator("#glossary details").get_attribute("open") is not None
    assert tab.locator("#glossary th", has_text="MDE").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_the_page(visit, sample, scheme):
    tab = visit(sample, scheme=scheme)
    tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    tab.evaluate(axe.source())
    assert tab.evaluate(SERIOUS) == []


def test_a_planted_contrast_fault_is_found(visit, sample, folder):
    spoiled = folder / "pale.html"
    spoiled.write_text(sample.read_text("utf-8").replace("</style>", "h1 { color: #ccc !important; }</style>"), "utf-8")
    tab = visit(spoiled)
    tab.evaluate(axe.source())
    (found,) = tab.evaluate(SERIOUS)
    assert found.startswith("color-contrast")
