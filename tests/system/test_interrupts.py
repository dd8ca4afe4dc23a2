"""Signals while something must be finished first."""

from __future__ import annotations

import signal

import pytest


def test_a_signal_while_a_result_is_kept_comes_afterwards_or_never():
    from gpuprof.system.interrupts import terminate_as_interrupt, undisturbed

    done = []
    with terminate_as_interrupt():
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"), undisturbed(afterwards=True):
            signal.raise_signal(signal.SIGTERM)
            done.append("kept")
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            done.append("kept")
    assert done == ["kept", "kept"]


@pytest.mark.parametrize("afterwards", [True, False])
def test_a_clean_up_that_hangs_is_ended_by_one_signal_more_than_is_held_back(afterwards):
    from gpuprof.system.interrupts import undisturbed

    done = []
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), undisturbed(afterwards=afterwards) as safe:
        safe()
        if afterwards:
            signal.raise_signal(signal.SIGINT)
        done.append("still here")
        signal.raise_signal(signal.SIGTERM)
        done.append("not reached")
    assert done == ["still here"]
