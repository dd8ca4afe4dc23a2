"""THE table of headline numbers."""

from __future__ import annotations

import json

from gpuprof import metrics


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
