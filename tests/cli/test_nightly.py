"""`gpuprof nightly` and its script from outside: real nights on the CPU, one of them slowed by a parameter."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuprof.store import runs
from gpuprof.system.files import to_file
from support.running import LIMIT_S, ROOT, command, gpuprof, variables

SCRIPT = ROOT / "scripts" / "compare_nightly"
# A batch of one, so that the step-by-step cells take some six times as long as the fused kernel.
TINY = """\
workload: lstm
batch_size: 1
seq_len: 60
threads: 1
"""


def script(*arguments) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], cwd=ROOT, env=variables(), check=False,
                          capture_output=True, text=True, timeout=LIMIT_S)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)  # nine processes that import torch
def test_a_slowed_night_is_told_and_an_unchanged_one_is_not(tmp_path):
    config, store = tmp_path / "tiny.yaml", tmp_path / "store"
    config.write_text(TINY)
    # More than half of the speed must be gone to count: machines that run tests are noisy.
    options = (config, "--store", store, "--out", tmp_path / "out", "--quick", "--device", "cpu", "--least", "0.6")
    code, out, err = script(*options, "--night", "first")
    assert (code, out.count("\n")) == (0, 1), err
    assert "1 for the first time" in out
    code, out, err = script(*options, "--night", "second")
    assert code == 0, (out, err)
    assert "nothing slower; 1 case" in out or "cannot tell yet (the smallest change that would show is" in out
    runs = sorted(path.name for path in store.glob("2*"))
    code, again, err = script(*options, "--night", "second")  # it is there: nothing is measured
    assert (code, again) == (0, out.replace("1 case measured", "1 case measured earlier (--again repeats it)")), err
    assert sorted(path.name for path in store.glob("2*")) == runs
    code, out, err = script(*options, "--night", "third", "--set", "params.fused=false")
    assert code == 5, (out, err)
    assert out.count("\n") == 1
    assert "REGRESSED: lstm · train: 0." in out
    assert "fused true → false" in out
    page = (tmp_path / "out" / "third" / "report.html").read_text()
    assert "fused true → false" in page
    assert not list((tmp_path / "out").rglob("*.tmp"))


@pytest.mark.parametrize(("arguments", "message"), [([], "Missing argument"), (["x", "--night", "../y"], "letters")])
def test_wrong_usage_is_told(tmp_path, arguments, message):
    done = gpuprof("nightly", *arguments, "--store", tmp_path)
    assert done.code == 2
    assert message in done.err


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    to_file(tmp_path / "file", b"")
    done = gpuprof("nightly", "lstm", "--store", tmp_path, "--out", tmp_path / "file")
    assert done.code == 2
    assert "choose another directory with --out" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_night_that_is_ended_ends_its_run_in_peace_or_leaves_it_the_lock(tmp_path, number):
    out, store = tmp_path / "out", tmp_path / "store"
    options = ("--store", store, "--out", out, "--night", "a", "--quick", "--device", "cpu", "--set", "repeats=2")
    shape = ("--set", "batch_size=4", "--set", "seq_len=10", "--set", "threads=1")
    own = subprocess.Popen(command("nightly", ROOT / "configs" / "rnn.yaml", *options, *shape), cwd=tmp_path,
                           env=variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        log = out / "a" / "0-rnn.log"
        until(lambda: log.is_file() and "[1/2]" in log.read_text())
        (run,) = map(int, Path(f"/proc/{own.pid}/task/{own.pid}/children").read_text().split())
        own.send_signal(number)
        said, _ = own.communicate(timeout=LIMIT_S)
        assert said == ""
        if number == signal.SIGKILL:
            assert locked(out)
            os.kill(run, signal.SIGTERM)
            until(lambda: not locked(out))
        else:
            assert own.returncode == 130
            assert not locked(out)
            assert not Path(f"/proc/{run}").exists()
    finally:
        own.kill()
    (record,) = map(runs.read, runs.run_directories(store))
    assert [repeat.outcome for repeat in record.cases[0].repeats] == ["ok", "interrupted"]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def locked(out: Path) -> bool:
    with (out / ".lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_the_script_is_a_way_to_the_command(tmp_path):
    code, out, _ = script("--help")
    assert code == 0
    for words in ("--again", "0    nothing slower", "75   another nightly run"):
        assert words in out
    assert SCRIPT.stat().st_mode & 0o111
    made = subprocess.run(
        ["make", "-n", "nightly", "ARGS=--again"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"scripts/compare_nightly configs/lstm.yaml .*--again", made.stdout)
