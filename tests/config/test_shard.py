"""Shards: every case in exactly one part, the same parts on every machine; `auto` takes its number from the job."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.config import shard, suite
from gpuprof.config.shard import Shard
from gpuprof.errors import UsageError
from support.running import CONFIGS, SLURM

SWEEP = ("sweep.batch_size=[1,2,4,8]", "sweep.precision=[ieee,bf16]")


def cases(suites) -> list[str]:
    return [spec.case_id for one in suites for spec in one.cases]


PLANNED = suite.load([CONFIGS / "reference.yaml"], SWEEP)


@settings(deadline=None)
@given(st.integers(1, 60), st.randoms())
def test_the_parts_are_the_whole_and_do_not_depend_on_the_order(count, dice: random.Random):
    mixed = dice.sample(PLANNED, len(PLANNED))
    parts = [cases(Shard(k, count).of(PLANNED)) for k in range(1, count + 1)]
    assert Counter(case for part in parts for case in part) == Counter(cases(PLANNED))
    assert {len(part) for part in parts} <= {len(cases(PLANNED)) // count, -(-len(cases(PLANNED)) // count)}
    again = [cases(Shard(k, count).of(mixed)) for k in range(1, count + 1)]
    assert list(map(sorted, again)) == list(map(sorted, parts))


def test_the_split_is_part_of_the_interface():
    """Machines of one array may run different versions: what falls to whom must not change."""
    planned = suite.load([CONFIGS / f"{name}.yaml" for name in ("cnn", "rnn", "lstm", "gru", "vgg16")])
    assert [sorted(case.partition("-")[0] for case in cases(Shard(k, 3).of(planned))) for k in (1, 2, 3)] == [
        ["cnn", "vgg16"], ["lstm", "rnn"], ["gru"]
    ]  # fmt: skip


def test_a_sweep_is_not_split_along_its_own_values():
    planned = suite.load(
        [CONFIGS / "lstm.yaml"], ["sweep.precision=[ieee,bf16]", "sweep.batch_size=[1,2,4,8,16,32,64,128]"]
    )
    for k in (1, 2):
        assert len({spec.precision for one in Shard(k, 2).of(planned) for spec in one.cases}) == 2


def test_the_record_says_which_part_it_is():
    assert {one.record.shard for one in Shard(2, 3).of(suite.load([CONFIGS / "reference.yaml"]))} == {"2/3"}


POD = {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "4"}


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("1/1", {}, (1, 1)), ("2/8", {}, (2, 8)), ("auto", SLURM, (6, 8)), ("auto", POD, (1, 4)),
        ("auto", SLURM | POD, (6, 8)), ("auto", {k: v for k, v in SLURM.items() if "STEP" not in k}, (6, 8)),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"}, (5, 8)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "12",
                  "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_STEP": "4"}, (3, 4)),
    ],
)  # fmt: skip
def test_where_the_number_comes_from(text, variables, expected):
    found = shard.parse(text, variables)
    assert (found.number, found.count) == expected


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("0/3", {}, "K must be from 1 to N, here 3"), ("4/3", {}, "K must be from 1 to N, here 3"),
        ("0/0", {}, "K must be from 1"), ("2", {}, "write K/N, such as 2/8"), ("-1/3", {}, "write K/N"),
        ("a/b", {}, "write K/N"), ("", {}, "write K/N"),
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "pass the job's `completions` to the container"),
        ("auto", POD | {"JOB_COMPLETION_INDEX": "4"}, "JOB_COMPLETION_INDEX=4 must be below JOB_COMPLETIONS=4"),
        ("auto", POD | {"JOB_COMPLETIONS": "many"}, "JOB_COMPLETIONS is 'many', not a number"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "3"}, "SLURM_ARRAY_TASK_MIN is not set"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_ID": "0"}, "an array without gaps"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_ID": "9"}, "such as --array=1-8"),
    ],
)  # fmt: skip
def test_mistakes_say_what_to_write(text, variables, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        shard.parse(text, variables)
