"""Shared pieces: the command line as a subprocess, and one real run that many tests read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import simulators
from backends import ask, devices_command, releases, server  # noqa: F401 - fixtures

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
# One thread, so that a busy machine slows tests but does not stall them; the shortest run that has an interval.
SHORT = ("--quick", "--device", "cpu", "--set", "threads=1", "--set", "repeats=2")
LIMIT_S = 200
# Compilers, workers and browsers at work: a test that asks for one of these is slow, without a mark of its own.
SLOW_FIXTURES = frozenset({"browser", "libraries", "releases", "stored_run"})


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gpuprof", *map(str, arguments)]


def variables(**extra: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GPUPROF_", "NO_COLOR", "COLUMNS"))}
    return {**clean, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **extra}


def gpuprof(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options) -> Done:
    done = subprocess.run(
        command(*arguments), cwd=cwd or ROOT, env=variables(**(env or {})), capture_output=True, text=True,
        timeout=LIMIT_S, check=False, **options,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Path:
    """Simulated vendor libraries, of both vendors, that the real bindings load."""
    return simulators.build(tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="session")
def stored_run(tmp_path_factory) -> tuple[Path, Done]:
    """A store with one real run of the RNN, in both modes, on the CPU."""
    store = tmp_path_factory.mktemp("store")
    done = gpuprof(
        "run", CONFIGS / "rnn.yaml", *SHORT, "--set", "seq_len=20", "--set", "batch_size=8",
        "--set", "sweep.mode=[train,infer]", "--store", store, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    return store, done


@pytest.fixture
def switches_restored():
    """torch's precision switches are global to the process; each test leaves them as a worker finds them."""
    yield
    from gpuprof.worker import precision

    precision.switch("ieee")
    precision.fused_recurrent(True)


@pytest.hookimpl(tryfirst=True)  # before pytest reads -m
def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker("slow")


def pytest_runtest_makereport(item, call):
    """Where nothing may be missing (the project's own checks), a skip is a failure."""
    if (
        os.environ.get("GPUPROF_NO_SKIPS")
        and call.excinfo is not None
        and call.excinfo.errisinstance(pytest.skip.Exception)
    ):
        raise AssertionError(f"unexpected skip of {item.nodeid}: {call.excinfo.value}")
