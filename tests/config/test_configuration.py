"""Configurations: what is wrong is named, all of it, with place and suggestion; never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof import workloads
from gpuprof.config import configuration as config
from gpuprof.config import suite
from gpuprof.config.keys import Keys
from gpuprof.config.yaml_source import Source, parse_value
from gpuprof.errors import ConfigError
from gpuprof.record.run import ConfigRecord
from support.running import CONFIGS


def parse(text: str, *overrides: str) -> config.Configuration:
    record = ConfigRecord(file="x.yaml", sha256="0" * 64, text=text)
    return config.parse(Source(text, "x.yaml"), overrides, record)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, *overrides)
    return [str(problem) for problem in caught.value.problems]


MALFORMED = {
    "empty": ("", "x.yaml: workload: missing; give one of cnn, gru, lstm, rnn, vgg16"),
    "not a mapping": ("- lstm\n", "x.yaml:1:1: a configuration is a mapping of keys to values, not a list"),
    "only text": ("lstm", "not a str"),
    "unknown workload": ("workload: lsmt", "x.yaml:1:1: workload: 'lsmt' is not a workload; did you mean 'lstm'?"),
    "unknown key": ("workload: cnn\nbatchsize: 4", "x.yaml:2:1: batchsize: unknown key; did you mean 'batch_size'?"),
    "wrong type": ("workload: cnn\nbatch_size: big", "x.yaml:2:1: batch_size: must be a whole number, not 'big'"),
    "yes is no number": ("workload: cnn\nbatch_size: yes", "must be a whole number, not 'yes'"),
    "true is no number": ("workload: cnn\nseed: true", "seed: must be a whole number, not True"),
    "zero batch": ("workload: cnn\nbatch_size: 0", "x.yaml:2:1: batch_size: must be 1 or more, not 0"),
    "negative": ("workload: lstm\nseq_len: -5", "seq_len: must be 1 or more, not -5"),
    "fraction": ("workload: cnn\nrepeats: 2.5", "repeats: must be a whole number, not 2.5"),
    "huge": ("workload: cnn\nbatch_size: 99999999999999999999", "batch_size: must be 1073741824 or less"),
    "no such precision": ("workload: cnn\nprecision: fp32", "float32 is no single arithmetic"),
    "no such mode": ("workload: cnn\nmode: trian", "did you mean 'train'?"),
    "no such variant": ("workload: cnn\nvariant: cudagraph", "is not one of eager, compile, graph"),
    "sequence of an image": ("workload: cnn\nseq_len: 10", "workload 'cnn' has no sequence; remove this key"),
    "unknown parameter": ("workload: lstm\nparams: {hidden: 3}", "unknown key; did you mean 'hidden_size'"),
    "bad parameter": ("workload: lstm\nparams:\n  hidden_size: 0", "x.yaml:3:3: params.hidden_size: must be 1 or more"),
    "params no mapping": ("workload: lstm\nparams: 3", "params: must be a mapping of keys to values, not 3"),
    "sweep no mapping": ("workload: lstm\nsweep: [1]", "sweep: must be a mapping"),
    "sweep without list": ("workload: lstm\nsweep:\n  batch_size: 4", "sweep.batch_size: must be a list"),
    "sweep of nothing": ("workload: lstm\nsweep: {batch_size: []}", "an empty list leaves nothing to run"),
    "sweep of null": ("workload: lstm\nsweep: {seq_len: [null]}", "sweep.seq_len[0]: empty; give a value"),
    "sweep of rubbish": ("workload: lstm\nsweep: {batch_size: [1, x]}", "sweep.batch_size[1]: must be a whole number"),
    "sweep of a stranger": ("workload: lstm\nsweep: {precison: [ieee]}", "cannot be swept; did you mean 'precision'?"),
    "sweep and key": ("workload: lstm\nbatch_size: 2\nsweep: {batch_size: [1]}", "given here and as a key of its own"),
    "sweep twice the same": ("workload: lstm\nsweep: {batch_size: [1, 1]}", "1 stands in the list twice"),
    "sweep too large": (f"workload: lstm\nsweep: {{batch_size: {list(range(1, 1002))}}}", "expands into 1001 cases"),
    "key twice": ("workload: cnn\nmode: train\nmode: infer", "x.yaml:3:1: mode: given twice, first in line 2"),
    "tab": ("workload: cnn\n\tmode: train", "indent with spaces"),
    "parameter outside": ("workload: lstm\nhidden_size: 3", "unknown key; did you mean 'params.hidden_size'?"),
    "open bracket": ("workload: [cnn", "not valid YAML"),
    "two documents": ("workload: cnn\n---\nworkload: rnn", "not valid YAML"),
    "alias": ("workload: &a cnn\nparams: &p {}\nsweep: *p", "aliases"),
    "code": ("workload: !!python/object/apply:os.system ['echo hacked']", "not valid YAML: could not determine"),
    "binary": ("workload: cnn\nseed: \x00", "not valid YAML"),
    "nested": ("workload: " + "[" * 5000, "not valid YAML"),
    "key is a list": ("? [a, b]\n: 1\nworkload: cnn", "a key must be a word"),
    "infinite time": ("workload: cnn\ntimeout_s: .inf", "timeout_s"),
    "no time": ("workload: cnn\ntimeout_s: 0", "timeout_s: must be more than 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    text, expected = MALFORMED[name]
    found = problems(text)
    assert any(expected in problem for problem in found), found
    assert all("Traceback" not in problem and "pydantic" not in problem for problem in found)


def test_all_problems_at_once_each_with_its_place():
    found = problems("workload: lsmt\nbatchsize: 2\nprecision: fp23\nsweep:\n  seq_len: [0]\n", "mode=sideways", "junk")
    assert [problem.split(": ")[:2] for problem in found] == [
        ["--set junk", "write it as --set key=value"],
        ["--set mode=sideways", "mode"],
        ["x.yaml:3:1", "precision"],
        ["x.yaml:2:1", "batchsize"],
        ["x.yaml:1:1", "workload"],
        ["x.yaml:5:13", "sweep.seq_len[0]"],
    ]


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
    assert [one.cases[0].workload for one in everything] == ["lstm", "cnn", "rnn", "gru", "vgg16"]


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
    "twice": ("suite: [a.yaml, ./a.yaml]", "all.yaml:1:17: suite[1]: './a.yaml' stands in the list already"),
    "missing": ("suite:\n  - aa.yaml", "all.yaml:2:5: suite[0]: {0}/aa.yaml: no such file; did you mean '{0}/a.yaml'?"),
    "directory": ("suite: [.]", "all.yaml:1:9: suite[0]: {0}: is a directory"),
    "itself": ("suite: [all.yaml]", "all.yaml:1:9: suite[0]: 'all.yaml' is a suite itself"),
    "circle": ("suite: [other.yaml]", "all.yaml:1:9: suite[0]: 'other.yaml' is a suite itself"),
    "workload": ("suite: [a.yaml]\nworkload: cnn", "all.yaml:2:1: workload: a suite has the workloads of its"),
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


def test_sweep_expands_in_the_order_written_and_every_case_has_its_own_name():
    suite = parse(
        "workload: lstm\nsweep:\n  batch_size: [1, 8]\n  precision: [ieee, bf16]\n  params.hidden_size: [64, 32]"
    )
    assert len({case.case_id for case in suite.cases}) == 8
    assert suite.cases[0].case_id == "lstm-train-ieee-b1-t100-eager"
    assert suite.cases[-1].case_id == "lstm-train-bf16-b8-t100-eager-hidden_size=32"


def test_names_of_cases_never_collide():
    suite = parse("workload: vgg16\nsweep: {params.weights: [a/b.pth, a_b.pth, A_b.pth], batch_size: [1, 2]}")
    assert len({case.case_id for case in suite.cases}) == 6
    long = parse(f"workload: vgg16\nsweep: {{params.weights: [{'x' * 300}, {'x' * 301}]}}")
    names = {case.case_id for case in long.cases}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z0-9_.+=-]{1,200}", name) for name in names)


def test_overrides_win_over_keys_and_sweeps():
    text = "workload: lstm\nbatch_size: 4\nsweep: {precision: [ieee, bf16]}"
    assert [c.precision for c in parse(text, "precision=fp16").cases] == ["fp16"]
    assert [c.batch_size for c in parse(text, "sweep.batch_size=[1,2]", "precision=ieee").cases] == [1, 2]
    assert parse(text, "params.hidden_size=8").cases[0].params["hidden_size"] == 8
    assert len(parse(text, "sweep.params.hidden_size=[8,16]").cases) == 4


def test_yaml_1_2_scalars():
    assert [parse_value(t) for t in ("1e-3", "yes", "NO", "12:30:45", "0o17", "0x1F", "~", "true", "1_000")] == [
        0.001, "yes", "NO", "12:30:45", 15, 31, None, True, "1_000",
    ]  # fmt: skip


def test_file_faults(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "latin.yaml").write_bytes("workload: café".encode("latin-1"))
    for name, message in (
        ("missing.yaml", "no such file"), ("lstm", "no such file"), (".", "is a directory"),
        ("binary.yaml", "is not UTF-8"), ("latin.yaml", "is not UTF-8"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            suite.load([tmp_path / name])
    with pytest.raises(ConfigError, match=r"did you mean .*lstm\.yaml"):
        suite.load([CONFIGS / "lstmm.yaml"])


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
    ["lstm", "cnn", "train", "ieee", "batch_size", "1e3", "{", "&a", "*a", "!!int"]
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
_KEYS = st.sampled_from([*Keys.model_fields, "batchsize", "stepz", ""])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6), st.lists(st.text(max_size=20), max_size=2))
def test_any_mapping_is_a_suite_or_a_list_of_problems(data, overrides):
    import yaml

    _parses_or_names_problems(yaml.safe_dump(data), overrides)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_suite_or_a_list_of_problems(text):
    _parses_or_names_problems(text, [])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(p.read_text() for p in CONFIGS.glob("*.yaml"))), st.data())
def test_a_damaged_shipped_configuration_is_a_suite_or_a_list_of_problems(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    middle = data.draw(st.text(alphabet=st.sampled_from("ab:[]{}-\n\t #\"'!&*0.,"), max_size=6))
    _parses_or_names_problems(text[:start] + middle + text[end:], [])


def _parses_or_names_problems(text: str, overrides: list[str]) -> None:
    try:
        suite = parse(text, *overrides)
    except ConfigError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)
    else:
        assert all(case.workload in workloads.names() for case in suite.cases)
        assert len({case.case_id for case in suite.cases}) == len(suite.cases)
