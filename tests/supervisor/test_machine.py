"""What a run needs of its machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuprof.messages import Load


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
