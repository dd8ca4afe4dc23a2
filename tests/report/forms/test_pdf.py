"""A page as PDF, which fetches nothing."""

from __future__ import annotations

import pytest

from gpuprof.report.forms import pdf
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
