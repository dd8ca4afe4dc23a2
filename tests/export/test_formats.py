"""What every format keeps, whatever a device is called: what is absent, simulated or wrong stays so."""

from __future__ import annotations

import json

import pytest

from gpuprof.export import FORMATS
from gpuprof.store.assemble import assemble
from support.journals import journal, repeat
from support.made import RUN_ID, export, made, parsed, publish, render, samples, table

HOSTILE = '=cmd|"/c calc"!A1\n# EOF\r\n<script>alert(1)</script> \\" \\n \x1b[31m {}`|` \u2028 é'
TEXT = [name for name in FORMATS if name != "parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_names_break_nothing_and_empty_runs_are_valid(name):
    assert parsed(name, render(name, made(name=HOSTILE), made(1, name="'\\")))
    none = assemble(journal(repeat(outcome="crashed")), "2026-11-23T09:00:00.000Z")
    parsed(name, render(name, none))
    parsed(name, render(name))


@pytest.mark.parametrize("name", TEXT)
def test_no_control_character_reaches_a_terminal(name):
    text = render(name, made(name=HOSTILE))
    assert not set(text) & {chr(c) for c in range(32)} - {"\n", "\t"}


def test_simulated_is_marked_everywhere():
    real, fake = made(0), made(1, simulated=True)
    assert {row["run_id"][-1]: row["simulated"] for row in table(render("csv", real, fake))} == {
        "0": "false",
        "1": "true",
    }
    assert {r["run_id"][-1]: r["simulated"] for r in parsed("parquet", render("parquet", real, fake))} == {
        "0": False,
        "1": True,
    }
    assert {s.labels["simulated"] for s in samples(render("openmetrics", real, fake))} == {"true", "false"}
    assert [name.endswith("(SIMULATED)") for name in json.loads(render("bencher", real, fake))] == [False, True]
    for entry in json.loads(render("github-benchmark", fake)):
        assert "(SIMULATED)" in entry["name"]
        assert "SIMULATED" in entry["extra"]
    trace = json.loads(render("chrome-trace", real, fake))
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"]
    assert [name.startswith("SIMULATED") for name in names] == [False, True]
    assert trace["otherData"]["simulated"] is True


def test_what_was_not_measured_is_absent_and_never_zero():
    bare = made(telemetry=False)
    row = next(row for row in table(render("csv", bare)) if row["metric"] == "energy_j_per_sample")
    assert (row["value"], row["ci95_low"], row["processes"], row["absent"]) == ("", "", "", "made for a test")
    row = next(row for row in parsed("parquet", render("parquet", bare)) if row["metric"] == "power_mean_w")
    assert (row["value"], row["seq_len"], row["precision_effective"]) == (None, None, None)
    found = samples(render("openmetrics", bare))
    assert not [s for s in found if "joules" in s.name or "watts" in s.name]
    assert not [s for s in found if {"precision", "job_id"} & s.labels.keys()]
    assert "energy-j-per-sample" not in next(iter(json.loads(render("bencher", bare)).values()))
    entries = json.loads(render("github-benchmark", bare, direction="smaller"))
    assert entries
    assert not [e for e in entries if e["unit"] in ("J", "W")]
    assert not [e for e in json.loads(render("chrome-trace", bare))["traceEvents"] if e["ph"] == "C"]


@pytest.mark.parametrize("name", [name for name, found in FORMATS.items() if found.compares])
def test_wrong_results_take_part_in_no_comparison_and_replace_what_was(tmp_path, name):
    right, wrong = made(0), made(1, verdict="wrong", started_at="2026-11-24T09:00:00.000Z")
    assert render(name, right, wrong) == render(name)
    done = export(publish(tmp_path, right, wrong), "--format", name)
    assert done.code == 0
    assert f"wrong results: a of {RUN_ID.format(1)}" in done.err


def test_wrong_results_are_told_in_the_table():
    assert {row["correctness"] for row in table(render("csv", made(verdict="wrong")))} == {"wrong"}


@pytest.mark.parametrize("name", [name for name, found in FORMATS.items() if found.compares])
def test_the_newest_measurement_counts_whatever_the_order(name):
    old, new = made(1, rate=100.0, job="17"), made(0, rate=200.0, started_at="2026-11-24T09:00:00.000Z", job="18")
    lost = assemble(journal(repeat(outcome="crashed")), "2026-11-25T09:00:00.000Z")
    assert render(name, old, new, lost) == render(name, new, lost, old) == render(name, new)
