"""What vendor libraries print from C goes nowhere, and closed streams are no fault."""

from __future__ import annotations

import subprocess
import sys

from support import simulators
from support.backends import PRELUDE, environment, process
from support.running import variables


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


def test_quiet_swallows_what_c_prints_and_gives_the_streams_back(releases, tmp_path):
    """In a process of its own, whose sys.stdout is file descriptor 1; after an error as well."""
    code = """
import os, sys
from gpuprof.telemetry.quiet import quiet
print("before")
with quiet() as printed:
    os.write(1, b"from C\\n"); os.write(2, b"from C on stderr\\n"); print("from Python")
try:
    with quiet(): raise ValueError
except ValueError: os.write(1, b"after an error\\n")
print(repr(printed.text))
"""
    done = process(["-c", code], environment(releases["usual"], simulators.load({"gpus": []}), tmp_path))
    assert done.stderr == ""
    before, error, text = done.stdout.splitlines()
    assert (before, error) == ("before", "after an error")
    assert text == repr("from C\nfrom C on stderr\nfrom Python")


def test_a_process_without_stdout_can_open_the_libraries(releases, tmp_path):
    """`gpuprof devices >&-`: closed file descriptors are no reason to fail."""
    code = PRELUDE.replace("import simulators", "import simulators\nos.close(1); os.close(2)", 1)
    code += "open(os.environ['ANSWER'], 'w').write(str(len(gpus)))"
    answer = tmp_path / "answer"
    scenario = simulators.load("two_and_two") | {"noise": True}
    done = process(["-c", code], environment(releases["usual"], scenario, tmp_path, ANSWER=str(answer)))
    assert (done.returncode, answer.read_text()) == (0, "4")
