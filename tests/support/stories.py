"""A story as a comparison tells it: two sides, six cases, every kind of block. Invented numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gpuprof.report.charts import cases as charts
from gpuprof.report.charts.over_time import timeline
from gpuprof.report.story import Bullets, Cell, Chart, Notice, Section, Story, Table

SIDES = ("NVIDIA H100 80GB HBM3", "AMD Instinct MI300X")
# label, baseline samples/s, ratio with its interval, verdict, comparable
CASES = (
    ("cnn · train · bf16 · batch 64", 21_400.0, 1.18, 1.12, 1.24, "faster", True),
    ("lstm · train · ieee · batch 32", 4_650.0, 0.78, 0.72, 0.85, "slower", True),
    ("gru · infer · bf16 · batch 1", 1_930.0, 1.02, 0.95, 1.09, "no difference shown", True),
    ("rnn · train · ieee · batch 32", 6_120.0, 0.91, None, None, "", True),
    ("vgg16 · train · tf32 · batch 64", 1_740.0, 1.42, 1.31, 1.53, "faster", False),
    ("vgg16 · infer · bf16 · batch 256", 11_800.0, 1.33, 1.29, 1.37, "faster", True),
)
CHARTS = 6  # of a whole story
HOSTILE = (
    "<script>window.pwned=1</script>\"><img src=x onerror='window.pwned=1'></script><svg onload=window.pwned=1>"
    "javascript:window.pwned=1 {{7*7}} &lt;\u202eevil\u2066\x07" + "long" * 100
)
_TONES = {"faster": "good", "slower": "bad", "no difference shown": "dim", "": "dim"}


def demo() -> Story:
    return Story(
        title="NVIDIA H100 80GB HBM3 against AMD Instinct MI300X",
        headline="The MI300X is faster in 2 of 5 comparable cases, slower in 1: 1.10× overall (1.04× to 1.16×)",
        tone="good",
        banners=("SIMULATED: these numbers come from a simulator, not from hardware",),
        facts=(
            ("baseline", "NVIDIA H100 80GB HBM3\ndriver 575.51 · CUDA 12.9 · torch 2.15.0"),
            ("candidate", "AMD Instinct MI300X\nROCm 7.0 · torch 2.15.0"),
            ("protocol", "full, 5 fresh processes a case and side"),
        ),
        sections=(
            Section("verdict", "Which is faster", (
                Notice("Six cases were measured on both sides; one of them did not run the same arithmetic.", "plain"),
                Notice("LSTM training lost its fused kernel on the candidate: MIOpen fell back.", "warn"),
                Chart("ratios", "Throughput, candidate over baseline",
                      "Points right of 1 mean that the candidate is faster; lines are 95% intervals.", _ratios()),
                _ratio_table(),
            )),
            Section("throughput", "Throughput and latency", (
                Chart("throughput", "Throughput by case", "From 1,740 to 25,250 samples/s.", _throughput()),
                Chart("latency", "Latency percentiles", "p99 stays within twice the median in each case.", _latency()),
                Table("All percentiles", ("case", "side", "p50", "p90", "p99"), _percentiles(), folded=True),
            )),
            Section("energy", "Energy", (
                Chart("energy", "Energy per sample against throughput",
                      "Down and to the right is better.", _energy()),
                Chart("timeline", "A repeat of vgg16 over time",
                      "Power reaches 640 W and 690 W. Drag to move, Ctrl and wheel to zoom.", _timeline()),
            )),
            Section("sweep", "Batch size", (
                Chart("sweep", "Throughput against batch size", "The candidate is ahead from batch 64 on.", _sweep()),
            )),
            Section("limits", "What this does not say", (
                Notice("Each side is one machine: an interval over its processes is about that machine.",
                       "bad", banner=True),
                Bullets((
                    "Power sensors of two vendors carry some 5% of systematic error that no statistics removes.",
                    "Windows last seconds: sustained load is not covered.",
                    "Prices were not given, so nothing is said about cost.",
                )),
            )),
        ),
        made="gpuprof 0.2.0 · 2026-11-23 14:27 UTC · runs 20261123T142758Z-1aa7fa27 and 20261123T151502Z-77c0d9e1",
    )  # fmt: skip


def of_each_kind() -> Story:
    """The first and the last section alone: they hold a block of each kind."""
    whole = demo()
    return dataclasses.replace(whole, sections=[whole.sections[at] for at in (0, -1)])


def poisoned(story: Story, text: str) -> Story:
    """The same story with a hostile text appended to every text of it, charts' labels included; keys stay."""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            return value if key in ("key", "tone") else f"{value} {text}"
        if isinstance(value, Chart):
            spec = _poison_rows(value.spec, text)
            return dataclasses.replace(value, title=f"{value.title} {text}", says=f"{value.says} {text}", spec=spec)
        if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return type(value)(**{f.name: poison(getattr(value, f.name), f.name) for f in fields})
        if isinstance(value, (tuple, list)):
            return [poison(inner) for inner in value]
        return value

    return poison(story)


