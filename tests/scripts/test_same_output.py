"""What scripts/same_output.py calls a difference, and how many it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from same_output import LONG_LINE, differences, hunks

TABLE = b"".join(b"row %d\n" % number for number in range(20))
PAGE = b"".join(b"<td>%d</td>" % number for number in range(LONG_LINE))


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (TABLE, TABLE, 0),
        (TABLE, TABLE.replace(b"row 3\n", b"row three\n"), 1),
        (TABLE, TABLE.replace(b"row 3\n", b"row three\n").replace(b"row 17\n", b""), 2),
        (TABLE, TABLE[:-1], 1),
        (TABLE, TABLE.replace(b"row 3\n", b"row 3\r\n"), 1),
        (TABLE, TABLE.replace(b"row 3\n", b"row 3\f\n"), 1),
        (PAGE, PAGE.replace(b">7<", b">8<").replace(b">200<", b">201<"), 2),
        (PAGE, PAGE.replace(b">7<", b">7\n<"), 1),
        (b"", b"\n", 1),
        (b"\xff\x00", b"\xff\x01", 1),
    ],
)
def test_hunks_are_counted(before, after, count):
    assert len(hunks(before, after)) == len(hunks(after, before)) == count


def test_a_hunk_shows_what_differs_and_little_else():
    (hunk,) = hunks(TABLE, TABLE.replace(b"row 3\n", b"row \x1b[1m3\n"))
    assert hunk.splitlines()[1:] == [" row 2", "-row 3", r"+row \x1b[1m3", " row 4"]


def test_an_end_without_a_newline_is_seen():
    (hunk,) = hunks(TABLE, TABLE[:-1])
    assert hunk.splitlines()[1:] == [" row 18", "-row 19", "+row 19\\"]


def test_a_line_that_looks_like_the_head_of_a_hunk_is_none():
    assert len(hunks(b"a\n@@ b\nc\n", b"a\n@@ d\nc\n")) == 1


def test_exit_codes_and_files_count_as_well():
    before = {"exit code": b"0", "stdout": TABLE, "units/a.timer": b"x\n"}
    found = differences(before, {"exit code": b"5", "stdout": TABLE})
    assert [one.split(" @@")[0].strip() for one in found] == ["exit code", "units/a.timer is there in BASE only"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"gpuprof": "0.1.0", "made_at": "2026-11-26T01:18:45.%dZ"}\n', 0),
        ("<p>gpuprof 0.1.0, 2026-11-26T01:18:18.%dZ, from 8 runs</p>\n", 0),
        ('{"started_at": "2026-11-23T15:43:54.%dZ"}\n', 1),
        ("run of 2026-11-23T15:43:54.%dZ\n", 1),
        ("gpuprof 0.1.%d, 2026-11-26T01:18:18.000Z, from 8 runs\n", 1),
    ],
)
def test_the_time_of_a_report_is_masked_and_no_other(text, count):
    before, after = ({"stdout": (text % number).encode()} for number in (123, 456))
    assert len(differences(before, after)) == count
