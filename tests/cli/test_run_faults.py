"""gpuprof run among real signals, crashes and full disks: nothing measured is lost, the exit code is honest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gpuprof.store import runs as store
from support.running import CONFIGS, LIMIT_S, ROOT, SHORT, command, gpuprof, variables

pytestmark = pytest.mark.slow
RNN = ("run", CONFIGS / "rnn.yaml", *SHORT, "--set", "seq_len=10", "--set", "batch_size=4")


class Live:
    """A run that is watched and meddled with."""

    def __init__(self, *arguments: str, cwd: Path = ROOT, **options) -> None:
        self.process = subprocess.Popen(
            command(*arguments), cwd=cwd, text=True, bufsize=1, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **{"env": variables(), **options},
        )  # fmt: skip
        self.lines: list[str] = []
        self.checker = 0

    def until(self, text: str) -> None:
        """Read progress up to a line with this text."""
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"never said {text!r}: {self.lines}")

    def checked(self) -> None:
        """Read progress until measuring begins; remembers who checked, to tell it from the worker that measures."""
        self.until("processes on")
        self.checker = self.worker()
        self.until("checked ")

    def worker(self) -> int:
        """The worker that is measuring now."""
        deadline = time.monotonic() + LIMIT_S
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while time.monotonic() < deadline:
            for pid in map(int, children.read_text().split()):
                # The last argument is the worker's reply descriptor; a child that has not yet become Python is skipped.
                if pid == self.checker:
                    continue
                with suppress(OSError):  # the checker of before may just be going
                    if b"gpuprof.worker.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
        return pytest.fail("no worker appeared")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=LIMIT_S)
        assert "Traceback" not in out + err, err
        return self.process.returncode, out, "".join(self.lines) + err


def only_record(directory: Path) -> dict:
    (run,) = store.run_directories(directory)
    assert [p.name for p in directory.iterdir()] == [run.name]
    return json.loads(store.read(run).to_json())


def outcomes(record: dict) -> list[str]:
    return [repeat["outcome"] for case in record["cases"] for repeat in case["repeats"]]


def test_a_killed_worker_costs_its_repeat_alone(tmp_path):
    run = Live(*RNN, "--store", tmp_path)
    run.checked()
    os.kill(run.worker(), signal.SIGKILL)
    code, out, _ = run.end()
    record = only_record(tmp_path)
    assert (code, record["outcome"], outcomes(record)) == (1, "partial", ["killed", "ok"])
    assert record["cases"][0]["repeats"][0]["reason"] == "the worker was killed by SIGKILL"
    assert record["cases"][0]["throughput_per_s"]["processes"] == 1
    assert "1 of 2 ok" in out
    assert "killed by SIGKILL" in out


def test_a_hanging_worker_is_ended_at_its_time_limit(tmp_path):
    run = Live(*RNN, "--set", "repeats=1", "--set", "timeout_s=12", "--store", tmp_path)
    run.checked()
    worker = run.worker()
    os.kill(worker, signal.SIGSTOP)
    code, _, err = run.end()
    record = only_record(tmp_path)
    assert (code, record["outcome"], outcomes(record)) == (1, "failed", ["timeout"])
    assert "no result within 12 s; raise the limit with --set timeout_s" in err
    assert not Path(f"/proc/{worker}").exists()


def test_a_batch_that_does_not_fit_says_so(tmp_path):
    done = gpuprof(
        *RNN, "--set", "repeats=1", "--set", "batch_size=1073741824", "--set", "seq_len=1000", "--store", tmp_path
    )
    record = only_record(tmp_path)
    assert (done.code, outcomes(record)) == (1, ["out_of_memory"])
    assert record["cases"][0]["throughput_per_s"] is None
    assert "memory" in record["cases"][0]["absent"]["throughput_per_s"] + record["cases"][0]["reason"]
    assert record["cases"][0]["correctness"]["verdict"] == "pass"


@contextmanager
def memory_limit(limit_bytes: int):
    """A control group with this memory limit (version 2 or 1); its file of members."""
    unified, legacy = Path("/sys/fs/cgroup/cgroup.controllers"), Path("/sys/fs/cgroup/memory")
    if unified.is_file() and "memory" in unified.read_text():
        group, limit = Path(f"/sys/fs/cgroup/gpuprof-test-{os.getpid()}"), "memory.max"
    elif legacy.is_dir():
        group, limit = legacy / f"gpuprof-test-{os.getpid()}", "memory.limit_in_bytes"
    else:
        pytest.skip("no memory control group on this machine")
    try:
        group.mkdir()
        (group / limit).write_text(str(limit_bytes))
    except OSError as error:
        pytest.skip(f"memory control groups cannot be made here: {error}")
    try:
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def test_a_worker_killed_by_the_kernel_for_memory_is_out_of_memory(tmp_path):
    with memory_limit(1_500_000_000) as members:
        run = Live(
            *RNN, "--set", "repeats=1", "--set", "batch_size=200000", "--set", "seq_len=100", "--store", tmp_path,
            preexec_fn=lambda: members.write_text(str(os.getpid())),
        )  # fmt: skip
        code, _, _ = run.end()
    record = only_record(tmp_path)
    assert (code, outcomes(record)) == (1, ["out_of_memory"])
    assert "the kernel killed the worker because memory ran out" in record["cases"][0]["reason"]


def test_a_killed_supervisor_leaves_a_store_that_reads_and_a_run_that_can_be_recovered(tmp_path):
    run = Live(*RNN, "--store", tmp_path)
    run.until("[1/2]")
    worker = run.worker()
    run.process.kill()
    run.end()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}/cmdline").exists() and Path(f"/proc/{worker}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the worker outlived its supervisor"
    assert store.run_directories(tmp_path) == []
    listed = gpuprof("list", "--store", tmp_path)
    assert listed.code == 0
    assert "gpuprof recover --store" in listed.err
    recovered = gpuprof("recover", "--store", tmp_path)
    assert recovered.code == 0
    assert "with 1 repeats" in recovered.out
    record = only_record(tmp_path)
    assert (record["outcome"], outcomes(record)) == ("interrupted", ["ok"])
    assert record["cases"][0]["throughput_per_s"]["value"] > 0
    assert "Nothing to recover" in gpuprof("recover", "--store", tmp_path).out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_keep_what_is_done(tmp_path, number):
    run = Live(*RNN, "--store", tmp_path)
    run.until("[1/2]")
    run.worker()
    run.process.send_signal(number)
    code, _, _ = run.end()
    record = only_record(tmp_path)
    assert (code, record["outcome"], outcomes(record)) == (130, "interrupted", ["ok", "interrupted"])


_SIGTERM_WHILE_STORING = """
import os, signal
from gpuprof.cli import main
from gpuprof.store.journal import Journal
publish = Journal.publish
Journal.publish = lambda *arguments: (os.kill(os.getpid(), signal.SIGTERM), publish(*arguments))[1]
main()
"""


def test_a_signal_while_the_record_is_stored_still_prints_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _SIGTERM_WHILE_STORING, *map(str, RNN), "--json", "--store", str(tmp_path)],
        cwd=ROOT, env=variables(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert json.loads(done.stdout) == only_record(tmp_path)


def test_a_job_that_is_ended_as_slurm_does_it_leaves_a_valid_record_and_is_resumed(tmp_path):
    """SIGTERM for every process of the job; what was complete is not measured again."""
    (tmp_path / "all.yaml").write_text(f"suite: [{CONFIGS / 'rnn.yaml'}, {CONFIGS / 'gru.yaml'}]\nbatch_size: 4")
    suite = ("run", tmp_path / "all.yaml", *SHORT, "--set", "seq_len=10", "--store", tmp_path / "store")
    run = Live(*suite)
    run.until("gru")
    run.until("[1/2]")
    for pid in (run.worker(), run.process.pid):
        os.kill(pid, signal.SIGTERM)
    code, out, _ = run.end()
    assert code == 130
    assert "interrupted by SIGTERM" in out
    first, second = (store.read(path) for path in store.run_directories(tmp_path / "store"))
    assert (first.outcome, second.outcome, second.reason) == ("ok", "interrupted", "interrupted by SIGTERM")
    assert second.cases[0].repeats[0].outcome == "ok"
    assert gpuprof("store", "verify", "--store", tmp_path / "store").code == 0
    again = gpuprof(*suite, "--resume", "--json", env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert again.code == 0
    assert f"already in run {first.run_id}" in again.err
    assert [case["workload"] for case in again.json["cases"]] == ["gru"]


@pytest.mark.parametrize("begun", [False, True], ids=["starting", "checking"])
def test_sigterm_before_anything_is_measured(tmp_path, begun):
    run = Live(*RNN, "--store", tmp_path / "store", env=variables(TMPDIR=str(tmp_path)))
    if begun:
        run.until("processes on")
    run.worker()
    run.process.terminate()
    assert run.end()[0] == 130
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("gpuprof-cache-")] == []
    if begun:
        record = only_record(tmp_path / "store")
        # The signal may come before the first case is entered in the journal.
        assert record["outcome"] == "interrupted"
        assert {case["outcome"] for case in record["cases"]} <= {"not_run"}
    else:
        assert not (tmp_path / "store").exists()


@contextmanager
def small_disk(path: Path, size: str):
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_disk_that_fills_up_during_the_run_loses_nothing(tmp_path):
    with small_disk(tmp_path / "disk", "256k") as disk:
        run = Live(*RNN, "--store", disk / "store", cwd=tmp_path)
        run.checked()
        with pytest.raises(OSError, match="No space left"), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        code, _, err = run.end()
        assert code == 1
        assert "could not be stored (No space left on device). Nothing is lost" in err
        record = only_record(tmp_path / "gpuprof-rescued")
    assert (record["outcome"], outcomes(record)) == ("ok", ["ok", "ok"])


def test_a_disk_that_is_full_from_the_start_is_told_before_anything_is_measured(tmp_path):
    with small_disk(tmp_path / "disk", "16k") as disk:
        done = gpuprof(*RNN, "--store", disk / "store")
        assert done.code == 2
        assert "cannot be used as the store (No space left on device); choose another with --store" in done.err
        assert list((disk / "store").iterdir()) == []


def test_two_runs_at_once_into_one_store(tmp_path):
    runs = [Live(*RNN, "--set", "repeats=1", "--store", tmp_path) for _ in range(2)]
    assert [run.end()[0] for run in runs] == [0, 0]
    assert len([store.read(run) for run in store.run_directories(tmp_path)]) == 2


def broken_lstm(kind: str, directory: Path, *options: str):
    return gpuprof(
        "run", CONFIGS / "lstm.yaml", *SHORT, "--set", "repeats=1", "--set", "batch_size=4", "--store", directory,
        *options,
        env={"PYTHONPATH": f"{ROOT / 'tests' / 'support' / 'faults'}:{ROOT}", "GPUPROF_TEST_LSTM": kind},
    )  # fmt: skip


def test_a_fused_lstm_that_computes_something_else_is_wrong_and_falls_back_by_name(tmp_path):
    done = broken_lstm("wrong", tmp_path)
    record = only_record(tmp_path)
    fused, fallback = record["cases"]
    assert (fused["correctness"]["verdict"], fallback["correctness"]["verdict"]) == ("wrong", "pass")
    assert fused["throughput_per_s"]["value"] > 0  # its times are kept, and the verdict with them
    assert done.code == 1
    assert fallback["fallback_of"] == fused["case_id"]
    assert fallback["case_id"] == "lstm-train-ieee-b4-t100-eager-1threads-fused=false"
    assert fallback["params"]["fused"] is False
    assert "WRONG RESULTS" in done.out
    assert "fallback" in done.out


def test_a_fused_lstm_that_crashes_falls_back_by_name(tmp_path):
    done = broken_lstm("crash", tmp_path)
    record = only_record(tmp_path)
    fused, fallback = record["cases"]
    assert done.code == 1
    assert (fused["outcome"], fused["repeats"][0]["outcome"]) == ("failed", "crashed")
    assert fused["correctness"]["verdict"] is None
    assert "SIGABRT" in fused["correctness"]["absent"]["verdict"]
    assert (fallback["outcome"], fallback["correctness"]["verdict"]) == ("ok", "pass")


def test_a_file_named_torch_in_the_working_directory_is_not_run(tmp_path):
    (tmp_path / "torch.py").write_text("open('pwned', 'w')")
    done = gpuprof("run", CONFIGS / "rnn.yaml", "--device", "gpu:7", cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.code == 3
    assert "torch 2" in done.err
    assert not (tmp_path / "pwned").exists()


def test_a_check_that_hangs_costs_one_time_limit_and_not_one_more_a_repeat(tmp_path):
    done = broken_lstm("hang", tmp_path, "--set", "timeout_s=15", "--set", "repeats=5")
    record = only_record(tmp_path)
    fused, fallback = record["cases"]
    assert done.code == 1
    assert [repeat["outcome"] for repeat in fused["repeats"]] == ["timeout"] * 5
    assert {repeat["reason"] for repeat in fused["repeats"]} == {"not started: its check took too long"}
    assert sum(repeat["duration_s"] for repeat in fused["repeats"]) < 5
    assert "no result within 15 s" in fused["correctness"]["absent"]["verdict"]
    assert (fallback["outcome"], fallback["correctness"]["verdict"]) == ("ok", "pass")


def test_after_a_repeat_that_took_too_long_the_others_are_not_started(tmp_path):
    run = Live(*RNN, "--set", "repeats=3", "--set", "timeout_s=12", "--store", tmp_path)
    run.checked()
    os.kill(run.worker(), signal.SIGSTOP)
    code, _, _ = run.end()
    repeats = only_record(tmp_path)["cases"][0]["repeats"]
    assert (code, [repeat["outcome"] for repeat in repeats]) == (1, ["timeout"] * 3)
    assert [repeat["reason"] for repeat in repeats[1:]] == ["not started: repeat 1 took too long"] * 2
