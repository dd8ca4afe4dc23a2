"""A story as a PDF: the page, printed."""

from __future__ import annotations

from typing import Any

from gpuprof.errors import GpuprofError
from gpuprof.report.forms import page
from gpuprof.report.story import Story


def render(story: Story) -> bytes:
    """The bytes of a PDF document. Raises GpuprofError without weasyprint and Pango."""
    try:
        from weasyprint import HTML
    except (ImportError, OSError) as error:  # OSError: Pango, which weasyprint loads, is missing
        raise GpuprofError(
            f"a PDF needs weasyprint and Pango ({_first_line(error)}): python -m pip install 'gpuprof-dl[pdf]', and "
            "Pango from the system's packages; or print the HTML report in a browser"
        ) from error
    text = page.render(story, interactive=False, colours="light")
    return bytes(HTML(string=text, url_fetcher=_refuse).write_pdf())


def _refuse(url: str, *_: Any, **__: Any) -> Any:
    raise ValueError(f"a report loads nothing from outside: {url}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
