"""What first-time users stumbled over, each as it is now."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from gpuprof.cli.help import COMMANDS
from support.running import CONFIGS, SAMPLES, command, gpuprof, variables

STORE = ("--store", SAMPLES / "simulated")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", *STORE], ["schema"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments):
    """As `head` is: it closes the pipe before anything is written."""
    started = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables())
    started.stdout.close()
    assert b"Error" not in started.stderr.read()
    started.stderr.close()
    started.wait()


def test_help_of_a_command_by_either_way():
    assert gpuprof("help", "compare").out == gpuprof("compare", "--help").out
    assert gpuprof("help").out == gpuprof("--help").out
    assert gpuprof("compare", "--help").out.startswith("Usage: gpuprof compare")


@pytest.mark.parametrize("group", ["store", "schedule"])
def test_a_group_alone_shows_its_help_and_says_that_something_is_missing(group):
    done = gpuprof(group)
    assert done.code == 2
    assert done.err.startswith(f"Usage: gpuprof {group}")
    assert "gpuprof: " not in done.err


def test_choices_stand_on_one_line():
    assert "Choose from: csv, parquet, " in gpuprof("export", "last", *STORE).err


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
@pytest.mark.parametrize("arguments", [["show", "last"], ["compare", "nvidia", "amd"], ["list"]])
def test_a_terminal_of_few_characters_gets_the_nearest(variables, arguments):
    done = gpuprof(*arguments, *STORE, env=variables, encoding="latin-1")
    assert done.code == 0
    if arguments[0] == "compare":
        assert "1.05x" in done.out or "1.05×" in done.out
        assert "---o---" in done.out


def test_a_mistyped_store_is_an_error_everywhere_and_a_store_to_come_is_none(tmp_path):
    for words in (["list"], ["recover"], ["store", "gc"], ["store", "verify"]):
        done = gpuprof(*words, "--store", tmp_path / "nope")
        assert done.code == 2
        assert "no such directory" in done.err
    assert gpuprof("list", cwd=tmp_path).code == 0
    assert "see `gpuprof demo`" in gpuprof("list", cwd=tmp_path).out


def test_a_night_of_nothing_leaves_nothing_behind(tmp_path):
    done = gpuprof("nightly", "nope.yaml", cwd=tmp_path)
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
    assert "nope.yaml: no such file" in done.err


def test_a_plan_names_whose_time_it_guesses_and_the_sum(tmp_path):
    done = gpuprof("run", "reference", "--device", "gpu", "--dry-run", cwd=tmp_path)
    assert "in all on this CPU; whether there is a GPU was not looked at, a rough guess" in done.out


def test_a_shipped_configuration_is_found_by_name(tmp_path):
    assert "lstm-train-ieee-b32" in gpuprof("run", "lstm", "--dry-run", cwd=tmp_path).out
    assert "lstm-train-ieee-b32" in gpuprof("run", "configs/lstm.yaml", "--dry-run", cwd=tmp_path).out
    (tmp_path / "lstm.yaml").write_text((CONFIGS / "lstm.yaml").read_text().replace("batch_size: 32", "batch_size: 8"))
    assert "-b8-" in gpuprof("run", "lstm.yaml", "--dry-run", cwd=tmp_path).out, "a file of one's own comes first"
    refused = gpuprof("run", "lstn", "--dry-run", cwd=tmp_path)
    assert refused.code == 2
    assert "no such file" in refused.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["vendor=nvida", "amd"], "did you mean vendor=nvidia?"), (["nvdia", "amd"], "did you mean 'nvidia'?"),
     (["H100", "MI300"], "did you mean 'MI300X'?"), (["workload=lsmt", "amd"], "did you mean workload=lstm?"),
     (["vender=amd", "amd"], "did you mean 'vendor'?"), (["sinze=2026", "amd"], "did you mean 'since'?"),
     (["vendor=x", "amd"], "known: amd, nvidia")],
)  # fmt: skip
def test_what_was_meant_is_said(words, meant):
    done = gpuprof("compare", *words, *STORE)
    assert done.code == 2
    assert meant in done.err


def test_words_name_sides():
    whole = gpuprof("compare", "vendor=nvidia", "vendor=amd", *STORE, "--json").json
    for words in (["nvidia", "amd"], ["H100", "mi300x"], ["device=H100", "device=Instinct MI300X"]):
        named = gpuprof("compare", *words, *STORE, "--json").json
        assert named["overall"] == whole["overall"]
    assert gpuprof("compare", "device==H100", "amd", *STORE).code == 2, "to the letter"


def test_a_list_of_some(tmp_path):
    shutil.copytree(SAMPLES / "simulated", tmp_path / "store")
    store = ("--store", tmp_path / "store")
    rows = gpuprof("list", "lstm,vendor=amd".replace("lstm", "workload=lstm"), *store, "--json").json["runs"]
    assert [row["run_id"] for row in rows] == ["20261126T235854Z-lstm-c7f3bce2"]
    assert len(gpuprof("list", "MI300X", *store, "--json").json["runs"]) == 2
    assert len(gpuprof("list", "since=2026-11-26,until=2026-11-26", *store, "--json").json["runs"]) == 4
    assert gpuprof("list", "since=2026-11-27", *store).code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_pasted_into_any_shell(name):
    """zsh looks for files where a bracket stands unquoted, and every shell writes one where a > does."""
    examples = gpuprof(name, "--help").out.partition("Example")[2]
    for line in (line.strip() for line in examples.splitlines() if line.strip().startswith("gpuprof ")):
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
        assert not re.search(r"[\[\]*?]|[^ ]>|<", unquoted), line
