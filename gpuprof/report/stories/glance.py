"""What a comparison says at a glance: its bars, a tile for each number that buyers ask for, how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator

from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import AT_A_GLANCE, HEADLINE, Comparison
from gpuprof.analysis.effect import Effect
from gpuprof.analysis.evidence import Evidence
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import Subject
from gpuprof.report.story import Cell, Glance, Side, Table, Tile
from gpuprof.report.wording import NONE, ratio, times, times_interval
from gpuprof.text import listed, plural, shortened

_MOST_BARS = 6
_TITLES = {"throughput_per_s": "Speed", "energy_j_per_sample": "Energy", "power_mean_w": "Power",
           "peak_memory_bytes": "Memory"}  # fmt: skip


def glance(subject: Subject, weak: str, plan: str) -> Glance:
    """`weak` and `plan` are sentences: what weighs on the answer, and what would settle it."""
    compared = subject.comparison
    both = (compared.baseline, compared.candidate)
    sides = [
        Side(name, hue, evidence.device, _facts(evidence))
        for name, hue, evidence in zip(subject.names, subject.hues, both, strict=True)
    ]
    claims = list(_claims(compared))
    shown = claims[:_MOST_BARS]
    bars = Table(f"Throughput, {subject.names[1]} over {subject.names[0]}", ("case", "interval", "ratio"),
                 [_bar(claim, subject) for claim in shown])  # fmt: skip
    return Glance(
        (sides[0], sides[1]), bars, f"and {len(claims) - len(shown)} more" if len(claims) > len(shown) else "",
        [_tile(key, subject) for key in AT_A_GLANCE], _scope(subject), _trust(compared, weak), plan,
    )  # fmt: skip


def _claims(compared: Comparison) -> Iterator[Claim]:
    """The overall claim, then those of cases: shown ones before others, the largest difference first."""
    cases = [c for c in compared.claims if c.metric == HEADLINE and c.view == "iso-batch" and c.allowed and c.ratio]
    if compared.overall.allowed and compared.overall.ratio is not None and len(cases) > 1:
        yield compared.overall
    decided = [c for c in cases if c.verdict in ("faster", "slower")]
    yield from sorted(decided, key=lambda c: c.p_adjusted or 0.0)
    yield from (c for c in cases if c not in decided)


def _bar(claim: Claim, subject: Subject) -> list[Cell]:
    interval, middle = claim.interval, claim.ratio or 0.0
    bar = None if interval is None else (interval[0], middle, interval[1])
    won = {"faster": subject.hues[1], "slower": subject.hues[0]}.get(claim.verdict or "", "")
    whole = claim.view == "all workloads"
    return [
        Cell(f"all of {claim.case}" if whole else claim.case, "strong" if whole else "plain"),
        Cell("", bar=bar, hue=won),
        Cell(times(middle), "strong" if whole else "plain", number=True, note=times_interval(interval)),
    ]


def _tile(key: str, subject: Subject) -> Tile:
    compared, metric = subject.comparison, BY_KEY[key]
    better = "more is better" if metric.better == "higher" else "less is better"
    overall = compared.overall
    effect = compared.means.get(key) if key != HEADLINE else (overall.effect if overall.allowed else None)
    cell = ratio(effect)
    if effect is None:
        return Tile(_TITLES[key], f"{metric.title} · {better}", cell, "not compared")
    if key == HEADLINE:
        says = {"faster": f"{subject.names[1]} is faster", "slower": f"{subject.names[0]} is faster"}
        return Tile(_TITLES[key], f"{metric.title} · {better}", cell, says.get(overall.verdict or "", _OPEN))
    return Tile(_TITLES[key], f"{metric.title} · {better}", cell, _says(effect, subject.names))


_OPEN = "too close to call"


def _says(effect: Effect, names: tuple[str, str]) -> str:
    """Which side is lower, where the interval leaves out 1; speed alone gets a verdict."""
    if effect.ci95 is None:
        return "no interval" if effect.difference else "the same"
    low, high = effect.ci95
    return f"{names[1]} is lower" if high < 1 else f"{names[0]} is lower" if low > 1 else _OPEN


def _scope(subject: Subject) -> str:
    overall = subject.comparison.overall
    if overall.ratio is None:
        return ""
    mean = f"mean over {overall.case}" if overall.case[:1].isdigit() else overall.case
    return f"{subject.names[1]} over {subject.names[0]}, {mean}, with 95% intervals. Speed alone gets a verdict."


def _trust(compared: Comparison, weak: str) -> str:
    if compared.blocked:
        first, *others = compared.blocked
        values = f": {first.baseline} against {first.candidate}" if first.baseline != first.candidate else ""
        more = f", and {plural(len(others), 'more point')} of the ledger" if others else ""
        return shortened(f"Blocked: {first.key}{values} ({first.why}){more}.", 200)
    points = len(compared.weakened_by)
    if not points:
        return "Nothing in the ledger weakens it."
    named = weak.removeprefix("Weakened: ").removesuffix(".")
    more = "." if named.count(";") + 1 >= points else "; ..."
    return f"Weakened by {plural(points, 'point')}" + (f": {named}{more}" if named else ".")


def _facts(side: Evidence) -> str:
    parts = ["" if side.text == side.device else shortened(side.text), plural(len(side.runs), "run")]
    parts.append(plural(len(side.machines), "machine"))
    if torch := side.facts.get("torch"):
        parts.append("torch " + listed(sorted(torch)))
    if driver := side.facts.get("driver_version"):
        parts.append("driver " + listed(sorted(driver)))
    return " · ".join(filter(None, parts)) or NONE
