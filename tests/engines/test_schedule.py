"""What no schedule can hold."""

from __future__ import annotations

import pytest

from gpuprof.engines import FORMS
from gpuprof.errors import UsageError
from support.schedules import plan


@pytest.mark.parametrize("form", FORMS)
def test_control_characters_are_refused(form):
    for bad in ("a\nb", "\x00", "\x1b[2J", "\x85", "\u2028", "\udc80", "\ufdd0", "\ufffe", "\U0001ffff"):
        with pytest.raises(UsageError, match="control character"):
            FORMS[form](plan(bad))


@pytest.mark.parametrize("at", ["2:17", "24:00", "02:60", "02:17:00", "noon", "02:17\n"])
def test_times_of_day(at):
    with pytest.raises(UsageError, match="HH:MM"):
        plan(at=at)
