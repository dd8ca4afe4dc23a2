"""Reports that several files look at, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpuprof.store import runs as store
from support.compared import CPU, FORMS, GPU, SIDES, WRITTEN, outputs
from support.running import gpuprof


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Indexes of these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> dict[tuple[str, str], bytes]:
    """Both comparisons in every form, each as its file."""
    place = tmp_path_factory.mktemp("reports")
    found = {}
    for name, form in WRITTEN:
        file = place / f"{name}.{'txt' if form == 'text' else form}"
        done = gpuprof("compare", *SIDES[name], "-o", file)
        assert (done.code, done.out, done.err) == (0, "", f"wrote {file}\n"), done.err
        found[name, form] = file.read_bytes()
    return found


@pytest.fixture(scope="session")
def mixed(tmp_path_factory) -> Path:
    """A store with measured and simulated runs, and three records that cannot be read."""
    directory = tmp_path_factory.mktemp("mixed")
    for path in (*store.run_directories(CPU), *store.run_directories(GPU)):
        shutil.copytree(path, directory / path.name)
    for name, content in (("cut", '{"schema": "gpuprof.rec'), ("foreign", '{"benchmark": 3}'),
                          ("future", '{"schema": "gpuprof.record/99"}')):  # fmt: skip
        path = directory / f"20261124T000000Z-{name}-00000000"
        path.mkdir()
        (path / "record.json").write_text(content)
    return directory


@pytest.fixture(scope="session")
def reported(mixed) -> dict[str, str]:
    return {form: outputs(form, "report", "--store", mixed, "-v") for form in FORMS}
