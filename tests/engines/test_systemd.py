"""systemd reads each argument back as it was."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from gpuprof.engines import FORMS
from gpuprof.engines.schedule import Schedule
from gpuprof.errors import UsageError
from support.schedules import ARGUMENTS, plan


def test_units_pass_systemd(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "its 100% a $HOME %h é" / "run me"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = FORMS["systemd"](Schedule((str(program), *ARGUMENTS, "back\\slash\\")))
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)],
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    with pytest.raises(UsageError, match="not allow quotes or backslashes"):
        FORMS["systemd"](Schedule(("/opt/it's/python",)))
    # It does look: a unit whose program is not there fails.
    broken = units["gpuprof-nightly.service"].replace("run me", "run you")
    (tmp_path / "gpuprof-nightly.service").write_text(broken)
    checked = subprocess.run(["systemd-analyze", "verify", str(tmp_path / "gpuprof-nightly.service")],
                             capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert "run you" in checked.stderr


def unquoted(text: str) -> str:
    """A word as systemd reads it: C escapes in double quotes, then specifiers."""
    assert text[0] == text[-1] == '"'
    inner = re.sub(r"\\(.)", r"\1", text[1:-1])
    assert not re.search(r"(?<!%)%(?:%%)*(?!%)", inner)
    return inner.replace("%%", "%")


def test_the_service_has_each_argument_as_it_was():
    text = FORMS["systemd"](plan(*ARGUMENTS, "back\\slash\\"))["gpuprof-nightly.service"]
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=:")]
    words = re.findall(r'"(?:[^"\\]|\\.)*"', line.removeprefix("ExecStart=:"))
    assert [unquoted(word) for word in words] == ["/bin/true", *ARGUMENTS, "back\\slash\\"]
    # A night takes as long as its configurations do, and whoever stops it leaves the run to `gpuprof nightly`.
    for setting in ("Type=oneshot", "TimeoutStartSec=infinity", "KillMode=mixed", "TimeoutStopSec=120"):
        assert f"\n{setting}\n" in text
    timer = FORMS["systemd"](plan(at="23:05"))["gpuprof-nightly.timer"]
    for setting in ("OnCalendar=*-*-* 23:05:00", "Persistent=true", "RandomizedDelaySec="):
        assert setting in timer
