"""The table of case keys: what holds of each row, and a toy key that one line brings everywhere."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from gpuprof import case_keys
from gpuprof.case_keys import KEYS
from gpuprof.config.keys import Keys
from gpuprof.index.digest import CaseDigest
from gpuprof.index.selector import RUN_FIELDS
from gpuprof.record.case import Case
from gpuprof.workloads.case import CaseSpec
from support.cases import case
from support.running import CONFIGS, KEPT, Done
from support.running import gpuprof as run
from support.toys import package_in

ROW = '    context: Annotated[int, CaseKey("tokens before the first step", 8, most=64, unit="tokens")]\n'
LAST = "    seed: Annotated["


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_row_is_complete(key):
    assert key.about and key.heading and key.id_form.format(7) != key.id_form
    assert key.default in (None, *key.words) or key.least <= key.default <= key.most
    assert not (key.length and key.default is not None)
    assert key.said(None) == ""
    assert str(key.words[0] if key.words else 7) in key.said(key.words[0] if key.words else 7)


def test_whatever_has_the_keys_has_all_of_them():
    for kind in (CaseSpec, CaseDigest):
        assert set(KEYS) <= {name for base in kind.__mro__ for name in vars(base).get("__annotations__", ())}
    assert set(KEYS) <= set(Keys.model_fields) & set(Case.model_fields)


def test_no_key_has_the_name_of_something_else():
    taken = {*Keys.__annotations__, *CaseSpec.__annotations__, *Case.__annotations__, *RUN_FIELDS, "absent", "case_id"}
    taken |= set(CaseDigest.__annotations__) | {"workload", "params", "sweep"}
    assert set(KEYS) & taken == {"precision", "threads"}  # of which a record and a digest know more


def test_a_later_length_leaves_the_ids_of_its_workloads_own_as_they_were(monkeypatch):
    later = replace(KEYS["seq_len"], in_old_records=False)
    assert list(later.in_id(100, 100)) == []
    assert list(later.in_id(7, 100)) == ["t7"]
    monkeypatch.setattr("gpuprof.workloads.case.NAMED", (later,))
    assert case("lstm").case_id == "lstm"
    assert case("lstm", seq_len=7).case_id == "lstm-t7"


def test_the_keys_of_two_cases_make_two_names():
    changed = {"mode": "infer", "precision": "bf16", "variant": "graph"}
    for name, key in KEYS.items():
        value = changed[name] if key.words else 7
        other = case("lstm", **{name: value})
        assert case_keys.values(other)[name] == value
        assert other.case_id != case("lstm").case_id, name


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A copy of the package with one line more, and a store in which it has measured a case of each of two values."""
    place = tmp_path_factory.mktemp("toy")
    env = package_in(place)
    table = place / "gpuprof/case_keys.py"
    text = table.read_text()
    assert text.count(LAST) == 1
    table.write_text(text.replace(LAST, ROW + LAST))

    def gpuprof(*arguments: str) -> Done:
        return run(*arguments, cwd=place, env=env)

    config = place / "toy.yaml"
    config.write_text("workload: rnn\nmode: infer\nthreads: 1\nrepeats: 1\nseq_len: 2\nsweep: {context: [8, 16]}\n")
    done = gpuprof("run", config, "--quick", "--device", "cpu", "--store", place / "store")
    assert done.code == 0, done.err
    return gpuprof, place, done


@pytest.mark.slow
def test_a_toy_key_is_one_of_configurations(toy):
    gpuprof, place, _ = toy
    plan = gpuprof("run", place / "toy.yaml", "--dry-run", "--json").json
    assert [(c["context"], c["case_id"]) for c in plan["cases"]] == [
        (8, "rnn-infer-ieee-b32-t2-eager-1threads"), (16, "rnn-infer-ieee-b32-t2-context=16-eager-1threads"),
    ]  # fmt: skip
    wrong = gpuprof("run", place / "toy.yaml", "--set", "context=65", "--dry-run")
    assert wrong.code == 2 and "context: must be 64 or less, not 65" in wrong.err
    near = gpuprof("run", CONFIGS / "rnn.yaml", "--set", "contxt=8", "--dry-run")
    assert near.code == 2 and "did you mean 'context'?" in near.err


@pytest.mark.slow
def test_a_toy_key_is_in_the_record_its_titles_and_its_exports(toy):
    gpuprof, place, done = toy
    (file,) = (place / "store").glob("*/record.json")
    assert [c["context"] for c in json.loads(file.read_text())["cases"]] == [8, 16]
    assert "context 8" in done.out and "context 16" in done.out
    assert "context 16" in gpuprof("show", file.parent.name, "--store", place / "store").out
    head, *rows = gpuprof("export", place / "store", "--format", "csv").out.splitlines()
    at = head.split(",").index("context")
    assert {row.split(",")[at] for row in rows} == {"8", "16"}


@pytest.mark.slow
def test_a_toy_key_selects_and_tells_cases_apart(toy):
    gpuprof, place, _ = toy
    store = ("--store", place / "store")
    sides = gpuprof("compare", "context=8", "context=16", *store, "-v")
    assert sides.code == 0, sides.err
    assert "context: 8 against 16" not in sides.out and "varied on purpose" in sides.out
    blocked = gpuprof("compare", "context<9", "context>9", *store, "-v")
    assert "context: 8 against 16" in blocked.out and "--vary context" in blocked.out
    varied = gpuprof("compare", "context<9", "context>9", "--vary", "context", *store, "-v")
    assert "context: 8 against 16" not in varied.out and "varied on purpose" in varied.out
    report = gpuprof("report", *store).out
    assert "context 8" in report and "context 16" in report
    assert "seq_len, threads, context" in " ".join(gpuprof("compare", "--help").out.split())
    assert "context must be a number" in gpuprof("compare", "context=x", "context=16", *store).err


@pytest.mark.slow
def test_a_record_made_before_the_key_came_ran_with_its_default(toy):
    gpuprof, place, _ = toy
    store = place / "old"
    shutil.copytree(KEPT, store / json.loads((KEPT / "record.json").read_text())["run_id"])
    shown = gpuprof("show", KEPT / "record.json", "--json")
    assert shown.code == 0 and [c["context"] for c in shown.json["cases"]] == [8], shown.err
    listed = gpuprof("compare", "context=8", "context=8", "--store", store)
    assert listed.code == 0, listed.err
    assert "context=16" in gpuprof("compare", "context=8", "context=16", "--store", store).err
