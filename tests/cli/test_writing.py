"""Where a report goes: whole or not at all, to a file, a device, a pipe."""

from __future__ import annotations

import os
import subprocess

import pytest

from support.compared import LSTM_1, LSTM_2, SIDES
from support.running import ROOT, command, gpuprof, variables

pytestmark = pytest.mark.slow


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    """A limit on the size of files fails writes as a full disk does; what was there before stays."""
    output = tmp_path / "report.md"
    output.write_text("the report of yesterday")
    limited = f"ulimit -f 1; exec {' '.join(command('compare', LSTM_1, LSTM_2, '-o', output))}"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, env=variables(XDG_CACHE_HOME=str(tmp_path / "c")), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"gpuprof: {output}: cannot be written (File too large)\n"
    assert output.read_text() == "the report of yesterday"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_report_replaces_the_one_before_and_keeps_to_the_umask(tmp_path):
    output = tmp_path / "report.md"
    output.write_text("old")
    assert gpuprof("compare", *SIDES["cpu"], "-o", output).code == 0
    assert output.read_text().startswith("# ")
    umask = os.umask(0)
    os.umask(umask)
    assert output.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("output", "form", "message"),
    [("/dev/full", "json", "/dev/full: cannot be written (No space left on device)"),
     ("nowhere/report.md", "md", "nowhere/report.md: cannot be written (No such file or directory)"),
     ("/proc/report.md", "md", "/proc/report.md: cannot be written"),
     ("README.md/report.md", "md", "README.md/report.md: cannot be written (Not a directory)")],
)  # fmt: skip
def test_where_nothing_can_be_written_it_is_told(output, form, message):
    done = gpuprof("compare", *SIDES["cpu"], "--format", form, "-o", output)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    assert gpuprof("compare", *SIDES["cpu"], "--format", "md", "-o", pipe).code == 0
    said, _ = reader.communicate(timeout=60)
    assert said.startswith("# ")
    assert pipe.is_fifo()


@pytest.mark.parametrize("form", ["text", "json", "md"])
def test_a_full_disk_under_stdout_is_one_message(form):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("compare", *SIDES["cpu"], "--format", form), cwd=ROOT, env=variables(), stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "gpuprof: cannot write the output (No space left on device)\n")
