"""Verdicts with their intervals, pairs that may not be compared, and the scope of the verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.analysis.compare import HEADLINE, Claim, Compared, Comparison
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import TONES, Subject
from gpuprof.report.story import Block, Cell, Notice, Table, Tone
from gpuprof.report.wording import NONE, percent, times, times_interval


def blocks(subject: Subject) -> Iterable[Block]:
    """A table of the claims (the overall one first, if there are several), one of struck pairs, and the scope."""
    compared, (baseline, candidate) = subject.comparison, subject.names
    struck = [case for case in compared.cases if not case.pair.allowed]
    claims = [claim for claim in compared.claims if claim.allowed]
    if compared.overall.allowed and len([claim for claim in claims if claim.metric == HEADLINE]) > 1:
        claims = [compared.overall, *claims]
    rows = [_claim_row(claim) for claim in claims]
    if rows:
        heads = ("claim", "measure", "verdict", "ratio", "95% interval", "MDE")
        yield Table(f"Claims: {candidate} over {baseline}", heads, rows)
    if struck:
        yield Table(
            "Pairs that cannot be compared, and why", ("case", "ratio", "reason"),
            [[Cell(case.title), _struck_ratio(case), Cell("; ".join(case.pair.reasons), "warn")] for case in struck],
        )  # fmt: skip
    yield Notice(_scope(compared))


def _claim_row(claim: Claim) -> list[Cell]:
    metric = BY_KEY[claim.metric]
    bar = (claim.ci95[0], claim.ratio, claim.ci95[1]) if claim.ci95 and claim.ratio else None
    word = claim.verdict or f"no verdict: {claim.reason}"
    tone = TONES[claim.verdict]
    strong: Tone = "strong" if claim.view == "all workloads" else "plain"
    return [
        Cell("overall: " + claim.case if claim.view == "all workloads" else claim.case, strong),
        Cell(metric.title, note="" if metric.better == "higher" else "lower is better"),
        Cell(word, tone),
        Cell(times(claim.ratio or 0.0), strong, number=True),
        Cell(times_interval(claim.ci95) or NONE, number=True, bar=bar),
        Cell(NONE if claim.mde is None else percent(claim.mde), number=True),
    ]


def _struck_ratio(case: Compared) -> Cell:
    effect = case.differences[HEADLINE].effect
    return Cell(NONE, "dim", number=True) if effect is None else Cell(times(effect.ratio), struck=True, number=True)


def _scope(comparison: Comparison) -> str:
    """The machines that the verdicts hold for, and no more."""
    baseline, candidate = comparison.baseline.machines, comparison.candidate.machines
    decided = [claim for claim in (*comparison.claims, comparison.overall) if claim.verdict is not None]
    if not decided:
        return "No verdict: see the reasons above and in the fairness ledger."
    spread = percent(max(claim.spread for claim in decided))
    if baseline.keys() == candidate.keys() and len(baseline) == 1:
        about = "Both sides ran on the same machine: verdicts hold for that machine with these settings or runs."
        if max(claim.spread for claim in decided) > 0:
            about += f" As the runs were not interleaved, intervals include {spread} for run-to-run variation."
    elif len(baseline) > 1 and len(candidate) > 1:
        about = f"{len(baseline)} and {len(candidate)} machines: verdicts hold for the device models."
    else:
        about = f"One machine cannot represent its model: intervals include {spread} for machine-to-machine variation."
    return (
        f"{about} Verdicts and MDEs are corrected for the number of claims (Holm, 5% in all). MDE: the smallest "
        "difference this comparison could reliably detect (in about 80% of repetitions; fewer with few processes)."
    )
