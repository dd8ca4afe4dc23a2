"""OpenMetrics: base units, and labels that hold any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gpuprof.export.openmetrics import family
from gpuprof.metrics import METRICS
from support.made import made, render, samples


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
