"""`gpuprof export` from outside: which runs, where to, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpuprof.export import FORMATS
from gpuprof.metrics import METRICS
from support.made import RUN_ID, export, made, parsed, publish, table
from support.running import ROOT, command, imported_by, variables


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
    assert "nothing to export" in nothing.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["last"], "Missing option '--format'"),
        (["--format", "csv"], "Missing argument"),
        (["last", "--format", "xml"], "'xml' is not one of"),
        (["nothing", "--format", "csv", "--store", "nowhere"], "no run 'nothing' in nowhere"),
        (["last", "--format", "csv", "--direction", "bigger"], "--direction is only for --format github-benchmark"),
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


def with_numbers(tmp_path, **fields):
    path = publish(tmp_path, made()) / RUN_ID.format(0) / "record.json"
    data = json.loads(path.read_text())
    data["cases"][0] |= fields
    path.write_text(json.dumps(data))
    return tmp_path


@pytest.mark.parametrize(("name", "code"), [("bencher", 1), ("csv", 0)])
def test_a_number_too_large_for_a_format_is_one_message(tmp_path, name, code):
    done = export(with_numbers(tmp_path, first_step_s=1e305), "--format", name)
    assert done.code == code
    assert ("cannot represent a number" in done.err) == (code == 1)


def test_a_whole_number_that_no_column_holds_is_a_damaged_record(tmp_path):
    done = export(with_numbers(tmp_path, batch_size=10**30), "--format", "parquet")
    assert done.code == 1
    assert "should be less than or equal to 9223372036854775807" in done.err


def test_a_kept_record_of_an_earlier_version_is_exported(tmp_path):
    kept = next(path for path in sorted((ROOT / "tests" / "data").iterdir()) if (path / "record.json").is_file())
    for name in FORMATS:
        done = export(kept, "--format", name, "-o", tmp_path / name)
        assert done.code == 0, done.err
        assert (tmp_path / name).stat().st_size > 300
