"""openmetrics: gauges in base units for node_exporter's textfile collector or any OpenMetrics reader.

Each label set has its newest measurement. Metrics and labels without a value are left out. Samples carry no timestamps,
which the textfile collector refuses: `gpuprof_run_started_timestamp_seconds` tells how old they are.
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gpuprof.absent import Absent
from gpuprof.export.runs import Runs, newest
from gpuprof.metrics import BY_KEY, METRICS
from gpuprof.record.case import Case
from gpuprof.record.run import RunRecord
from gpuprof.system.clock import moment
from gpuprof.text import printable

# Suffix of a key -> what stays of the suffix, and the base unit at the end of the name. The first match counts.
_UNITS = (
    ("_j_per_sample", "_per_sample", "joules"), ("_per_s", "", "samples_per_second"), ("_s", "", "seconds"),
    ("_bytes", "", "bytes"), ("_w", "", "watts"), ("_c", "", "celsius"), ("_hz", "", "hertz"), ("_pct", "", "ratio"),
    ("_ratio", "", "ratio"),
)  # fmt: skip


class Sample(NamedTuple):
    """One gauge of one case."""

    key: str  # as in METRICS, with the unit as its suffix
    about: str  # the HELP line
    value: float | None  # in the key's unit; None is left out
    part: str = ""  # ci95_low or ci95_high, where it is a bound of an interval
    more: tuple[tuple[str, str], ...] = ()  # labels beside those of the case


def render(runs: Runs) -> str:
    """A whole exposition, `# EOF` included; the samples of a family stand together, as the format demands."""
    families: dict[str, list[str]] = {}
    for record, case in newest(runs, _identity):
        labels = _labels(record, case)
        for sample in _samples(record, case):
            if sample.value is None:
                continue
            name, unit = family(sample.key, sample.part)
            head = [f"# TYPE {name} gauge", *([f"# UNIT {name} {unit}"] if unit else [])]
            lines = families.setdefault(name, [*head, f"# HELP {name} {escape(sample.about)}"])
            # The base unit of a share is a ratio, not per cent.
            value = sample.value / 100 if sample.key.endswith("_pct") else sample.value
            lines.append(f"{name}{{{_text(labels | dict(sample.more))}}} {value!r}")
    return "".join(f"{line}\n" for lines in families.values() for line in lines) + "# EOF\n"


def family(key: str, part: str = "") -> tuple[str, str]:
    """Name and unit (or "") of the metric family, such as `gpuprof_latency_p50_ci95_low_seconds`, `seconds`."""
    suffix, kept, unit = next((row for row in _UNITS if key.endswith(row[0])), ("", "", ""))
    return "_".join(filter(None, ("gpuprof", key.removesuffix(suffix) + kept, part, unit))), unit


def escape(text: str) -> str:
    """The text with the escapes of label values and HELP lines."""
    return printable(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _text(labels: Mapping[str, str | None]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items() if value)


def _labels(record: RunRecord, case: Case) -> dict[str, str | None]:
    """`case` tells apart what no other label names: sequence length, threads, seed, parameters."""
    device, environment = record.device, record.environment
    return {
        "gpu": None if device.index is None else str(device.index), "uuid": device.uuid, "pci_bus_id": device.pci,
        "model": device.name, "vendor": device.vendor, "hostname": environment.hostname, "workload": case.workload,
        "mode": case.mode, "variant": case.variant, "precision": case.precision.effective,
        "batch_size": str(case.batch_size), "case": case.case_id, "simulated": str(record.simulated).lower(),
        "job_id": environment.variables.get("SLURM_JOB_ID"),
    }  # fmt: skip


def _identity(record: RunRecord, case: Case) -> str:
    """The label set without the job: a new job of the same case replaces the old one's values."""
    return _text(_labels(record, case) | {"job_id": None})


def _samples(record: RunRecord, case: Case) -> Iterator[Sample]:
    base = ""
    for metric in METRICS:
        # A title that begins with an ellipsis continues the title before it.
        base = base if metric.title.startswith("…") else metric.title
        about = f"{base}{metric.title[1:]}" if metric.title.startswith("…") else base
        reading = metric.read(case)
        if isinstance(reading, Absent):
            continue
        yield Sample(metric.key, f"{about}; {metric.better} is better", reading.value)
        if reading.ci95 is not None:
            for part, end, bound in zip(("ci95_low", "ci95_high"), ("lower", "upper"), reading.ci95, strict=True):
                yield Sample(metric.key, f"{about}: {end} bound of the 95% interval across processes", bound, part)
    # Not headline numbers themselves, but they explain one.
    use, clock = case.gpu_utilization_pct, case.core_clock_hz
    for key, about, value in (
        ("idle_power_w", "power of the idle device while the process holds its context", case.idle_power_w),
        ("gpu_utilization_pct", "mean GPU utilisation in the throughput window", None if use is None else use.mean),
        ("core_clock_hz", "mean core clock in the throughput window", None if clock is None else clock.mean),
    ):
        if key not in BY_KEY:
            yield Sample(key, about, value)
    for reason, share in sorted((case.throttled_share or {}).items()):
        about = "share of the throughput window, by throttle reason"
        yield Sample("throttled_ratio", about, share, more=(("reason", reason),))
    started = moment(record.started_at)
    about = "start of the run that measured these values, seconds since 1970"
    yield Sample("run_started_timestamp_s", about, None if started is None else started.timestamp())
