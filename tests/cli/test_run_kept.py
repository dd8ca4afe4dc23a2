"""Nothing measured is lost: not to a disk that takes no progress, to a mistake of gpuprof's, or to a stuck driver."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest

from gpuprof.store import runs as store
from support.running import CONFIGS, LIMIT_S, ROOT, SHORT, command, variables

pytestmark = pytest.mark.slow
RNN = ("run", CONFIGS / "rnn.yaml", *SHORT, "--set", "seq_len=10", "--set", "batch_size=4")


def only(directory):
    (run,) = store.run_directories(directory)
    assert [path.name for path in directory.iterdir()] == [run.name]
    return store.read(run)


def outcomes(record):
    return [repeat.outcome for case in record.cases for repeat in case.repeats]


def shell(line: str, *arguments, cwd=ROOT):
    """A line of bash in which "$@" is the command."""
    return subprocess.run(["bash", "-c", line, "bash", *command(*arguments)], cwd=cwd, env=variables(), text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)  # fmt: skip


@pytest.mark.parametrize(
    "line", ['"$@" 2>/dev/full', '"$@" 2>&1 >/dev/null | grep -m1 processes; exit ${PIPESTATUS[0]}']
)
def test_progress_that_cannot_be_written_ends_no_run(line, tmp_path):
    done = shell(line, *RNN, "--store", tmp_path)
    assert done.returncode == 0, done.stderr
    record = only(tmp_path)
    assert (record.outcome, outcomes(record)) == ("ok", ["ok", "ok"])
    assert "Traceback" not in done.stdout + done.stderr


def test_a_result_that_cannot_be_written_does_not_end_the_other_runs(tmp_path):
    config = tmp_path / "gru.yaml"
    config.write_text("workload: gru\nseq_len: 10\nbatch_size: 4\n")
    done = shell('"$@" >/dev/full', *RNN, config, "--set", "repeats=1", "--store", tmp_path / "s")
    assert done.returncode == 1
    assert [store.read(run).outcome for run in store.run_directories(tmp_path / "s")] == ["ok", "ok"]
    assert "Traceback" not in done.stderr


def planted(code: str, *arguments) -> subprocess.CompletedProcess:
    """The command in a process that first runs `code`."""
    code = textwrap.dedent(code) + "\nfrom gpuprof.cli import main\nmain()\n"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, env=variables(), text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)  # fmt: skip


def test_a_mistake_of_gpuprof_costs_nothing_that_was_measured(tmp_path):
    code = """
        import gpuprof.supervisor.run as run
        measure, calls = run._Run.measure, []
        def fails(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("planted")
            return measure(self, *arguments, **options)
        run._Run.measure = fails
    """
    done = planted(code, *RNN, "--store", tmp_path)
    assert done.returncode == 1
    record = only(tmp_path)
    assert (record.outcome, outcomes(record)) == ("partial", ["ok"])
    assert record.reason == "gpuprof itself failed, please report it: RuntimeError: planted"
    assert record.cases[0].throughput_per_s is not None
    assert "gpuprof: gpuprof itself failed, please report it: RuntimeError: planted" in done.stderr


@pytest.mark.parametrize(("works", "expected"), [(0, ["error", "error"]), (1, ["ok", "error"])])
def test_a_process_that_cannot_be_ended_is_given_up(works, expected, tmp_path):
    """As one that a hung driver holds in the kernel: its signal is replaced by one that leaves it there.

    After `works` killed processes none ends any more: the first is that of the checks.
    """
    code = f"""
        import os, signal
        import gpuprof.supervisor.worker_process as worker_process
        worker_process.ENDS_S = 0.5
        kill, calls = os.killpg, []
        def stop(pid, number):
            calls.append(1)
            kill(pid, number if len(calls) <= {works} else signal.SIGSTOP)
        os.killpg = stop
    """
    other = tmp_path / "gru.yaml"
    other.write_text("workload: gru\nseq_len: 10\n")
    try:
        done = planted(code, *RNN, other, "--store", tmp_path / "s")
        assert done.returncode == 1
        record = only(tmp_path / "s")
        assert outcomes(record) == expected
        reason = record.cases[0].repeats[-1].reason
        assert re.fullmatch(
            r"not started: process \d+ did not end within 0.5 s of SIGKILL and was given up; .*", reason
        )
        assert "not started because of it: gru.yaml" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        for pid in re.findall(r"process (\d+) did not end", done.stderr):
            with suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
