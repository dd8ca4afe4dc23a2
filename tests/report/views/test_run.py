"""A run in a terminal: a card for one case, a row each for many; nothing cut, nothing steered."""

from __future__ import annotations

import re

from inline_snapshot import snapshot
from rich.console import Console

from gpuprof.report.views import run as terminal
from gpuprof.store.assemble import assemble
from support.consoles import WIDTH, printed
from support.journals import NOW, journal, repeat


def test_a_run_in_a_terminal():
    record, _ = assemble(journal(repeat(0), repeat(1, samples_per_s=110.0, warnings=["gap of +2.8%"])), NOW)
    assert printed(terminal.render(record, WIDTH)) == snapshot("""\
test, 1 thread   no torch   full protocol
cnn · train · ieee · batch 8 · eager

  throughput          100 samples/s   [57 – 190 samples/s] 95%
  … by total time     100 samples/s   [57 – 190 samples/s] 95%
  latency p50         100.0 ms   [100.0 ms – 100.0 ms] 95%
  latency p90         200.0 ms
  latency p99         300.0 ms   95% upper bound 400.0 ms (worst process)
  first step          500.0 ms
  peak memory         1001 B   test
  energy per sample   unavailable: made for a test
  precision           requested ieee, effective unknown
  correctness         unknown: the run ended before this case was checked
  regime              cpu, steady
  repeats             2 of 5 ok

warning: repeat 2: gap of +2.8%
ok, but imprecise: an interval of throughput spans a factor of 3.4; a quieter machine or more
repeats help   run 20261123T090000Z-test-00000000\
""")


