"""Records that mean harm, through every form: nothing is injected, nothing crashes."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gpuprof.store import runs as store
from support.compared import GPU, LSTM_1, changed, outputs
from support.running import gpuprof

pytestmark = pytest.mark.slow
MARK = "zqx"
HOSTILE = (
    f"{MARK}<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x1b]0;title\x07\r\x08\x00\u202e\u2066\u2069"
    "\u200e\u200f **bold** [link](http://evil.example) | pipe | `code` www.evil.example\n# head\n- item \"'onload=x& "
    "{{1234*4321}} ${x} </style>"
)


def poison(data: dict[str, Any]) -> None:
    """The hostile text in every place that takes any text."""
    data["device"]["name"] = HOSTILE
    for name in ("hostname", "os", "kernel", "cpu", "container", "python", "gpuprof", "torch"):
        data["environment"][name] = HOSTILE + name
        data["environment"]["absent"].pop(name, None)
    data["environment"]["libraries"] = {HOSTILE: HOSTILE, "cudnn": HOSTILE}
    data["environment"]["variables"] = {HOSTILE: HOSTILE}
    data["warnings"] = [HOSTILE]
    if data["telemetry"] is not None:
        data["telemetry"] |= {"scope": HOSTILE, "gain_source": HOSTILE, "library": HOSTILE}
        data["telemetry"]["identity"] = {
            name: {"value": HOSTILE, "status": "ok", "reason": None}
            for name in ("driver_version", "vbios_version", "partition")
        }
    for case in data["cases"]:
        case["workload"] += HOSTILE
        case["params"] = {HOSTILE: HOSTILE}
        case["warnings"] = [HOSTILE]
        case["precision"]["flags"] = {HOSTILE: HOSTILE}
        case["absent"] = dict.fromkeys(case["absent"], HOSTILE)
        case["throttled_share"] = case["throttled_share"] and case["throttled_share"] | {HOSTILE: 0.5}
        for one in case["repeats"]:
            if one["telemetry"] is not None:
                one["telemetry"]["checks"] = [HOSTILE]
                one["telemetry"]["before"] |= {
                    name: {"value": HOSTILE, "status": "ok", "reason": None}
                    for name in ("power_limit_w", "power_limit_default_w", "ecc_enabled", "core_clock_max_hz")
                }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """Two simulated runs, one of them poisoned through and through."""
    directory = tmp_path_factory.mktemp("hostile")
    good, bad = store.run_directories(GPU)[0], store.run_directories(GPU)[2]
    shutil.copytree(good, directory / good.name)
    changed(bad, directory / bad.name, poison)
    other = f"{good.name[:-8]}0badf00d"
    changed(good, directory / other, lambda data: (poison(data), measured_anew(data), data.update(run_id=other)))
    return directory


def measured_anew(data: dict[str, Any]) -> None:
    """Values that are no other run's: equal ones would count as a copy."""
    for case in data["cases"]:
        for one in case["repeats"]:
            one["throughput"]["samples_per_s"] *= 1 + 1e-8


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.scripts = 0
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.scripts += tag == "script"
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]


COMMANDS = {
    "compare": lambda runs: ("compare", *store.run_directories(runs)[::2]),
    "report": lambda runs: ("report", "--store", runs),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", ["text", "md", "json", "html"])
def test_a_hostile_record_injects_nothing(hostile, written, reported, name, form):
    said = outputs(form, *COMMANDS[name](hostile))
    assert MARK in said
    if form == "json":
        assert said.isascii()
        json.loads(said, parse_constant=pytest.fail)
        assert "\x1b" not in said
        return
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", said)
    assert form == "html" or not re.search(r"^(# head|- item)", said, re.MULTILINE)
    if form == "md":
        plain = re.sub(r"\\.", "", said)
        for mark in ("<script", "<img", "**bold", "[link]", "http://", "www.", "`code", "| pipe |", "${", "</style"):
            assert mark not in plain, mark
        assert set(re.findall(r"<[^>]*>", plain)) <= {"<sub>", "</sub>"}
    if form == "html":
        found, clean = Tags(said), Tags(written["gpu", "html"].decode())
        assert found.found <= clean.found | Tags(reported["html"]).found
        assert found.scripts <= clean.scripts
        assert all(link.startswith("#") for link in found.links)
        assert "5332114" not in said, "a template was evaluated"


def test_a_hostile_record_steers_no_message(hostile, tmp_path):
    """Names of devices and files in errors, too."""
    done = gpuprof("compare", hostile, hostile)
    assert done.code == 2
    assert "device models" in done.err
    refused = gpuprof("compare", LSTM_1, store.run_directories(hostile)[1], "--strict")
    assert refused.code == 4
    strange = tmp_path / "a\x1b[31mb"
    strange.mkdir()
    nothing = gpuprof("compare", strange, strange)
    assert nothing.code == 2
    for said in (done.err, refused.err, nothing.err):
        assert "\x1b" not in said
        assert not re.search(r"^\s*(# head|- item)", said, re.MULTILINE)


def absurd(value: float):
    def change(data: dict[str, Any]) -> None:
        for case in data["cases"]:
            case["throughput_per_s"] |= {"value": value, "ci95": [value, value]}
            case["first_step_s"] = abs(value)
            case["peak_memory_bytes"] = 2**63 - 1 if abs(value) > 1 else 0
            case["power_w"] = case["power_w"] and {**case["power_w"], **dict.fromkeys(("mean", "max"), value)}
            for one in case["repeats"]:
                one["throughput"]["samples_per_s"] = abs(value)
                one["latency"]["p50"] = abs(value)

    return change


@pytest.mark.parametrize("value", [0.0, -1.0, 1e308, 5e-324], ids=str)
def test_absurd_numbers_are_no_verdict_and_no_crash(tmp_path, value):
    good, bad = store.run_directories(GPU)[0], store.run_directories(GPU)[2]
    run = changed(bad, tmp_path / bad.name, absurd(value))
    told = json.loads(outputs("json", "compare", good, run), parse_constant=pytest.fail)
    assert told["claims"]
    outputs("text", "report", run)
