"""A missing value says why, and passes for nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from gpuprof.absent import Absent
from gpuprof.telemetry.device import NoReading, mapped, reading

NONE = Absent("this device reports no power")
DENIED = NoReading("the counter is for root alone", "no_permission")


@pytest.mark.parametrize("missing", [NONE, DENIED])
def test_it_passes_for_no_number_no_text_and_no_list(missing):
    for use in (float, int, len, iter, lambda value: value + 1.0, lambda value: value < 1.0):
        with pytest.raises(TypeError):
            use(missing)
    assert missing != missing.reason
    assert missing  # `value or other` must not drop it in silence


@pytest.mark.parametrize("missing", [NONE, DENIED])
def test_it_is_frozen_and_equal_by_what_it_says(missing):
    with pytest.raises(dataclasses.FrozenInstanceError):
        missing.reason = "another"
    assert missing == dataclasses.replace(missing)
    assert missing != dataclasses.replace(missing, reason="another")
    assert len({missing, dataclasses.replace(missing)}) == 1


def test_a_sensor_s_reason_is_one_with_a_status_that_nobody_makes_up():
    assert isinstance(DENIED, Absent)
    assert Absent(DENIED.reason) != DENIED
    with pytest.raises(TypeError):
        NoReading("no status")


def test_its_stored_form_is_null_with_status_and_reason():
    stored = reading(DENIED)
    assert (stored.value, stored.status, stored.reason) == (None, "no_permission", DENIED.reason)
    assert reading(0.0).value == 0.0
    assert mapped(DENIED, abs) is DENIED
