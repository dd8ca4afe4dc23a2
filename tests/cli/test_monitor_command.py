"""`gpuprof monitor` is in the way of no command: exit code, streams, arguments, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import simulators
from support.backends import needs_libraries
from support.monitored import QUICK_H100, SAY, complete
from support.running import LIMIT_S, Done, gpuprof

pytestmark = needs_libraries


def ended(process: subprocess.Popen) -> Done:
    out, err = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in out + err, err
    return Done(process.returncode, out, err)


# ---- out of the command's way


@pytest.mark.parametrize(
    ("code", "expected"), [("pass", 0), ("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)],
)  # fmt: skip
def test_the_exit_code_is_the_commands(monitor, code, expected):
    done = monitor([QUICK_H100], "--json", "--", sys.executable, "-c", code)
    assert done.code == expected
    assert done.json["exit_code"] == expected
    complete(done.json)


def test_what_cannot_be_started(monitor, tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    for name, code, said in (
        ("no-such-program-here", 127, "command not found"), (str(tmp_path / "notes.txt"), 126, "Permission denied"),
    ):  # fmt: skip
        done = monitor([QUICK_H100], "--json", "--", name)
        assert done.code == done.json["error"]["exit_code"] == code
        assert name in done.json["error"]["message"]
        assert said in done.json["error"]["message"]


def test_the_commands_output_is_its_own(monitor):
    done = monitor([QUICK_H100], *SAY)
    assert (done.code, done.out) == (0, "from the command\n")
    assert "energy" in done.err
    done = monitor([QUICK_H100], "--json", "--", *SAY)
    assert "from the command" in done.err
    assert done.json["command"] == list(SAY)


def test_its_input_is_its_own_too(monitor):
    done = monitor([QUICK_H100], sys.executable, "-c", "print(input()[::-1])", input="abc\n")
    assert done.out == "cba\n"


def test_arguments_are_passed_on_as_they_are(monitor):
    arguments = ("-x", "--json", "--device", "nothing", "--", "-- a b", "")
    echo = (sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *arguments)
    done = monitor([QUICK_H100], "--device", "nvidia:0", *echo)
    assert json.loads(done.out) == list(arguments)
    done = monitor([QUICK_H100], "--device", "nvidia:0", "--", *echo)
    assert json.loads(done.out) == list(arguments)
    done = monitor([QUICK_H100], "--no-such-option", "true")
    assert done.code == 2
    assert "no such option: --no-such-option" in done.err


# ---- signals


RESOLUTE = """
import signal, sys, time
signal.signal(signal.{name}, lambda *_: sys.exit(5))
print("ready", flush=True)
while True: time.sleep(0.01)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_group_is_the_commands_to_answer_and_the_report_still_comes(started, name):
    process = started([QUICK_H100], "--device", "nvidia", sys.executable, "-c", RESOLUTE.format(name=name))
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, getattr(signal, name))
    done = ended(process)
    assert done.code == 5
    assert "exit code 5" in done.err
    assert "energy counter" in done.err


def test_sigterm_to_monitor_alone_reaches_the_command(started):
    process = started(
        [QUICK_H100], "--device", "nvidia", "--json", "--", sys.executable, "-c", RESOLUTE.format(name="SIGTERM")
    )
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    done = ended(process)
    assert (done.code, done.json["exit_code"]) == (5, 5)
    assert done.json["devices"][0]["energy_j"] > 0


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGXCPU"])
def test_no_signal_leaves_the_command_alone(started, name):
    """As Slurm sends them, to what it started alone, before a job's time is up."""
    resolute = (sys.executable, "-c", RESOLUTE.format(name=name))
    process = started([QUICK_H100], "--device", "nvidia", "--json", "--", *resolute)
    assert process.stderr.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    assert ended(process).code == 5


@pytest.mark.parametrize("code", [0, 7])
def test_a_report_that_cannot_be_written_does_not_cost_the_exit_code(monitor, code, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = monitor([QUICK_H100], "--json", "--", sys.executable, "-c", f"raise SystemExit({code})", stdout=full)
    assert done.code == (code or 1)
    assert "the report could not be written (No space left on device)" in done.err


def test_an_empty_command_is_bad_usage(monitor):
    done = monitor([QUICK_H100], "--", "")
    assert done.code == 2
    assert "COMMAND is empty" in done.err


def test_a_command_that_takes_no_care_ends_at_ctrl_c(started):
    waits = "import time; print('ready', flush=True); time.sleep(60)"
    process = started([QUICK_H100], "--device", "nvidia", "--json", "--", sys.executable, "-c", waits)
    assert process.stderr.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=LIMIT_S)  # Python's own traceback of the command is among the rest
    assert process.returncode == 130
    assert json.loads(out)["exit_code"] == 130


def waiting(process: subprocess.Popen) -> None:
    """Until `monitor` without a command has set its own handler for SIGINT, as the kernel tells."""
    status = Path(f"/proc/{process.pid}/status")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        if int(lines["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1:
            return
    pytest.fail("monitor never began to wait")


def test_without_a_command_it_watches_until_it_is_told_to_stop(started):
    process = started([QUICK_H100], "--device", "nvidia", "--json")
    waiting(process)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.code == 0
    assert done.json["command"] == []
    (device,) = done.json["devices"]
    assert abs(device["energy_j"] - 400 * done.json["duration_s"]) < 5 * device["energy_error_j"]
    complete(done.json)


def test_what_amd_smi_is_told_does_not_reach_the_command(libraries, tmp_path):
    env = simulators.variables(libraries, simulators.load("mi300x_spx"), tmp_path)
    done = gpuprof("monitor", "sh", "-c", "env | grep -c RSMI_ || true", env=env)
    assert (done.code, done.out.strip()) == (0, "0")
