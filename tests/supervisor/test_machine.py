"""What a run needs of its machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpuprof.messages import Load
from support.running import ROOT, variables


def test_a_temporary_directory_that_cannot_be_made_is_one_message(monkeypatch):
    from gpuprof.errors import GpuprofError
    from gpuprof.supervisor import machine

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.tempfile, "TemporaryDirectory", full)
    with pytest.raises(GpuprofError, match="set TMPDIR"), machine.session():
        pass


class Recorded:
    """Stands for a worker: remembers its place for kernels, and whether it was ended."""

    stuck = ""

    def __init__(self, threads: int, cache: Path) -> None:
        self.cache, self.asked, self.ended = cache, [], False
        STARTED.append(self)

    def ask(self, request: Load, timeout_s: float) -> dict:
        assert not self.ended
        self.asked.append(request.seconds)
        return {}

    def kill(self) -> None:
        self.ended = True


STARTED: list[Recorded] = []


def test_a_case_that_must_be_alone_shares_neither_process_nor_kernels(monkeypatch, tmp_path):
    from gpuprof.supervisor import machine

    monkeypatch.setattr(machine, "WorkerProcess", Recorded)
    STARTED.clear()
    inspector = machine.Inspector(tmp_path)
    for number, alone in enumerate(["", "", "bf16", "fp16", "fp16", ""]):
        inspector.ask(Load(device=None, seconds=number), 1.0, alone=alone)
    assert [worker.asked for worker in STARTED] == [[0, 1], [2], [3, 4], [5]]
    assert [worker.ended for worker in STARTED] == [True, True, True, False]
    shared, one, other, again = (worker.cache for worker in STARTED)
    assert shared == again == tmp_path
    assert len({shared, one, other}) == 3


def test_a_place_for_kernels_can_be_a_directory_whatever_the_case_is_called(tmp_path):
    from gpuprof.supervisor.machine import kernel_place

    names = ["a" * 200, "a" * 199 + "b", "lstm-params.x=..", ".", "=+"]
    places = [kernel_place(tmp_path, name) for name in names]
    assert len(set(places)) == len(names)
    for place in places:
        assert place.parent == tmp_path
        place.mkdir()


def test_kernels_of_killed_runs_are_removed_and_no_others(tmp_path, monkeypatch):
    from gpuprof.supervisor import machine

    monkeypatch.setattr(machine.tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from gpuprof.supervisor.machine import kernel_cache\n"
        "with kernel_cache() as place:\n"
        "    (place / 'kernel').write_text('x')\n"
        "    print(place, flush=True)\n"
        "    os.kill(os.getpid(), 9) if sys.argv[2] == 'dies' else sys.stdin.read()\n"
    )

    def start(how):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path, how], cwd=ROOT, env=variables(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        return process, Path(process.stdout.readline().strip())

    alive, living = start("waits")
    killed, dead = start("dies")
    killed.wait()
    (tmp_path / "gpuprof-cache-new").mkdir()  # without its lock yet
    (tmp_path / "gpuprof-cache-link").symlink_to(living.name)
    assert (dead / "kernel").exists()
    with machine.kernel_cache():
        assert not dead.exists()
        assert (living / "kernel").exists()
        assert (tmp_path / "gpuprof-cache-new").exists()
    alive.communicate()
    assert not living.exists()
    killed.communicate()


def test_a_worker_that_prints_without_end_is_stopped(tmp_path, monkeypatch):
    from gpuprof.supervisor import worker_process

    monkeypatch.setattr(worker_process, "_MOST_OUTPUT_BYTES", 100_000)
    monkeypatch.setattr(worker_process, "_LOOKS_S", 0.05)
    monkeypatch.setattr(worker_process, "own", lambda _: [sys.executable, "-c", "while True: print('word ' * 1000)"])
    worker = worker_process.WorkerProcess(1, tmp_path)
    with pytest.raises(worker_process.WorkerFailed, match="printed more than") as failed:
        worker.ask(Load(device=None, seconds=1.0), 60.0)
    assert "word" in failed.value.output_tail


def test_a_reply_without_end_is_refused(tmp_path, monkeypatch):
    from gpuprof.supervisor import worker_process

    monkeypatch.setattr(worker_process, "_MOST_REPLY_BYTES", 100_000)
    code = "import os, sys\nwhile True: os.write(int(sys.argv[1]), b'x' * 4096)"
    monkeypatch.setattr(worker_process, "own", lambda _: [sys.executable, "-c", code])
    worker = worker_process.WorkerProcess(1, tmp_path)
    with pytest.raises(worker_process.WorkerFailed, match="a reply without end"):
        worker.ask(Load(device=None, seconds=1.0), 60.0)
