"""Suites, and the configurations shipped with gpuprof: read together, with every fault in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuprof import workloads
from gpuprof.config import suite
from gpuprof.errors import ConfigError
from support.running import CONFIGS

SHIPPED = sorted(set(CONFIGS.glob("*.yaml")) - {CONFIGS / "reference.yaml"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_configurations_are_short_and_name_no_vendor(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 15
    words = ("nvidia", "amd", "cuda", "rocm", "hip", "cudnn", "miopen", "geforce", "radeon", "instinct")
    assert not [word for word in words if word in text.lower()]
    (found,) = suite.load([path])
    assert [case.workload for case in found.cases] == [path.stem]


def test_every_workload_has_a_configuration():
    assert {path.stem for path in SHIPPED} == set(workloads.names())


def test_the_reference_suite_is_every_shipped_configuration():
    found = suite.load([CONFIGS / "reference.yaml"])
    assert {Path(one.record.file).name for one in found} == {path.name for path in SHIPPED}
    assert len(found) == len(SHIPPED)
    everything = suite.load([CONFIGS / "lstm.yaml", CONFIGS / "reference.yaml", *SHIPPED])
    named = [one.cases[0].workload for one in everything]
    assert named == ["lstm", *(one.cases[0].workload for one in found if one.cases[0].workload != "lstm")]


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory / "all.yaml"


def test_a_suite_shares_keys_and_the_command_line_has_the_last_word(tmp_path):
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner", a="workload: lstm\nbatch_size: 4\nsweep: {precision: [ieee, bf16]}")
    path = write(
        tmp_path, b="workload: cnn\nrepeats: 2",
        all="suite: [inner/a.yaml, b.yaml]\nrepeats: 7\nprecision: fp16\nsweep: {batch_size: [1, 2]}",
    )  # fmt: skip
    lstm, cnn = suite.load([path], ["repeats=3", "sweep.batch_size=[8]"])
    assert [(one.workload, one.precision, one.batch_size) for one in lstm.cases] == [("lstm", "fp16", 8)]
    assert (lstm.repeats, cnn.repeats) == (3, 3)
    assert lstm.record.overrides == [
        "repeats=7", "precision=fp16", "sweep.batch_size=[1, 2]", "repeats=3", "sweep.batch_size=[8]"
    ]  # fmt: skip
    alone = write(tmp_path / "inner", all=(tmp_path / "inner" / "a.yaml").read_text())
    assert suite.load([alone], lstm.record.overrides)[0].cases == lstm.cases  # the record's overrides say it all


SUITE_FAULTS = {
    "no list": ("suite: lstm.yaml", "all.yaml:1:1: suite: must be a list of configuration files, such as"),
    "nothing": ("suite: []", "all.yaml:1:1: suite: must be a list"),
    "no name": ("suite:\n  - 3", "all.yaml:2:5: suite[0]: must be the name of a configuration file, not 3"),
    "twice": ("suite: [a.yaml, ./a.yaml]", "all.yaml:1:17: suite[1]: './a.yaml' is already in the list"),
    "missing": ("suite:\n  - aa.yaml", "all.yaml:2:5: suite[0]: {0}/aa.yaml: no such file; did you mean '{0}/a.yaml'?"),
    "directory": ("suite: [.]", "all.yaml:1:9: suite[0]: {0}: is a directory"),
    "itself": ("suite: [all.yaml]", "all.yaml:1:9: suite[0]: 'all.yaml' is a suite itself"),
    "circle": ("suite: [other.yaml]", "all.yaml:1:9: suite[0]: 'other.yaml' is a suite itself"),
    "workload": ("suite: [a.yaml]\nworkload: cnn", "all.yaml:2:1: workload: a suite takes its workloads from its"),
    "unknown key": ("suite: [a.yaml]\nrepeat: 3", "all.yaml:2:1: repeat: unknown key; did you mean 'repeats'?"),
    "bad value": ("suite: [a.yaml]\nrepeats: 0", "all.yaml:2:1: repeats: must be 1 or more, not 0"),
    "bad sweep": ("suite: [a.yaml]\nsweep:\n  batch_size: [x]", "all.yaml:3:3: sweep.batch_size[0]: must be a whole"),
    "bad params": ("suite: [a.yaml]\nparams:\n  hidden: 3", "all.yaml:3:3: params.hidden: unknown key"),
    "bad member": ("suite: [bad.yaml]", "bad.yaml:2:1: mode: 'x' is not one of train, infer"),
    "broken member": ("suite: [broken.yaml]", "broken.yaml:1:12: not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", SUITE_FAULTS)
def test_a_suite_that_cannot_be_used_says_where(tmp_path, name):
    text, expected = SUITE_FAULTS[name]
    path = write(
        tmp_path, all=text, a="workload: cnn", b="workload: rnn", other="suite: [all.yaml]",
        bad="workload: cnn\nmode: x", broken="workload: [",
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        suite.load([path, tmp_path / "b.yaml"])
    (problem,) = map(str, caught.value.problems)
    assert expected.format(tmp_path) in problem
    assert problem.startswith(str(tmp_path))


def test_all_problems_of_a_suite_come_at_once_and_a_shared_one_once(tmp_path):
    path = write(
        tmp_path, a="workload: cnn", b="workload: rnn\nmode: x", all="suite: [a.yaml, b.yaml, c.yaml]\nrepeats: no"
    )
    with pytest.raises(ConfigError) as caught:
        suite.load([path])
    places = [problem.where.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert sorted(places) == ["all.yaml:1:25", "all.yaml:2:1", "b.yaml:2:1"]
