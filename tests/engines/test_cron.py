"""cron and its shell read each argument back as it was."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from gpuprof.engines import FORMS
from gpuprof.errors import UsageError
from support.schedules import ARGUMENTS, plan


def test_the_cron_line_runs_what_was_asked_for():
    text = FORMS["cron"](plan(*ARGUMENTS, at="03:40"))["gpuprof-nightly.cron"]
    assert text.count("\n") == 1
    minute, hour, day, month, weekday, command = text.rstrip("\n").split(" ", 5)
    assert (minute, hour, day, month, weekday) == ("40", "3", "*", "*", "*")
    assert not re.search(r"(?<!\\)%", command)  # cron would end the line there
    handed = command.replace("\\%", "%")  # what cron hands to the shell
    assert shlex.split(handed) == ["/bin/true", *ARGUMENTS]
    echoed = subprocess.run(["/bin/sh", "-c", handed.replace("/bin/true", "printf '%s\\n'", 1)], capture_output=True,
                            text=True, check=True)  # fmt: skip
    assert echoed.stdout.splitlines() == ARGUMENTS
    with pytest.raises(UsageError, match="disagree on backslashes"):
        FORMS["cron"](plan("a\\b"))


def test_a_line_longer_than_cron_reads_is_refused():
    """In bytes, and as written: with what is quoted and escaped."""
    room = 998 - len("/bin/true ")
    for word, bytes_each in (("a", 1), ("é", 2), ("%", 2)):
        quotes = 0 if word != "é" else 2  # shlex quotes what is not ASCII
        fits = (room - quotes) // bytes_each
        line = FORMS["cron"](plan(word * fits))["gpuprof-nightly.cron"].rstrip("\n")
        assert 996 < len(line.split(" ", 5)[5].encode()) <= 998
        with pytest.raises(UsageError, match=r"cron takes at most 998: put it into a script"):
            FORMS["cron"](plan(word * (fits + 1)))
