"""Pages as files, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpuprof.analysis import evidence
from gpuprof.analysis.compare import compare
from gpuprof.analysis.names import names
from gpuprof.index.sources import Sources
from gpuprof.report.charts import sampled
from gpuprof.report.forms import page
from gpuprof.report.stories.comparison import story
from gpuprof.report.story import Story
from support import stories
from support.running import SAMPLES
from support.stories import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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
def told() -> Story:
    """What `compare vendor=nvidia vendor=amd` tells of the sample runs."""
    texts = ("vendor=nvidia", "vendor=amd")
    with Sources(SAMPLES / "simulated", lambda *_: None) as sources:
        sides = [evidence.side(text, sources.side(text)) for text in texts]
        drawn = sampled.of(*zip(names(*sides), sides, strict=True))
        return story(compare(*sides), "2026-11-27T12:00:00Z", drawn, "gpuprof compare vendor=nvidia vendor=amd")


@pytest.fixture(scope="session")
def sample(folder, told) -> Path:
    file = folder / "sample.html"
    file.write_text(page.render(told), "utf-8")
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

    def visit(file: Path, *, scripts: bool = True, width: int = 1280, height: int = 900, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=scripts, color_scheme=scheme,
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
