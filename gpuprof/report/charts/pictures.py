"""Which charts a report has, and the rows for each from cases on several sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprof.absent import Absent
from gpuprof.analysis import titles
from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import HEADLINE, Side, side
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.metrics import BY_KEY
from gpuprof.report.charts import cases as charts
from gpuprof.report.charts import over_time
from gpuprof.report.story import Chart
from gpuprof.report.wording import times
from gpuprof.text import shortened
from gpuprof.units import show

_JOULES = "energy_j_per_sample"
_PERCENTILES = ("p50", "p90", "p99")
Shown = tuple[str, str, CaseEvidence]  # title of the case, name of the side, the case on that side


@dataclass(frozen=True)
class Timeline:
    """Sampled signals of each side's newest run, in the rows of over_time.timeline; without rows there is no chart."""

    rows: Sequence[dict[str, Any]] = ()
    phases: Sequence[dict[str, Any]] = ()


def of_claims(claims: Iterable[Claim], sides: Mapping[str, str]) -> Iterable[Chart]:
    """The forest plot of throughput ratios; nothing where no claim has one.

    `sides` are the colours of baseline and candidate by their names.
    """
    drawn = [c for c in claims if c.metric == HEADLINE and c.ratio is not None]
    (baseline, losing), (candidate, winning) = sides.items()
    rows: list[dict[str, Any]] = [
        {"label": c.case if c.view != "all workloads" else f"overall: {c.case}", "ratio": c.ratio,
         "low": c.interval and c.interval[0], "high": c.interval and c.interval[1],
         "verdict": c.verdict or "", "allowed": c.allowed}
        for c in drawn
    ]  # fmt: skip
    if rows:
        in_words = "; ".join(f"{c.case} {times(c.ratio)} {c.verdict or ''}" for c in drawn if c.ratio is not None)
        spec = charts.ratios(
            rows, {"faster": (f"{candidate} faster", winning), "slower": (f"{baseline} faster", losing)}
        )
        yield Chart("ratios", f"Throughput: {candidate} over {baseline}", shortened(in_words, 600), spec)


def of_cases(cases: Sequence[Shown], sides: Iterable[str], timeline: Timeline, whose: str) -> Iterable[Chart]:
    """The charts that there are numbers for. `whose` is for the timeline's title: "each side's", "each device's"."""
    if rows := _points(cases, HEADLINE):
        yield Chart("throughput", "Throughput", _in_words(rows, "samples/s"), charts.throughput(rows, sides))
    latency = [
        {**row, "percentile": p, "value_s": row["value"]}
        for case in cases for p in _PERCENTILES for row in _points([case], f"latency_{p}_s")
    ]  # fmt: skip
    if latency:
        in_words = _in_words([{**row, "label": f"{row['label']} {row['percentile']}"} for row in latency], "s")
        yield Chart("latency", "Latency of single requests", in_words, charts.latency(latency, sides))
    energy = [
        {**row, "energy_j": row["value"], "throughput": rate}
        for case in cases for row in _points([case], _JOULES)
        if not isinstance(rate := _value(case[2], HEADLINE).value, Absent)
    ]  # fmt: skip
    if energy:
        in_words = _in_words(energy, "J")
        yield Chart("energy", "Energy per sample against throughput", in_words, charts.energy(energy, sides))
    if timeline.rows:
        yield Chart("timeline", f"Power, temperature and clock in {whose} newest run",
                    "Sampled during one process, with its phases marked.",
                    over_time.timeline(timeline.rows, timeline.phases, sides))  # fmt: skip
    unbatched = titles.full([case[2].newest for case in cases], but=("batch_size",))
    sweep = [
        {**row, "label": label, "batch_size": case[2].newest.batch_size}
        for case, label in zip(cases, unbatched, strict=True) for row in _points([case], HEADLINE)
    ]  # fmt: skip
    sizes: dict[str, set[int]] = {}
    for row in sweep:
        sizes.setdefault(row["label"], set()).add(row["batch_size"])
    if sweep := [row for row in sweep if len(sizes[row["label"]]) > 1]:
        yield Chart("sweep", "Throughput against batch size", _in_words(sweep, "samples/s"), charts.sweep(sweep, sides))


def _value(case: CaseEvidence, metric: str) -> Side:
    return side(case, BY_KEY[metric])


def _points(cases: Sequence[Shown], metric: str) -> list[dict[str, Any]]:
    """A row for each case that has the metric: value and interval in its unit."""
    return [
        {"label": title, "side": name, "value": v.value, "low": v.ci95 and v.ci95[0], "high": v.ci95 and v.ci95[1]}
        for title, name, case in cases if not isinstance((v := _value(case, metric)).value, Absent)
    ]  # fmt: skip


def _in_words(rows: Sequence[dict[str, Any]], unit: str) -> str:
    return shortened("; ".join(f"{r['label']}, {r['side']}: {show(r['value'], unit)}" for r in rows), 600)
