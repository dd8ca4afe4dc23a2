"""Foreign text on its way to a reader: whatever a name holds, it steers nothing, in any form that gpuprof writes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gpuprof.export import FORMATS
from gpuprof.report.forms import markdown, page
from gpuprof.report.forms import terminal as in_terminal
from gpuprof.report.story import Bullets, Cell, Notice, Section, Story, Table
from gpuprof.report.views import run as terminal
from gpuprof.text import cleaned, one_line, printable, unbroken
from support.made import made, parsed, render

# What turns the direction of text, ends a line, starts an escape or is no character at all.
STEERING = "\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff\x1b\x00\x9b\x85\r\x7f\u2028\u2029\ud800\udc80"
HOSTILE = f"H100 {STEERING}[31m\nok   run 0"


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from texts([*value.items()])
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def is_harmless(text: str) -> bool:
    text.encode()  # half a character cannot be written anywhere
    return not set(text) & set(STEERING)


@pytest.mark.parametrize("sign", STEERING, ids=ascii)
def test_what_steers_is_seen_as_a_mark(sign):
    assert printable(f"a{sign}b") == unbroken(f"a{sign}b") == one_line(f"a{sign}b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["GeForce RTX™ 4090", "Ärger, 名前, 👍", "no\u00a0break", "a\tb\n  c", ""])
def test_any_other_text_stays(text):
    assert printable(text) == text


def test_lines_and_blanks():
    assert unbroken("a  b\nc\td") == "a  b c d"
    assert one_line(" a  b\n\tc ") == "a b c"


@given(st.text(st.characters(exclude_categories=[])))
def test_printable_text_is_harmless_as_long_as_it_was_and_stays_printable(text):
    shown = printable(text)
    assert is_harmless(shown)
    assert len(shown) == len(text)
    assert printable(shown) == shown


def test_data_is_cleaned_through_and_through():
    data = {HOSTILE: [HOSTILE, (HOSTILE, 1.5, None, True)], "plain": {"a": HOSTILE}}
    assert all(map(is_harmless, texts(cleaned(data))))
    assert cleaned({"a": [1, None, (2.5, "b")]}) == {"a": [1, None, [2.5, "b"]]}


# ---- in each form


def poisoned():
    """A run with the hostile text wherever a name or a reason stands; such a record can be made, if not stored."""
    record, raw = made()
    case = record.cases[0]
    case = case.model_copy(update={
        "case_id": case.case_id + HOSTILE, "workload": HOSTILE, "absent": dict.fromkeys(case.absent, HOSTILE),
        "throttled_share": {HOSTILE: 0.5},
        "repeats": [one.model_copy(update={"reason": HOSTILE}) for one in case.repeats],
    })  # fmt: skip
    return record.model_copy(update={
        "device": record.device.model_copy(update={"name": HOSTILE, "uuid": HOSTILE, "pci": HOSTILE}),
        "environment": record.environment.model_copy(update={"hostname": HOSTILE}), "cases": [case],
    }), raw  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_no_export_carries_it_to_another_tool(name):
    content = render(name, poisoned())
    assert isinstance(content, bytes) or is_harmless(content)
    found = list(texts(parsed(name, content)))
    assert any("H100" in text for text in found)
    assert all(map(is_harmless, found))


_TABLE = Table(HOSTILE, (HOSTILE,), [(Cell(HOSTILE, note=HOSTILE),)])
STORY = Story(
    title=HOSTILE, headline=HOSTILE, tone="bad", banners=[HOSTILE], detail=HOSTILE, facts=[(HOSTILE, HOSTILE)],
    sections=[Section("a", HOSTILE, [Notice(HOSTILE, "bad", banner=True), Bullets([HOSTILE]), _TABLE])], made=HOSTILE,
)  # fmt: skip


@pytest.mark.parametrize("form", [markdown, page])
def test_no_report_is_steered_by_it(form):
    assert is_harmless(form.render(STORY))


def printed(parts) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_text()


def test_no_terminal_is_steered_by_it():
    shown = printed(in_terminal.render(STORY))
    assert is_harmless(shown)
    assert not re.search("^ok   run 0", shown, re.MULTILINE), "a name passes for a line"
    record, _ = made(name="".join(c for c in HOSTILE if not 0xD800 <= ord(c) < 0xE000))
    assert is_harmless(printed(terminal.render(record)))
