"""Vendor libraries that print, hang or are hostile, and streams that are closed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from gpuprof.telemetry import device, patience
from support import simulators
from support.running import ROOT, command, gpuprof, variables

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


def test_printf_is_captured_too():
    code = (
        "import ctypes; from gpuprof.telemetry.quiet import quiet\n"
        "with quiet() as said: ctypes.CDLL(None).printf(b'from C\\n')\n"
        "print('captured:', said.text)"
    )
    env = variables()
    env.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "captured: from C\n"


def test_what_amd_smi_is_told_does_not_reach_the_command(libraries, tmp_path):
    env = simulators.variables(libraries, simulators.load("mi300x_spx"), tmp_path)
    done = gpuprof("monitor", "sh", "-c", "env | grep -c RSMI_ || true", env=env)
    assert (done.code, done.out.strip()) == (0, "0")


def test_a_call_that_does_not_come_back_is_left_behind():
    never = threading.Event()
    with pytest.raises(device.Stuck, match="did not answer within"):
        patience.patiently(never.wait, 0.05)
    never.set()
    assert patience.patiently(lambda: 7) == (7, "")
    with pytest.raises(ZeroDivisionError):
        patience.patiently(lambda: 1 // 0)


@pytest.mark.parametrize("width", ["60", "80", "100", "160"])
def test_a_name_is_shown_as_it_is_and_in_any_width(libraries, tmp_path, width):
    scenario = simulators.load({"gpus": [{"like": "h100", "name": "[red]H1[/bold] \x1b[31mX"}]})
    env = {**simulators.variables(libraries, scenario, tmp_path), "COLUMNS": width}
    done = gpuprof("devices", env=env)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[red]H1[/bold]" in done.out
