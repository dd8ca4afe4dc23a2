"""A call that never comes back."""

from __future__ import annotations

import threading

import pytest

from gpuprof.telemetry import device, patience


def test_a_call_that_does_not_come_back_is_left_behind():
    never = threading.Event()
    with pytest.raises(device.Stuck, match="did not answer within"):
        patience.patiently(never.wait, 0.05)
    never.set()
    assert patience.patiently(lambda: 7) == (7, "")
    with pytest.raises(ZeroDivisionError):
        patience.patiently(lambda: 1 // 0)
