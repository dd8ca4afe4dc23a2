"""Commands with a stream that is closed or a pipe, over libraries that print."""

from __future__ import annotations

import json
import subprocess

import pytest

from support import simulators
from support.running import ROOT, command, variables

SHELL = "exec {command} {redirect}"


def through_shell(redirect: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
    line = SHELL.format(command=" ".join(command(*arguments)), redirect=redirect)
    env = variables(**extra)
    env.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        ["sh", "-c", line], env=env, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", [("devices", "--json"), ("doctor", "--quick"), ("monitor", "true")])
def test_a_closed_stream_is_no_traceback(redirect, arguments):
    done = through_shell(redirect, *arguments)
    assert "Traceback" not in done.stdout + done.stderr
    assert "flush" not in done.stdout + done.stderr


def test_what_a_library_prints_by_stdio_stays_out_of_the_json(libraries, tmp_path):
    # Without PYTHONUNBUFFERED, and with stdout a pipe: C keeps what it prints until its buffer is full or the end.
    scenario = simulators.load({"gpus": [{"like": "h100"}, {"like": "mi300x_spx"}], "noise": True})
    done = through_shell("", "devices", "--json", **simulators.variables(libraries, scenario, tmp_path))
    assert done.returncode == 0, done.stderr
    assert [gpu["vendor"] for gpu in json.loads(done.stdout)] == ["nvidia", "amd", "cpu"]
    assert done.stderr == ""
