"""Verdicts with their intervals, pairs that may not be compared, and what the verdicts are about."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.analysis.compare import HEADLINE, Claim, Compared, Comparison
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import TONES, Subject
from gpuprof.report.story import Block, Cell, Notice, Table, Tone
from gpuprof.report.wording import NONE, percent, times, times_interval


def blocks(subject: Subject) -> Iterable[Block]:
    found, (one, other) = subject.found, subject.names
    struck = [case for case in found.cases if not case.pair.allowed]
    made = [claim for claim in found.claims if claim.allowed]
    if found.overall.allowed and len([claim for claim in made if claim.metric == HEADLINE]) > 1:
        made = [found.overall, *made]
    rows = [_claim_row(claim) for claim in made]
    if rows:
        yield Table(
            f"Claims: {other} over {one}", ("claim", "measure", "verdict", "ratio", "95% interval", "MDE"), rows
        )
    if struck:
        yield Table(
            "Pairs that may not be compared, and why", ("case", "ratio", "reason"),
            [[Cell(case.title), _struck_ratio(case), Cell("; ".join(case.pair.reasons), "warn")] for case in struck],
        )  # fmt: skip
    yield Notice(_scope(found))


def _claim_row(claim: Claim) -> list[Cell]:
    metric = BY_KEY[claim.metric]
    bar = (claim.ci95[0], claim.ratio, claim.ci95[1]) if claim.ci95 and claim.ratio else None
    word = claim.verdict or f"none: {claim.reason}"
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


def _scope(found: Comparison) -> str:
    """What the verdict is about, in words that cannot be read as more."""
    one, other = found.baseline, found.candidate
    made = [claim for claim in (*found.claims, found.overall) if claim.verdict is not None]
    if not made:
        return "No verdict is given; what stands in the way is named above and in the fairness ledger."
    spread = percent(max(claim.spread for claim in made))
    if one.machines.keys() == other.machines.keys() and len(one.machines) == 1:
        about = "Both sides ran on one machine: the verdict is about that machine with these two settings or runs."
        if max(claim.spread for claim in made) > 0:
            about += f" Runs that did not take turns differ by themselves: {spread} was added for that."
    elif len(one.machines) > 1 and len(other.machines) > 1:
        about = f"{len(one.machines)} and {len(other.machines)} machines: the verdict is about the device models."
    else:
        about = f"One machine cannot speak for its model: {spread} was added for machines that nobody measured."
    return (
        f"{about} Verdicts are corrected for the number of claims (Holm, 5% over all of them), and so is the MDE, the "
        "smallest difference that most such comparisons would show (four of five; fewer where processes are few)."
    )
