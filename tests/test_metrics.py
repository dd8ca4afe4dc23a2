"""THE table of headline numbers."""

from __future__ import annotations

import json
import shutil

import pytest

from gpuprof import metrics
from gpuprof.absent import EARLIER
from support.running import KEPT, ROOT
from support.running import gpuprof as run

ROW = 'Metric("toy_s", "toy", "s", "lower", _plain("toy_s"), _of("throughput", "toy_s")),'
FIELD = "toy_s: NonNegative | None = None"
PLANTS = {
    "metrics.py": ("METRICS = (", ROW), "record/case.py": ("class Case(_Keyed):  # type: ignore[misc]", FIELD),
    "record/repeat.py": ('"""Asynchronous blocks of steps with one synchronisation each, in one process."""', FIELD),
}  # fmt: skip


def test_the_table_of_metrics_reads_a_real_record(stored_run):
    from gpuprof.record.run import RunRecord

    record = RunRecord.model_validate(stored_run[1].json)
    for case in record.cases:
        for metric in metrics.METRICS:
            reading = metric.read(case)
            assert isinstance(reading, metrics.Reading) or reading.reason, metric.key
            assert metric.better in ("higher", "lower")
    assert len({metric.key for metric in metrics.METRICS}) == len(metrics.METRICS)
    assert json.dumps(stored_run[1].json)


@pytest.mark.slow
def test_a_new_metric_is_its_row_and_its_fields_and_earlier_records_lack_it_with_a_reason(tmp_path):
    shutil.copytree(ROOT / "gpuprof", tmp_path / "gpuprof", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (after, line) in PLANTS.items():
        file = tmp_path / "gpuprof" / name
        text = file.read_text()
        assert text.count(after) == 1
        file.write_text(text.replace(after, f"{after}\n    {line}"))
    env = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    record = run("show", KEPT / "record.json", "--json").json  # of the newest schema, whatever it was
    for value, reason in ((None, EARLIER), (2.5, None)):
        if value is not None:
            for case in record["cases"]:
                case["toy_s"] = value
                for repeat in case["repeats"]:
                    repeat["throughput"]["toy_s"] = value
        store = tmp_path / f"store-{value}"
        place = store / record["run_id"]
        place.mkdir(parents=True)
        (place / "record.json").write_text(json.dumps(record))
        (shown,) = run("show", place / "record.json", "--json", cwd=tmp_path, env=env).json["cases"]
        assert (shown["toy_s"], shown["absent"].get("toy_s")) == (value, reason)
        # Through the index, which reads less of a record.
        (case,) = run("report", "--store", store, "--json", cwd=tmp_path, env=env).json["devices"][0]["cases"]
        assert (case["metrics"]["toy_s"]["value"], case["metrics"]["toy_s"]["absent"]) == (value, reason)
