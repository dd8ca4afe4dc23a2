"""Make the pictures of docs/images: what `gpuprof demo` shows, in a terminal, as a page, on a phone and as a PDF.

Needs the packages of the tests, the system's Chromium, and pdftoppm (Debian: poppler-utils). The pictures are small:
256 colours each.

python scripts/make_images.py
"""

from __future__ import annotations

import argparse
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DEMO = [sys.executable, "-m", "gpuprof", "demo"]
# Name, width, height, colours of the page.
SCREENS = (("report", 1280, 800, "light"), ("report-dark", 1280, 800, "dark"), ("report-phone", 390, 1688, "light"))
COLUMNS, ROWS = 80, 24


def main() -> None:
    """Make them all."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder, _browser() as browser:
        place = Path(folder)
        for suffix in ("html", "pdf"):
            subprocess.run([*DEMO, "-o", place / f"demo.{suffix}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for name, width, height, scheme in SCREENS:
            _shot(browser, place / "demo.html", name, width, height, scheme)
        subprocess.run(["pdftoppm", "-r", "90", "-f", "1", "-singlefile", "-png", "demo.pdf", "page"],
                       cwd=place, check=True)  # fmt: skip
        shutil.copy(place / "page.png", IMAGES / "report-pdf.png")
        _smaller(IMAGES / "report-pdf.png")
        (place / "terminal.html").write_text(_as_page(_printed(place)), "utf-8")
        _shot(browser, place / "terminal.html", "terminal", 700, 10, "dark", whole=True)


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def _shot(browser: Any, page: Path, name: str, width: int, height: int, scheme: str, *, whole: bool = False) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.screenshot(path=IMAGES / f"{name}.png", full_page=whole)
    context.close()
    _smaller(IMAGES / f"{name}.png")


def _smaller(picture: Path) -> None:
    from PIL import Image

    with Image.open(picture) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def _printed(place: Path) -> str:
    """What a terminal of 80 columns gets, colours included."""
    terminal, inside = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    command = subprocess.Popen([*DEMO, "-o", place / "again.html"], cwd=ROOT, env=environment, stdin=inside,
                               stdout=inside, stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(inside)
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # the command has closed it
        pass
    command.wait()
    return b"".join(parts).decode().replace("\r\n", "\n")


def _as_page(printed: str) -> str:
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), color_system="truecolor")  # noqa: SIM115
    console.print(Text.from_ansi("$ gpuprof demo\n" + printed))
    body = console.export_html(theme=MONOKAI, inline_styles=True)
    return body.replace('<pre style="', '<pre style="margin: 14px; font-size: 14px; line-height: 1.3;')


if __name__ == "__main__":
    main()
