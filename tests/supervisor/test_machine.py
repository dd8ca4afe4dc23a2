"""What a run needs of its machine."""

from __future__ import annotations

import pytest


def test_a_temporary_directory_that_cannot_be_made_is_one_message(monkeypatch):
    from gpuprof.errors import GpuprofError
    from gpuprof.supervisor import machine

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.tempfile, "TemporaryDirectory", full)
    with pytest.raises(GpuprofError, match="set TMPDIR"), machine.session():
        pass