def rendered(record, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in terminal.render(record, width):
        console.print(part)
    return console.export_text()


def test_items_stand_beside_the_samples_that_hold_them():
    lines = journal(repeat(0), repeat(1))
    lines[1] |= {"item": "token", "items_per_sample": 20}
    record = assemble(lines, NOW)[0]
    assert re.search(r"throughput +100\.0 samples/s .* 95%   = 2,000 tokens/s", rendered(record, width=200))
    before = assemble(journal(repeat(0), repeat(1)), NOW)[0].cases[0]  # a journal without items
    assert (before.item, before.items_per_sample) == ("sample", 1)


def test_what_products_work_in_stands_beside_the_peak():
    lines = journal(repeat(0), repeat(1))
    for line in lines:
        if line["type"] == "repeat":
            line["repeat"]["memory"]["workspace_bytes"] = 2**20
    record = assemble(lines, NOW)[0]
    told = rendered(record, width=200)
    assert re.search(r"peak memory +1001 B   test; 1\.00\d MiB of it for products to work in", told)


def test_a_card_for_one_case_and_a_row_each_for_many():
    record = assemble(journal(repeat(0), repeat(1)), NOW)[0]
    text = rendered(record)
    assert re.search(r"throughput +100\.0 samples/s   \[100\.0 – 100\.0 samples/s\] 95%", text)
    lines = journal(repeat(0), repeat(1, outcome="timeout"))
    for name in ("b", "c"):
        lines.insert(-1, {**lines[1], "case_id": name})
    table = rendered(assemble(lines, NOW)[0], width=200)
    assert table.count("cnn · train · ieee · batch 8 · eager · 1 thread") == 1
    assert "1/5" in table
    assert "warning: a: repeat 2: timeout: because of timeout" in table
    assert "not run: b" in table


def test_no_number_is_cut_in_a_narrow_terminal():
    lines = journal(repeat(0, samples_per_s=123456), repeat(1, samples_per_s=654321))
    for number in range(1, 4):
        request = lines[1]["request"] | {"batch_size": 2**number}
        lines.insert(-1, {**lines[1], "case_id": f"b{number}", "request": request})
        for index in range(2):
            one = repeat(index, samples_per_s=123456 * (1 + 4 * index))
            lines.insert(-1, {"type": "repeat", "case_id": f"b{number}", "repeat": one, "raw": {}})
    text = rendered(assemble(lines, NOW)[0], width=80)
    assert "…" not in text
    assert text.count("100.0 ms") == 4


def test_what_did_not_run_is_not_said_to_have_run():
    text = rendered(assemble(journal(repeat(0, outcome="unsupported")), NOW)[0])
    assert re.search(r"result +unsupported: because of unsupported", text)
    assert "effective" not in text
    assert "throughput" not in text


def test_the_worst_of_repeated_warnings_is_seen():
    lines = journal(*(repeat(i, warnings=[f"gap of {gap}"]) for i, gap in enumerate(("+2.8%", "+21.9%"))))
    assert "repeat 1: gap of +2.8%   (also repeat 2: +21.9%)" in rendered(assemble(lines, NOW)[0])


def test_markup_in_a_hostile_name_is_text():
    lines = journal(repeat(0))
    lines[0]["device"]["name"] = "[red]GPU[/red] \x1b[31m<script>"
    text = rendered(assemble(lines, NOW)[0])
    assert "[red]GPU[/red]" in text
    assert "\x1b[31m" not in text


def test_a_simulated_run_says_so():
    lines = journal(repeat(0))
    lines[0]["simulated"] = True
    assert "SIMULATED" in rendered(assemble(lines, NOW)[0])


def test_energy_stands_in_the_card_with_its_error_its_scope_and_what_throttled():
    data = assemble(journal(repeat(0), repeat(1), kind="gpu"), NOW)[0].model_dump(mode="json", by_alias=True)
    summary = {"mean": 400.0, "median": 400.0, "min": 90.0, "max": 650.0, "start": 55.0, "end": 61.0, "samples": 50}
    estimate = {"ci95": [0.4, 0.6], "processes": 2}
    case = data["cases"][0]
    case |= {
        "energy_j_per_sample": estimate | {"value": 0.5}, "energy_method": "counter",
        "energy_error_j_per_sample": 0.001,
        "energy_above_idle_j_per_sample": estimate | {"value": 0.4}, "idle_power_w": 80.0, "power_w": summary,
        "temperature_c": summary | {"max": 61.0}, "throttled_share": {"power_cap": 0.12, "none": 0.88},
    }  # fmt: skip
    case["absent"] = {name: why for name, why in case["absent"].items() if case[name] is None}
    data["telemetry"] = {
        "vendor": "nvidia", "library": "NVML", "version": "driver 1", "simulated": True, "device": "nvidia:0",
        "attributed_by": "UUID", "scope": "board", "shared_by": 1, "power_signal": "power_instant_w",
        "temperature_signal": "temperature_core_c", "gain_error": 0.05, "gain_source": "a study", "hz": 10.0,
        "identity": {}, "tick_s": 0.1, "call_s": 0.001, "cpu_share": 0.002,
    }  # fmt: skip
    del data["absent"]["telemetry"]
    text = rendered(type(assemble(journal(repeat(0)), NOW)[0]).model_validate(data), width=160)
    assert "± 1.000 mJ, 4.000 J per step; energy counter, sensor gain ± 5%; covers board" in text  # a batch of 8
    assert "idle power 80.00 W" in text
    assert "peak 650.0 W" in text
    assert "core, 55 °C at start, 61 °C at end" in text
    assert re.search(r"throttled +power cap 12% *\n", text)
    data["telemetry"]["energy_scope"] = "module, CPU included"
    absent = dict.fromkeys(("achieved_hz", "tick_s", "idle_power_w", "idle_power_error_w", "throttled_share"))
    case["repeats"][0]["absent"].pop("telemetry")
    case["repeats"][0]["telemetry"] = {
        "samples": 100, "missed": 0, "energy": {}, "window": {}, "before": {}, "after": {}, **absent,
        "throttle_unsampled": {"thermal": 0.4, "sync_boost": 0.004}, "absent": dict.fromkeys(absent, "made for a test"),
    }  # fmt: skip
    text = rendered(type(assemble(journal(repeat(0)), NOW)[0]).model_validate(data), width=160)
    assert "sensor gain ± 5%; covers module, CPU included" in text
    assert re.search(r"throttled +power cap 12%   thermal counted in 40% of the time and in no sample *\n", text)


def test_two_cases_that_differ_in_a_setting_are_told_apart():
    lines = journal(repeat(0), repeat(1))
    lines.insert(-1, {**lines[1], "case_id": "b", "request": lines[1]["request"] | {"threads": 2}})
    text = rendered(assemble(lines, NOW)[0], width=120)
    headings = [line.strip() for line in text.splitlines() if line.startswith("cnn")]
    assert len(headings) == len(set(headings)) == 2
    assert (headings[0][-8:], headings[1][-9:]) == ("1 thread", "2 threads")


def test_warnings_are_a_line_a_kind_and_lead_to_the_rest():
    warned = [repeat(i, warnings=[f"gap of +{i}.5%: " + "long " * 40, "hot"]) for i in range(3)]
    record = assemble(journal(*warned), NOW)[0]
    lines = [line for part in terminal.render(record, 80, verbose=False) for line in printed([part], 80).splitlines()]
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert [line.rpartition("(")[2] for line in warnings] == ["3 times)", "3 times)"]
    assert all(len(line) <= 80 for line in warnings)
    assert f"in full: gpuprof show -v {record.run_id}" in lines
    assert len(lines) <= 24


def test_digits_are_those_that_the_interval_supports():
    record = assemble(journal(repeat(0), repeat(1, samples_per_s=110.0)), NOW)[0]
    text = rendered(record)
    assert "100 samples/s   [57 – 190 samples/s]" in text
    assert "ok, but imprecise: an interval of throughput spans a factor of 3.4" in " ".join(text.split())
