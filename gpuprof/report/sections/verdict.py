"""Verdicts with their intervals, pairs that may not be compared, and the scope of the verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from gpuprof.analysis.claims import Claim
from gpuprof.analysis.compare import HEADLINE, Compared, Comparison
from gpuprof.analysis.levels import FEW
from gpuprof.metrics import BY_KEY
from gpuprof.report.sections.subject import TONES, Subject
from gpuprof.report.story import Block, Cell, Notice, Table, Tone
from gpuprof.report.wording import NONE, confidence, percent, times, times_interval
from gpuprof.text import plural


def blocks(subject: Subject) -> Iterable[Block]:
    """A table of the claims (the overall one first, if there are several), one of struck pairs, and the scope."""
    compared, (baseline, candidate) = subject.comparison, subject.names
    struck = [case for case in compared.cases if not case.pair.allowed]
    claims = [claim for claim in compared.claims if claim.allowed]
    if compared.overall.allowed and len([claim for claim in claims if claim.metric == HEADLINE]) > 1:
        claims = [compared.overall, *claims]
    rows = [_claim_row(claim) for claim in claims]
    if rows:
        heads = ("claim", "measure", "verdict", "ratio", "interval", "MDE")
        yield Table(f"Claims: {candidate} over {baseline}", heads, rows)
    if struck:
        yield Table(
            "Pairs that cannot be compared, and why", ("case", "ratio", "reason"),
            [[Cell(case.title), _struck_ratio(case), Cell("; ".join(case.pair.reasons), "warn")] for case in struck],
        )  # fmt: skip
    yield Notice(_scope(compared))


def _claim_row(claim: Claim) -> list[Cell]:
    metric = BY_KEY[claim.metric]
    bar = (claim.interval[0], claim.ratio, claim.interval[1]) if claim.interval and claim.ratio else None
    word = claim.verdict or f"no verdict: {claim.reason}"
    tone = TONES[claim.verdict]
    strong: Tone = "strong" if claim.view == "all workloads" else "plain"
    return [
        Cell("overall: " + claim.case if claim.view == "all workloads" else claim.case, strong),
        Cell(metric.title, note="" if metric.better == "higher" else "lower is better"),
        Cell(word, tone),
        Cell(times(claim.ratio or 0.0), strong, number=True),
        Cell(times_interval(claim.interval) or NONE, number=True, bar=bar, note=confidence(claim)),
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
    spread = max(claim.spread for claim in decided)
    included = f" Intervals include {percent(spread)} on the ratio for " if spread else ""
    if baseline.keys() == candidate.keys():
        if len(baseline) == 1:
            about = "Both sides ran on the same machine: verdicts hold for the two settings or runs on it."
        else:
            about = f"The same {len(baseline)} machines on both sides: verdicts hold for two settings or runs on them."
        about += included and f"{included}other days, as the runs were not interleaved."
    elif min(len(baseline), len(candidate)) >= FEW:
        about = f"{len(baseline)} and {len(candidate)} machines: verdicts hold for the device models."
        about += included and f"{included}other days."
    else:
        fewest = min(len(baseline), len(candidate))
        about = f"{plural(fewest, 'machine')} cannot represent {'its' if fewest == 1 else 'their'} model."
        if comparison.machine_spread:
            about += included and f"{included}other machines and days."
        else:
            about += f"{included}other days." if included else ""
            about += " Nothing was added for other machines, as asked: verdicts hold for these."
    if included and (earlier := len(comparison.baseline.earlier | comparison.candidate.earlier)):
        about += f" For the days, {plural(earlier, 'other run')} of these machines in the store counted as well."
    if shift := max(claim.shift for claim in decided):
        about += f" They are up to {percent(shift)} wider, since the machine itself changed between the sides."
    return (
        f"{about} The overall claim is tested alone at 5%; the others share 5% if it is shown, else 1% (Holm), and "
        "each interval has the confidence at which its claim was tested. MDE: the smallest difference this comparison "
        "could reliably detect (in about 80% of repetitions)."
    )
