"""A page as PDF, which fetches nothing."""

from __future__ import annotations

import io

import pytest

from gpuprof.report.forms import pdf
from gpuprof.report.story import Table
from support import stories


@pytest.mark.slow
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
    with pytest.raises(ValueError, match="loads nothing"):
        pdf._refuse("file:///etc/passwd")


@pytest.mark.slow
def test_every_head_of_the_page_is_in_the_pdf_and_page_1_holds_the_answer(told):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    pages = [_words(each.extract_text()) for each in pypdf.PdfReader(io.BytesIO(pdf.render(told))).pages]
    assert len(pages) <= 6
    whole = "".join(pages)
    for block in (block for section in told.sections for block in section.blocks if isinstance(block, Table)):
        assert all(_words(head) in whole for head in block.head), block.head
        assert _words(block.caption) in whole
    assert all(_words(section.title) in whole for section in told.sections)
    assert _words(told.headline) in pages[0]
    for tile in told.glance.tiles:
        assert _words(tile.ratio.text) in pages[0]
    for row in told.sections[0].blocks[0].rows:  # one a case
        assert _words(row[0].text) in pages[0]


def _words(text: str) -> str:
    """Without blanks, which a PDF sets as it likes."""
    return "".join(text.split())
