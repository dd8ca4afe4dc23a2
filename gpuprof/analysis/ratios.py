"""The ratio of one pair of cases, and one ratio over all of them.

Over all counts what the cases have in common: their runs, and the repeats in which they took turns. Process i of one
case ran beside process i of the others, and all processes of a run had the same day. So the cases are averaged first,
within each repeat and run, and the scatter is that of the averages: whatever the cases share is in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gpuprof.analysis.effect import Effect, between, paired, together
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.analysis.levels import FEW, Sample, Scatter, level
from gpuprof.analysis.pairing import Pair, took_turns


def of_pair(pair: Pair, metric: str, machine_spread: float) -> Effect | None:
    """Candidate over baseline; None where some run has the metric without values of its processes.

    From processes that took turns where the runs have both cases, else from the level of each side.
    """
    b, c = pair.baseline.level(metric), pair.candidate.level(metric)
    if b is None or c is None:
        return None
    in_turn = _in_turn([(pair, 1.0)], metric) if took_turns(pair) else []
    return paired(in_turn) if in_turn else _widened(between(b, c, machine_spread=machine_spread), abs(pair.shift))


def _widened(effect: Effect, shift: float) -> Effect:
    """With what the machine itself changed between runs of the sides; processes that took turns shared it."""
    return replace(effect, shift=shift)


def over_all(weighted: Sequence[tuple[Pair, Effect, float]], metric: str, machine_spread: float) -> Effect:
    """Weighted geometric mean of the pairs' ratios. Each pair comes with its own effect; the weights sum to 1."""
    blocks: dict[tuple[object, ...], list[tuple[Pair, Effect, float]]] = {}
    for pair, effect, weight in weighted:
        runs = (pair.baseline.runs, pair.candidate.runs, took_turns(pair), effect.measured is None)
        blocks.setdefault(runs, []).append((pair, effect, weight))
    return together([_block(members, metric, machine_spread) for members in blocks.values()])


def _block(members: Sequence[tuple[Pair, Effect, float]], metric: str, machine_spread: float) -> tuple[Effect, float]:
    """The effect of pairs that have their runs in common, and their weight."""
    whole = math.fsum(weight for *_, weight in members)
    if len(members) == 1 or members[0][1].measured is None:
        return together([(effect, weight / whole) for _, effect, weight in members]), whole
    pairs = [(pair, weight / whole) for pair, _, weight in members]
    if took_turns(pairs[0][0]) and (samples := _in_turn(pairs, metric)):
        return paired(samples), whole
    sides = ([(p.baseline, w) for p, w in pairs], [(p.candidate, w) for p, w in pairs])
    averaged = [_averaged(side, metric) for side in sides]
    if not all(averaged):  # no run of a side has all of its cases
        return together([(effect, weight / whole) for _, effect, weight in members]), whole
    b, c = (
        replace(level(each, days=side[0][0].days), past=_past(side, metric))
        for each, side in zip(averaged, sides, strict=True)
    )
    shift = math.fsum(weight * abs(pair.shift) for pair, weight in pairs)
    return _widened(between(b, c, machine_spread=machine_spread), shift), whole


def _in_turn(pairs: Sequence[tuple[Pair, float]], metric: str) -> list[Sample]:
    runs = len(pairs[0][0].baseline.rows)
    samples = [(pair.baseline.samples(metric), pair.candidate.samples(metric), weight) for pair, weight in pairs]
    if any(len(side) != runs for *sides, _ in samples for side in sides):
        return []
    if runs >= FEW:  # the run, or the machine, is the unit: processes are not looked at
        return [
            Sample(samples[0][0][i][0], 1, math.fsum(w * (c[i][2] - b[i][2]) for b, c, w in samples), 0.0)
            for i in range(runs)
        ]
    rounds = [(pair.baseline.rounds(metric), pair.candidate.rounds(metric), weight) for pair, weight in pairs]
    common = set.intersection(*(set(side) for *sides, _ in rounds for side in sides))
    by_run: dict[str, list[float]] = {}
    for key in sorted(common):
        by_run.setdefault(key[0], []).append(math.fsum(w * (c[key] - b[key]) for b, c, w in rounds))
    machines = {run: machine for machine, _, run in pairs[0][0].baseline.rows}
    return [_sample(machines[run], logs) for run, logs in by_run.items()]


def _averaged(cases: Sequence[tuple[CaseEvidence, float]], metric: str) -> list[Sample]:
    """The weighted mean of cases that have the same runs, as if it were one case: a sample a run that has them all.

    A run in which one of them failed is left out: without it the mean would be one of other cases.
    """
    sampled = [(case.by_run(metric), weight) for case, weight in cases]
    rounds = [(case.rounds(metric), weight) for case, weight in cases]
    common = set.intersection(*(set(each) for each, _ in rounds))
    averaged = []
    for machine, _, run in cases[0][0].rows:
        if any(run not in samples for samples, _ in sampled):
            continue
        mean = math.fsum(weight * samples[run][2] for samples, weight in sampled)
        logs = [math.fsum(w * each[key] for each, w in rounds) for key in common if key[0] == run]
        n, scatter = len(logs), _sample(machine, logs).squares if len(logs) > 1 else 0.0
        if n < 2:
            # No repeats in common, or not looked at: as if the cases' processes scattered together.
            n = int(min(samples[run][1] for samples, _ in sampled))
            each = (weight * math.sqrt(samples[run][3] / max(1.0, samples[run][1] - 1))
                    for samples, weight in sampled)  # fmt: skip
            scatter = math.fsum(each) ** 2 * (n - 1)
        averaged.append(Sample(machine, n, mean, scatter))
    return averaged


def _past(cases: Sequence[tuple[CaseEvidence, float]], metric: str) -> Scatter:
    """That of the weighted mean, as if the cases' runs had always scattered together; nothing unless all are known."""
    known = [(case.past[metric], weight) for case, weight in cases if metric in case.past]
    if len(known) < len(cases):
        return Scatter()
    freedom = min(past.freedom for past, _ in known)
    sd = math.fsum(weight * math.sqrt(past.squares / past.freedom) for past, weight in known)
    return Scatter(sd**2 * freedom, freedom)


def _sample(machine: str, logs: Sequence[float]) -> Sample:
    mean = math.fsum(logs) / len(logs)
    return Sample(machine, len(logs), mean, math.fsum((log - mean) ** 2 for log in logs))
