"""Which yardsticks are the same measurement on both sides."""

from __future__ import annotations

import pytest

from gpuprof.analysis.yardstick import COPY, PRODUCT, trusted
from support.sides import case, one


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (({}, {}), (PRODUCT, COPY)),
        (({"SLURM_JOB_ID": "11"}, {"SLURM_JOB_ID": "12", "ROCR_VISIBLE_DEVICES": "3"}), (PRODUCT, COPY)),
        (({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}), (COPY,)),
    ],
)
def test_a_product_is_not_to_be_trusted_where_a_variable_changes_it(variables, expected):
    assert trusted(*(one(case(), facts={"variables": each}) for each in variables)) == expected
