"""What a shell completes, through the protocol that shells use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from support.running import SAMPLES, gpuprof, imported_by, variables

STORE = SAMPLES / "simulated"
HEAVY = {"torch", "numpy", "scipy", "pydantic", "rich", "yaml"}


def complete(*words: str, store=STORE) -> list[str]:
    asked = {"COMP_WORDS": " ".join(["gpuprof", *words]), "COMP_CWORD": str(len(words)), "GPUPROF_STORE": str(store)}
    done = gpuprof(env={"_GPUPROF_COMPLETE": "bash_complete", **asked})
    return [line.partition(",")[2] for line in done.out.splitlines()]


def test_commands_runs_selectors_and_configurations_are_completed():
    assert "compare" in complete("com")
    assert complete("compare", "2026")[0] == "20261126T235932Z-cnn-b4f8f0ca", "the newest first"
    assert complete("compare", "vendor=") == ["vendor=nvidia", "vendor=amd"]
    assert complete("list", "vendor=amd,workl") == ["vendor=amd,workload="]
    assert "vendor=amd,workload=lstm" in complete("list", "vendor=amd,workload=")
    assert "last" in complete("show", "la")
    assert "lstm" in complete("run", "ls")


def test_a_hostile_name_in_a_store_is_left_out(tmp_path):
    for name in ("20261126T235932Z-$(touch pwned)", "20261126T235932Z-a\nb", "20261126T235932Z-`id`"):
        (tmp_path / name).mkdir()
    assert not [word for word in complete("show", "2026", store=tmp_path) if word.startswith("2026")]


def test_completing_imports_nothing_heavy(monkeypatch):
    monkeypatch.setenv("_GPUPROF_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "gpuprof compare 2026")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert not imported_by() & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell):
    done = gpuprof("completion", shell)
    assert done.code == 0
    assert "_GPUPROF_COMPLETE" in done.out
    assert done.out.startswith("# ")
    if path := shutil.which(shell):
        checked = subprocess.run([path, "-n"], input=done.out, text=True, capture_output=True, env=variables())
        assert checked.returncode == 0, checked.stderr


def test_bash_completes_a_run(tmp_path):
    script = tmp_path / "completion.sh"
    script.write_text(gpuprof("completion", "bash").out)
    ask = (
        f"source {script}; COMP_WORDS=(gpuprof show 20261126T2359); COMP_CWORD=2; "
        "_gpuprof_completion gpuprof; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    place = tmp_path / "bin"
    place.mkdir()
    (place / "gpuprof").write_text('#!/bin/sh\nexec "$PYTHON" -m gpuprof "$@"\n')
    (place / "gpuprof").chmod(0o755)
    env = variables(GPUPROF_STORE=str(STORE), PYTHON=sys.executable, PATH=f"{place}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", ask], env=env, text=True, capture_output=True)
    assert "20261126T235932Z-cnn-b4f8f0ca" in done.stdout.split(), done.stderr
