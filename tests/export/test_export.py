"""Exports: other tools read what comes out, whatever a device is called; what is absent or simulated stays so."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gpuprof.errors import GpuprofError
from gpuprof.export import FORMATS
from gpuprof.export.csv import guard
from gpuprof.export.openmetrics import family
from gpuprof.export.table import COLUMNS
from gpuprof.metrics import METRICS
from gpuprof.store.assemble import assemble
from gpuprof.store.raw import read_raw
from gpuprof.system import files
from support.journals import journal, repeat
from support.made import RUN_ID, made, parsed, publish, render, samples, table
from support.running import ROOT, command, gpuprof, imported_by, variables

HOSTILE = '=cmd|"/c calc"!A1\n# EOF\r\n<script>alert(1)</script> \\" \\n \x1b[31m {}`|` \u2028 é'
TEXT = [name for name in FORMATS if name != "parquet"]


def export(*arguments, **options):
    return gpuprof("export", *arguments, **options)


# --- the command


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_goes_to_a_file_and_to_stdout(tmp_path, name):
    runs = publish(tmp_path / "runs", made())
    done = export("last", "--format", name, "-o", tmp_path / "out", "--store", runs)
    assert (done.code, done.out, done.err) == (0, "", "")
    content = (tmp_path / "out").read_bytes()
    assert parsed(name, content if name == "parquet" else content.decode())
    again = subprocess.run(
        command("export", runs, "--format", name), cwd=ROOT, env=variables(), capture_output=True, check=True
    )
    assert again.stdout == content
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_help_needs_nothing_and_names_every_format():
    assert not imported_by("export", "--help") & {"torch", "numpy", "scipy", "pyarrow", "rich", "pydantic"}
    text = export("--help").out
    assert all(name in text and found.about in text for name, found in FORMATS.items())


def test_runs_are_named_as_in_show_and_each_is_exported_once(tmp_path):
    runs = publish(tmp_path, made(0), made(1), made(2))
    found = table(
        export(
            RUN_ID.format(1), "00000000", "last", runs, runs / RUN_ID.format(1), "--format", "csv", "--store", runs
        ).out
    )
    assert [row["run_id"] for row in found[:: len(METRICS)]] == [RUN_ID.format(i) for i in range(3)]
    assert len(found) == 3 * len(METRICS)


def test_a_damaged_record_is_named_and_skipped(tmp_path):
    runs = publish(tmp_path, made(0), made(1))
    (runs / RUN_ID.format(0) / "record.json").write_text("{")
    done = export(runs, "--format", "csv")
    assert done.code == 0
    assert {row["run_id"] for row in table(done.out)} == {RUN_ID.format(1)}
    assert "skipped" in done.err
    assert RUN_ID.format(0) in done.err
    nothing = export(runs / RUN_ID.format(0), "--format", "csv", "-o", tmp_path / "out")
    assert nothing.code == 1
    assert "nothing could be exported" in nothing.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["last"], "Missing option '--format'"),
        (["--format", "csv"], "Missing argument"),
        (["last", "--format", "xml"], "'xml' is not one of"),
        (["nothing", "--format", "csv", "--store", "nowhere"], "no run 'nothing' in nowhere"),
        (["last", "--format", "csv", "--direction", "bigger"], "--direction belongs to --format github-benchmark"),
        (["last", "--format", "openmetrics", "-o", "docs"], "-o docs/gpuprof.prom"),
    ],
)
def test_mistakes_are_usage_errors(arguments, message):
    done = export(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_binary_does_not_go_to_a_terminal(tmp_path):
    runs = publish(tmp_path, made())
    terminal, child = os.openpty()
    done = subprocess.run(
        command("export", runs, "--format", "parquet"), cwd=ROOT, env=variables(), stdout=child, stderr=subprocess.PIPE,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(child), os.close(terminal)
    assert done.returncode == 2
    assert "-o FILE" in done.stderr


def test_without_pyarrow_parquet_says_how_to_get_it(tmp_path):
    runs = publish(tmp_path / "runs", made())
    (tmp_path / "pyarrow.py").write_text("raise ImportError('none here')")
    where = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = export(runs, "--format", "parquet", "-o", tmp_path / "out", env=where)
    assert done.code == 1
    assert "pip install 'pyarrow>=15'" in done.err
    assert not (tmp_path / "out").exists()
    assert export(runs, "--format", "csv", env=where).code == 0


def test_raw_series_that_are_missing_or_hostile_cost_the_counters_only(tmp_path):
    runs = publish(tmp_path, made(0), made(1))

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    np.savez(runs / RUN_ID.format(0) / "raw.npz", **{"a/0/telemetry/t_s": np.array([Trap()], dtype=object)})
    (runs / RUN_ID.format(1) / "raw.npz").unlink()
    done = export(runs, "--format", "chrome-trace")
    assert done.code == 0
    assert done.err.count("without raw series") == 2
    assert not (tmp_path / "ran").exists()
    assert {event["ph"] for event in done.json["traceEvents"]} == {"X", "M"}


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", b"\x93NUMPY", b"\x00" * 64])
def test_damaged_raw_series_are_a_store_error(tmp_path, damage):
    path = publish(tmp_path, made()) / RUN_ID.format(0)
    whole = (path / "raw.npz").read_bytes()
    for content in (
        damage,
        whole[: len(whole) // 2],
        whole.replace(b"NUMPY", b"numpy"),
        whole[:200] + damage + whole[200:],
    ):
        (path / "raw.npz").write_bytes(content)
        try:
            read_raw(path)
        except GpuprofError as error:
            assert "raw.npz" in str(error)


@pytest.mark.parametrize(("name", "value"), [("bencher", 1e305), ("parquet", 10**30), ("csv", 10**30)])
def test_a_number_too_large_for_a_format_is_one_message(tmp_path, name, value):
    path = publish(tmp_path, made()) / RUN_ID.format(0) / "record.json"
    data = json.loads(path.read_text())
    data["cases"][0] |= {"first_step_s": value, "batch_size": int(value)}
    path.write_text(json.dumps(data))
    done = export(tmp_path, "--format", name)
    assert done.code == (0 if name == "csv" else 1)
    assert ("cannot hold a number" in done.err) == (name != "csv")


# --- writing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "out.prom"
    files.to_file(file, b"old")
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()  # for a collector that runs as somebody else

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GpuprofError, match="No space left"):
        files.to_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(GpuprofError, match="cannot be written"):
        files.to_file(tmp_path / "nowhere" / "out", b"new")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stays_and_a_device_is_written_to(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.to_file(tmp_path / "link", b"new", through_link=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    files.to_file(tmp_path / "link", b"newer")  # nobody named it
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    files.to_file(Path("/dev/null"), b"new", through_link=True)
    assert Path("/dev/null").is_char_device()


# --- what every format has to keep


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
    assert f"its results are wrong: a of {RUN_ID.format(1)}" in done.err


def test_wrong_results_are_told_in_the_table():
    assert {row["correctness"] for row in table(render("csv", made(verdict="wrong")))} == {"wrong"}


@pytest.mark.parametrize("name", [name for name, found in FORMATS.items() if found.compares])
def test_the_newest_measurement_counts_whatever_the_order(name):
    old, new = made(1, rate=100.0, job="17"), made(0, rate=200.0, started_at="2026-11-24T09:00:00.000Z", job="18")
    lost = assemble(journal(repeat(outcome="crashed")), "2026-11-25T09:00:00.000Z")
    assert render(name, old, new, lost) == render(name, new, lost, old) == render(name, new)


# --- each format


def test_csv_is_one_row_a_case_and_metric():
    found = table(render("csv", made()))
    assert list(found[0]) == [column.name for column in COLUMNS]
    by_metric = {row["metric"]: row for row in found}
    assert list(by_metric) == [metric.key for metric in METRICS]
    row = by_metric["throughput_per_s"]
    assert float(row["value"]) == pytest.approx(100)
    assert (row["unit"], row["processes"], row["device"], row["batch_size"]) == ("samples/s", "2", "NVIDIA H100", "8")
    assert by_metric["latency_p50_s"]["processes"] == "2"
    assert by_metric["temperature_max_c"]["value"] == "61.0"


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n '"), max_size=8))
def test_no_cell_begins_a_formula_and_the_text_comes_back(text):
    cell = guard(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert not cell.startswith(("\t", "\r"))
    assert (cell[1:] if cell.startswith("'") else cell) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", " =", "\n=", "'="])
def test_a_formula_in_a_name_is_text(start):
    text = table(render("csv", made(name=f'{start}HYPERLINK("x")')))[0]["device"]
    assert text == f'\'{start}HYPERLINK("x")'
    negative = table(render("csv", made()))[0]["value"]
    assert not negative.startswith("'")


def test_parquet_has_types_and_units():
    found = pq.read_table(io.BytesIO(render("parquet", made())))
    types = {field.name: str(field.type) for field in found.schema}
    assert (types["value"], types["batch_size"], types["simulated"]) == ("double", "int64", "bool")
    assert types["started_at"] == "timestamp[ms, tz=UTC]"
    assert json.loads(found.schema.metadata[b"gpuprof.units"])["latency_p50_s"] == "s"
    assert found.schema.field("batch_size").metadata[b"unit"] == b"samples"
    text = [{k: v for k, v in row.items() if k != "started_at"} for row in table(render("csv", made()))]
    for row, line in zip(found.to_pylist(), text, strict=True):
        assert row["started_at"].isoformat() == "2026-11-23T09:00:00+00:00"
        assert {k: line[k] or None for k in ("metric", "device", "absent")} == {
            k: row[k] for k in ("metric", "device", "absent")
        }
        assert line["value"] == "" if row["value"] is None else float(line["value"]) == row["value"]


def test_openmetrics_speaks_base_units():
    text = render("openmetrics", made(job="4711"))
    families = {found.name: found for found in text_string_to_metric_families(text)}
    value = {s.name: s.value for s in samples(text)}
    assert value["gpuprof_throughput_samples_per_second"] == pytest.approx(100)
    assert value["gpuprof_latency_p50_seconds"] == pytest.approx(0.1)
    assert value["gpuprof_energy_per_sample_joules"] == 0.5
    assert value["gpuprof_energy_per_sample_ci95_high_joules"] == 0.6
    assert value["gpuprof_temperature_max_celsius"] == 61
    assert value["gpuprof_gpu_utilization_ratio"] == 0.97
    assert value["gpuprof_core_clock_hertz"] == 1.755e9
    assert value["gpuprof_run_started_timestamp_seconds"] == 1795424400
    shares = {s.labels["reason"]: s.value for s in families["gpuprof_throttled_ratio"].samples}
    assert shares == {"power_cap": 0.12, "none": 0.88}
    assert families["gpuprof_power_mean_watts"].unit == "watts"
    assert all(found.type == "gauge" and found.documentation for found in families.values())
    assert text.endswith("\n# EOF\n")
    assert families["gpuprof_power_mean_watts"].samples[0].labels == snapshot({
        "gpu": "1", "uuid": "GPU-1", "pci_bus_id": "0000:01:00.0", "model": "NVIDIA H100", "vendor": "nvidia",
        "hostname": "h", "workload": "cnn", "mode": "train", "variant": "eager", "batch_size": "8", "case": "a",
        "simulated": "false", "job_id": "4711",
    })  # fmt: skip


def test_every_headline_number_has_a_base_unit():
    assert all(family(metric.key)[1] for metric in METRICS)


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")) | st.sampled_from('\n\t"\\{},=#'),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_any_text_that_steers_nothing_survives_as_a_label(name):
    found = samples(render("openmetrics", made(name=name, telemetry=False)))
    assert {sample.labels["model"] for sample in found} == {name}


BMF = {
    "type": "object",
    "patternProperties": {".+": {"type": "object", "patternProperties": {"^[a-z0-9-]{1,64}$": {
        "type": "object", "required": ["value"], "additionalProperties": False,
        "properties": {key: {"type": "number"} for key in ("value", "lower_value", "upper_value")},
    }}, "additionalProperties": False}},
}  # fmt: skip


def test_bencher_has_its_own_measures_in_its_own_units():
    found = json.loads(render("bencher", made()))
    jsonschema.validate(found, BMF)
    measures = found["a on NVIDIA H100"]
    assert measures["latency"]["value"] == pytest.approx(0.1e9)
    assert measures["throughput"]["value"] == pytest.approx(100)
    assert measures["latency-p99-ns"] == {"value": pytest.approx(0.3e9)}
    assert measures["energy-j-per-sample"] == {"value": 0.5, "lower_value": 0.4, "upper_value": 0.6}
    assert measures["peak-memory-bytes"] == {"value": 1001}


def test_github_benchmark_is_one_direction_a_file(tmp_path):
    runs = publish(tmp_path, made())
    bigger, smaller = (
        export(runs, "--format", "github-benchmark", "--direction", d).json for d in ("bigger", "smaller")
    )
    assert export(runs, "--format", "github-benchmark").json == bigger
    assert {e["name"].rpartition(": ")[2] for e in bigger} == {m.key for m in METRICS if m.better == "higher"}
    assert not {e["name"] for e in bigger} & {e["name"] for e in smaller}
    for entry in bigger + smaller:
        assert {"name", "unit", "value", "extra"} <= entry.keys() <= {"name", "unit", "value", "extra", "range"}
        assert "\n" not in entry["name"]
    energy = next(e for e in smaller if e["unit"] == "J")
    assert (energy["value"], energy["range"]) == (0.5, "95% 0.4 to 0.6")


_EVENT = {"type": "object", "required": ["ph", "name", "pid", "tid", "args"], "properties": {
    "name": {"type": "string", "minLength": 1}, "pid": {"type": "integer"}, "tid": {"type": "integer"}}}  # fmt: skip
_AT = {"type": "number", "minimum": 0}
TRACE = {
    "type": "object", "required": ["traceEvents"],
    "properties": {"displayTimeUnit": {"enum": ["ms", "ns"]}, "traceEvents": {"type": "array", "items": {"oneOf": [
        _EVENT | {"properties": _EVENT["properties"] | {
            "ph": {"const": "M"}, "name": {"enum": ["process_name", "thread_name"]},
            "args": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}},
        _EVENT | {"required": [*_EVENT["required"], "ts", "dur", "cat"],
                  "properties": _EVENT["properties"] | {"ph": {"const": "X"}, "ts": _AT, "dur": _AT}},
        _EVENT | {"required": [*_EVENT["required"], "ts"], "properties": _EVENT["properties"] | {
            "ph": {"const": "C"}, "ts": _AT,
            "args": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}}}},
    ]}}},
}  # fmt: skip


def test_a_trace_has_slices_counters_and_names_on_one_clock():
    later = made(1, started_at="2026-11-23T10:00:00.000Z")
    other = made(2, name="AMD MI300X", started_at="2026-11-23T10:00:00.000Z")
    trace = json.loads(render("chrome-trace", made(), later, other))
    jsonschema.validate(trace, TRACE)
    events = trace["traceEvents"]
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == [
        "gpu:1 NVIDIA H100 on h",
        "gpu:1 AMD MI300X on h",
    ]
    first = [e for e in events if e["tid"] == 1]
    slices = [(e["name"], e["ts"], e["dur"]) for e in first if e["ph"] == "X"]
    assert slices[:3] == [("repeat 1", 0, 4_003_000), ("cold", 0, 1_000_000), ("warmup", 1_001_000, 1_000_000)]
    assert slices[5][:2] == ("repeat 2", 10_000_000)
    counters = [(e["name"], e["ts"], e["args"]) for e in first if e["ph"] == "C"]
    assert [c for c in counters if c[0] == "power instant (W)"][:2] == [
        ("power instant (W)", 500_000, {"W": 90.0}), ("power instant (W)", 1_500_000, {"W": 400.0}),
    ]  # fmt: skip
    assert ("core clock (MHz)", 1_500_000, {"MHz": 1755.0}) in counters
    assert {c[0] for c in counters} == {
        "power instant (W)",
        "temperature core (°C)",
        "core clock (MHz)",
        "gpu utilization (%)",
    }
    assert len([c for c in counters if c[0] == "power instant (W)"]) == 4  # two that were not there
    assert min(e["ts"] for e in events if e.get("tid") == 2 and "ts" in e) == 3_600_000_000
    throughput = next(e for e in first if e["name"] == "throughput")
    assert throughput["args"]["samples_per_s"] == 100


def test_a_kept_record_of_an_earlier_version_is_exported(tmp_path):
    kept = next(path for path in sorted((ROOT / "tests" / "data").iterdir()) if (path / "record.json").is_file())
    for name in FORMATS:
        done = export(kept, "--format", name, "-o", tmp_path / name)
        assert done.code == 0, done.err
        assert (tmp_path / name).stat().st_size > 300
