"""Shared pieces: the command line as a subprocess, and one real run that many tests read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support import simulators
from support.backends import ask, devices_command, releases, server  # noqa: F401 - fixtures
from support.monitored import monitor, started  # noqa: F401 - fixtures
from support.phases import watched  # noqa: F401 - a fixture
from support.running import CONFIGS, SHORT, Done, gpuprof
from support.simulators import cuda
from support.toys import toys  # noqa: F401 - a fixture

# Where tests run in the background of a script, from cron, under nohup or in some CI steps, these are ignored, and
# every command that they start would inherit that. One that is handled here is back at its default there.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)

# Compilers, workers and browsers at work: a test that asks for one of these is slow, without a mark of its own.
SLOW_FIXTURES = frozenset({"browser", "cuda_libraries", "libraries", "releases", "stored_run"})


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Path:
    """Simulated vendor libraries, of both vendors, that the real bindings load."""
    return simulators.build(tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="session")
def cuda_libraries(tmp_path_factory) -> Path:
    """A simulated CUDA device that the installed torch finds."""
    return cuda.build(tmp_path_factory.mktemp("cuda"))


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
