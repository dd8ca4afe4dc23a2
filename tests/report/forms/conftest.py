"""Pages as files, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuprof.report.forms import page
from support import stories
from support.stories import HOSTILE


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
