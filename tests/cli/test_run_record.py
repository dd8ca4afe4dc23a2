"""What the record of a real `gpuprof run` holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpuprof.record.case import CASE_TELEMETRY
from gpuprof.store import runs as store


def test_headline_numbers_follow_from_the_raw_times(stored_run):
    directory, done = stored_run
    (run,) = store.run_directories(directory)
    with np.load(run / "raw.npz", allow_pickle=False) as raw:
        for case in done.json["cases"]:
            rates = []
            for repeat in case["repeats"]:
                prefix = f"{case['case_id']}/{repeat['index']}"
                blocks = raw[f"{prefix}/block_step_s"]
                assert len(blocks) == repeat["throughput"]["blocks"]
                rates.append(case["batch_size"] / np.median(blocks))
                steps = repeat["throughput"]["steps_per_block"]
                total = case["batch_size"] * steps * len(blocks) / (blocks.sum() * steps)
                assert repeat["throughput"]["samples_per_s_total"] == pytest.approx(total)
                requests = np.sort(raw[f"{prefix}/request_s"])
                assert repeat["latency"]["p50"] == requests[-(-len(requests) // 2) - 1]
            assert case["throughput_per_s"]["value"] == pytest.approx(np.exp(np.mean(np.log(rates))))


def test_a_real_run_says_what_it_did(stored_run):
    _, done = stored_run
    record = done.json
    assert (record["outcome"], record["simulated"], record["device"]["kind"]) == ("ok", False, "cpu")
    for case in record["cases"]:
        assert case["precision"]["requested"] == case["precision"]["effective"] == "ieee"
        assert case["correctness"]["verdict"] == "pass"
        assert case["trainable_parameters"] == 4_865
        training = case["mode"] == "train"
        assert case["flops_per_sample"] == 9_472 * 20 + 128 + training * (17_664 * 20 - 7_936)
        assert case["regime"] == "cpu"
        assert case["absent"]["device_span_s"] == "a CPU has no device events"
        for repeat in case["repeats"]:
            names = [phase["name"] for phase in repeat["phases"]]
            assert names == ["cold", "warmup", "throughput", "latency"]
            ends = [phase["end_ns"] for phase in repeat["phases"]]
            assert ends == sorted(ends)
            assert 0 < repeat["cpu"]["utilisation"] <= 1.1
    orders = [(r["order"], c["mode"]) for c in record["cases"] for r in c["repeats"]]
    assert [mode for _, mode in sorted(orders)] == ["train", "infer", "infer", "train"]


def test_a_real_run_without_any_vendor_library_explains_every_empty_field(stored_run):
    directory, done = stored_run
    for word in ("libamd_smi", "amd-smi", "NVML", "Unable to find", "drm"):
        assert word not in done.err
    record = store.read(store.run_directories(directory)[0])
    assert record.simulated is False
    assert record.telemetry.device == "cpu"
    rapl = any(Path("/sys/class/powercap").glob("*-rapl:*/energy_uj"))
    for case in record.cases:
        for name in CASE_TELEMETRY:
            assert (getattr(case, name) is None) == (name in case.absent)
        assert rapl or case.energy_j_per_sample is None
        for repeat in case.repeats:
            found = repeat.telemetry
            assert found.window["cpu_utilization_pct"].samples > 0
            assert rapl or "RAPL" in found.energy_absent["throughput"]
            assert set(found.energy) | set(found.energy_absent) == {"cold", "warmup", "throughput"}
