"""One configuration: what is wrong is named, all of it, with place and suggestion; never a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof import workloads
from gpuprof.config.keys import Keys
from gpuprof.errors import ConfigError
from support.configurations import parse
from support.running import CONFIGS


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, *overrides)
    return [str(problem) for problem in caught.value.problems]


MALFORMED = {
    "empty": ("", f"x.yaml: workload: missing; give one of {', '.join(workloads.names())}"),
    "not a mapping": ("- lstm\n", "x.yaml:1:1: a configuration must be a mapping of keys to values, not a list"),
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
    "no such precision": ("workload: cnn\nprecision: fp32", "for float32 use ieee (full precision) or tf32"),
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
    "sweep and key": ("workload: lstm\nbatch_size: 2\nsweep: {batch_size: [1]}", "set both here and outside the sweep"),
    "sweep twice the same": ("workload: lstm\nsweep: {batch_size: [1, 1]}", "1 is in the list twice"),
    "sweep too large": (
        f"workload: lstm\nsweep: {{batch_size: {list(range(1, 1002))}}}", "expands into 1001 cases; the limit is 1000"
    ),
    "key twice": ("workload: cnn\nmode: train\nmode: infer", "x.yaml:3:1: mode: given twice, first on line 2"),
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


def test_overrides_win_over_keys_and_sweeps():
    text = "workload: lstm\nbatch_size: 4\nsweep: {precision: [ieee, bf16]}"
    assert [c.precision for c in parse(text, "precision=fp16").cases] == ["fp16"]
    assert [c.batch_size for c in parse(text, "sweep.batch_size=[1,2]", "precision=ieee").cases] == [1, 2]
    assert parse(text, "params.hidden_size=8").cases[0].params["hidden_size"] == 8
    assert len(parse(text, "sweep.params.hidden_size=[8,16]").cases) == 4


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
