"""A None has its reason, and a value has none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gpuprof.absent import EARLIER
from gpuprof.record.part import Estimate, NonNegative, Part
from gpuprof.record.repeat import Cpu, Memory


def test_none_needs_a_reason_and_a_value_must_not_have_one():
    with pytest.raises(ValidationError, match="null without a reason"):
        Estimate(value=1.0, ci95=None, processes=1)
    with pytest.raises(ValidationError, match="has a value or does not exist"):
        Estimate(value=1.0, ci95=(1.0, 2.0), processes=1, absent={"ci95": "why"})
    with pytest.raises(ValidationError):
        Estimate(value=float("nan"), ci95=(1.0, 2.0), processes=1)
    with pytest.raises(ValidationError):
        Memory(peak_bytes=-1, scope="", reserved_bytes=0, alloc_retries=0)
    with pytest.raises(ValidationError):
        Cpu(seconds=1, wall_s=1, threads=1, utilisation=1, waiting="N/A", stolen=0)


class Grown(Part):
    old: NonNegative
    later: NonNegative | None = None


def test_a_field_that_came_later_is_absent_from_earlier_documents_with_that_reason():
    given = {"old": 1.0, "absent": {}}
    assert Grown.model_validate(given).absent == {"later": EARLIER}
    assert given["absent"] == {}
    again = Grown.model_validate_json(Grown.model_validate(given).model_dump_json())
    assert again == Grown.model_validate(given)
    assert Grown(old=1.0, later=2.0).absent == {}
    with pytest.raises(ValidationError, match="null without a reason"):
        Grown(old=1.0, later=None)