def _poison_rows(spec: Any, text: str) -> Any:
    """A label or side in the rows, and the same text wherever a scale names it."""
    names = {*SIDES, *(case[0] for case in CASES), "warm-up", "throughput window", "cnn · train · bf16"}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        return f"{text} {value}" if isinstance(value, str) and value in names else value

    return walk(spec)


def _ratios() -> dict[str, Any]:
    return charts.ratios([
        {"label": label, "ratio": ratio, "low": low, "high": high, "verdict": verdict, "allowed": allowed}
        for label, _, ratio, low, high, verdict, allowed in CASES
    ])  # fmt: skip


def _ratio_table() -> Table:
    rows = []
    for label, rate, ratio, low, high, verdict, allowed in CASES:
        interval = "one process: no interval" if low is None else f"{low:.2f} – {high:.2f}"
        rows.append((
            Cell(label),
            Cell(f"{rate:,.0f}", number=True, note="samples/s"),
            Cell(f"{rate * ratio:,.0f}", number=True, note="samples/s"),
            Cell(f"{ratio:.2f}×", "strong", struck=not allowed, number=True, note=interval,
                 bar=None if low is None else (low, ratio, high)),
            Cell(verdict or "no verdict", "dim" if not allowed else _TONES[verdict],
                 note="" if allowed else "tf32 here, fp32 there"),
        ))  # fmt: skip
    return Table("Throughput by case, with 95% intervals", ("case", "baseline", "candidate", "ratio", "verdict"), rows)


def _by_side() -> list[dict[str, Any]]:
    return [
        {"label": label, "side": side, "value": value, "low": value * 0.95, "high": value * 1.05}
        for label, rate, ratio, *_ in CASES
        for side, value in zip(SIDES, (rate, rate * ratio), strict=True)
    ]  # fmt: skip


def _throughput() -> dict[str, Any]:
    return charts.throughput(_by_side())


def _latency() -> dict[str, Any]:
    return charts.latency([
        {"label": row["label"], "side": row["side"], "percentile": name, "value_s": factor * 30 / row["value"]}
        for row in _by_side() for name, factor in (("p50", 1), ("p90", 1.15), ("p99", 1.8))
    ])  # fmt: skip


def _percentiles() -> list[tuple[Cell, ...]]:
    return [
        (Cell(row["label"]), Cell(row["side"]),
         *(Cell(f"{factor * 30e3 / row['value']:.3g} ms", number=True) for factor in (1, 1.15, 1.8)))
        for row in _by_side()
    ]  # fmt: skip


def _energy() -> dict[str, Any]:
    rows = []
    for row in _by_side():
        joules = 520 / row["value"] * (1.06 if row["side"] == SIDES[1] else 1)
        bounds = {"low": joules * 0.93, "high": joules * 1.07}
        rows.append(
            {**{k: row[k] for k in ("label", "side")}, "throughput": row["value"], "energy_j": joules, **bounds}
        )
    return charts.energy(rows)


def _timeline() -> dict[str, Any]:
    rows = []
    for side, shift, peak in zip(SIDES, (0.0, 1.5), (640, 690), strict=True):
        for tick in range(400):
            t = tick / 10
            busy = 1 - math.exp(-max(0.0, t - 2 - shift) / 1.2) if t < 34 + shift else 0.25
            ripple = 0.02 * math.sin(tick * 0.9)
            rows += [
                {"t_s": t, "side": side, "quantity": quantity, "value": value}
                for quantity, value in (
                    ("power_instant_w", 130 + (peak - 130) * (busy + ripple)),
                    ("temperature_core_c", 38 + shift + 24 * busy * min(1, t / 25)),
                    ("core_clock_hz", 1e6 * (1980 + 60 * shift - 190 * busy)),
                )
            ]
    phases = [
        {"side": side, "name": name, "start_s": start + shift, "end_s": end + shift}
        for side, shift in zip(SIDES, (0.0, 1.5), strict=True)
        for name, start, end in (("warm-up", 2, 8), ("throughput window", 8, 27), ("latency", 27, 34))
    ]
    return timeline(rows, phases)


def _sweep() -> dict[str, Any]:
    return charts.sweep([
        {"side": side, "label": "cnn · train · bf16", "batch_size": size, "value": value, "low": value * 0.94,
         "high": value * 1.06}
        for side, start, power in zip(SIDES, (900, 560), (0.62, 0.74), strict=True)
        for size in (1, 8, 32, 64, 128, 256)
        for value in [start * size**power]
    ])  # fmt: skip
