"""A hostile referee: how often equal devices get a verdict, and how often intervals hold the truth, in simulation.

    python scripts/bench/referee.py                    every cell, 2,000 comparisons each: some 20 minutes on two cores
    python scripts/bench/referee.py --comparisons 200  quicker, and less sure

Each comparison is of two sides that differ in nothing, in throughput and latency. A cell says how they scatter:
processes (sd in %), their number, runs and their days (sd in %), machines (one that both sides share, one a side, three
a side, which scatter by 1.5%), cases, both sides alike or the candidate with three times the scatter and at least three
processes less, processes of different cases alone or beside each other (correlation 0.6), normal or heavy-tailed
(Student's t with 3 degrees of freedom). The list covers every pair of these.

Goals: any verdict at all in at most 6% of a cell's comparisons in 95% of the cells, and never above 8%; the intervals
of the claims hold the truth in at least 93% in 95% of the cells. Apart, without a goal: cells whose days scatter by
more than the 1% that is added where a side has fewer than 3 runs of a machine, or 3 machines.

Below them the ratio of joules, which sensors with a gain error measured: intervals hold the true ratio in at least 93%,
whether one side's sensors have such an error or both, and however many machines share it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import multiprocessing
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpuprof.analysis import compare as analysis
from gpuprof.analysis import ratios
from gpuprof.analysis.claims import Claim, claim, tested
from gpuprof.analysis.effect import MACHINE_SPREAD, RUN_SPREAD
from gpuprof.analysis.evidence import CaseEvidence
from gpuprof.analysis.levels import FEW
from gpuprof.analysis.pairing import Pair
from gpuprof.index.brief import PER_METRIC
from gpuprof.metrics import BY_KEY, METRICS

CLAIMED = ("throughput_per_s", "latency_p50_s")
AT = {metric.key: PER_METRIC * position for position, metric in enumerate(METRICS)}
BESIDE = 0.6  # correlation of processes that ran beside each other
ENERGY = [(gains, machines) for gains in ((0.05, 0.0), (0.05, 0.05)) for machines in (1, 3, 5)]
MOST, NEVER, LEAST, SHARE = 0.06, 0.08, 0.93, 0.95


@dataclasses.dataclass(frozen=True)
class Cell:
    """One line of CELLS."""

    text: str
    sd: float
    processes: int
    runs: int
    day: float
    machines: str  # same: one that both sides share
    cases: int
    odd: bool
    beside: bool
    heavy: bool

    @classmethod
    def of(cls, text: str) -> Cell:
        sd, processes, runs, day, machines, cases, sides, together, tails = text.split()
        return cls(text, float(sd) / 100, int(processes), int(runs), float(day) / 100, machines, int(cases),
                   sides == "odd", together == "beside", tails == "heavy")  # fmt: skip

    @property
    def apart(self) -> bool:
        """Whether its days scatter by more than what is added for them."""
        return self.day > RUN_SPREAD and self.runs < FEW and self.machines in ("same", "1")


def side(rng: np.random.Generator, cell: Cell, name: str, log: float = 0.0) -> list[CaseEvidence]:
    """The cases of one side; `log` is the logarithm of how much faster than the other it is."""
    odd = cell.odd and name == "c"
    sd, n = (3 * cell.sd, max(3, cell.processes - 3)) if odd else (cell.sd, cell.processes)
    machines = 1 if cell.machines == "same" else int(cell.machines)
    chassis = rng.normal(0, 0.0 if cell.machines == "same" else MACHINE_SPREAD, (machines, 1))
    runs = log + chassis + rng.normal(0, cell.day, (machines, cell.runs))
    logs = np.empty((len(CLAIMED), cell.cases, machines, cell.runs, n))
    for metric in range(len(CLAIMED)):
        own, common = (_noise(rng, (cases, machines, cell.runs, n), cell.heavy) for cases in (cell.cases, 1))
        weight = BESIDE if cell.beside else 0.0
        noise = np.sqrt(weight) * common + np.sqrt(1 - weight) * own
        logs[metric] = (-1) ** metric * (runs[None, :, :, None] + sd * noise)
    means = logs.mean(-1)
    squares = ((logs - means[..., None]) ** 2).sum(-1)
    return [_case(name, "m" if cell.machines == "same" else name, number, logs[:, number], means[:, number],
                  squares[:, number]) for number in range(cell.cases)]  # fmt: skip


def _noise(rng: np.random.Generator, shape: tuple[int, ...], heavy: bool) -> Any:
    return rng.standard_t(3, shape) / np.sqrt(3) if heavy else rng.normal(0, 1, shape)


def _case(side_name: str, machine: str, number: int, logs: Any, means: Any, squares: Any) -> CaseEvidence:
    found: Any = SimpleNamespace(case_id=f"{side_name}{number}", workload=f"w{number}")
    case = CaseEvidence(found, lambda: found, "")
    case.__dict__["newest"] = found
    full = {}
    for m, r in itertools.product(range(logs.shape[1]), range(logs.shape[2])):
        numbers = [float("nan")] * (PER_METRIC * len(METRICS))
        for position, metric in enumerate(CLAIMED):
            values = (logs.shape[3], means[position, m, r], squares[position, m, r], 1.0)
            numbers[AT[metric] : AT[metric] + PER_METRIC] = map(float, values)
        run = f"{side_name}{m}-{r}"
        case.rows.append((f"{machine}{m}", numbers, run))
        processes = {metric: np.exp(logs[i, m, r]).tolist() for i, metric in enumerate(CLAIMED)}
        full[run] = SimpleNamespace(order=range(logs.shape[3]), processes=processes, partial={})
    case.__dict__["in_full"] = full if len(case.rows) <= FEW else {}
    return case


def compared(baseline: list[CaseEvidence], candidate: list[CaseEvidence]) -> tuple[Claim, list[Claim]]:
    """The overall claim and the others, as `gpuprof compare` judges them."""
    pairs = [Pair(b, c, (), ()) for b, c in zip(baseline, candidate, strict=True)]
    effects = {(i, m): ratios.of_pair(p, m, MACHINE_SPREAD) for i, p in enumerate(pairs) for m in CLAIMED}
    claims = [claim(f"w{i}", f"w{i}", m, "iso-batch", effect) for (i, m), effect in effects.items()]
    weighted = [(p, effect, 1 / len(pairs)) for i, p in enumerate(pairs) if (effect := effects[i, CLAIMED[0]])]
    overall = claim("all", "all", CLAIMED[0], "all workloads", ratios.over_all(weighted, CLAIMED[0], MACHINE_SPREAD))
    return tested(overall, claims)


def judge(cell: Cell, comparisons: int, seed: int = 0) -> tuple[Cell, float, float, float]:
    """Of its comparisons the share with any verdict; and how often the overall and plain 95% intervals hold."""
    rng = np.random.default_rng([seed, *cell.text.encode()])
    wrong = held = cases_held = 0.0
    for _ in range(comparisons):
        overall, claims = compared(side(rng, cell, "b"), side(rng, cell, "c"))
        wrong += any(c.verdict not in (None, "no difference shown") for c in (overall, *claims))
        assert overall.interval is not None
        held += overall.interval[0] <= 1 <= overall.interval[1]
        intervals = [c.ci95 for c in claims if c.ci95 is not None]
        cases_held += sum(low <= 1 <= high for low, high in intervals) / len(intervals)
    return cell, wrong / comparisons, held / comparisons, cases_held / comparisons


def joules(gains: tuple[float, float], machines: int, comparisons: int, seed: int = 0) -> float:
    """How often the interval of a ratio of joules holds the true one; `gains` are the sensors' standard errors.

    Five processes a run scatter by 1%, machines by 1.5%; all of a side are off by one and the same gain.
    """
    rng = np.random.default_rng([seed, machines, *(round(1000 * gain) for gain in gains)])
    metric, held = BY_KEY["energy_j_per_sample"], 0
    for _ in range(comparisons):
        sides = []
        for name, gain in zip("bc", gains, strict=True):
            logs = (
                rng.normal(0, gain) + rng.normal(0, MACHINE_SPREAD, (machines, 1)) + rng.normal(0, 0.01, (machines, 5))
            )
            found: Any = SimpleNamespace(case_id=name, absent={})
            find: Any = dict
            case = CaseEvidence(found, find, "", gains={gain})
            for machine, each in enumerate(logs):
                numbers = [float("nan")] * (PER_METRIC * len(METRICS))
                of_run = (len(each), each.mean(), ((each - each.mean()) ** 2).sum(), np.exp(each.mean()))
                numbers[AT[metric.key] : AT[metric.key] + PER_METRIC] = map(float, of_run)
                case.rows.append((f"{name}{machine}", numbers, f"{name}{machine}"))
            case.__dict__ |= {"in_full": {}, "newest": found}
            sides.append(case)
        effect = analysis.difference(Pair(sides[0], sides[1], (), ()), metric, MACHINE_SPREAD).effect
        assert effect is not None and effect.ci95 is not None
        held += effect.ci95[0] <= 1 <= effect.ci95[1]
    return held / comparisons


def _judge(job: tuple[Cell, int]) -> tuple[Cell, float, float, float]:
    return judge(*job)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    started = time.monotonic()
    jobs = sorted(((Cell.of(text), options.comparisons) for text in CELLS), key=lambda job: -job[0].cases)
    with multiprocessing.Pool(options.processes) as pool:
        found = {row[0].text: row for row in pool.imap_unordered(_judge, jobs)}
    print("sd% n runs day% machines cases sides processes tails            any verdict  overall held  cases held")
    misses = {"verdict": 0, "never": 0, "overall": 0, "cases": 0}
    rows = [found[text] for text in CELLS]
    for apart in (False, True):
        if apart:
            print("\napart: days scatter by more than what is added, and there are fewer than 3 runs")
        for cell, wrong, held, cases_held in rows:
            if cell.apart is not apart:
                continue
            bad = [wrong > MOST, wrong > NEVER, held < LEAST, cases_held < LEAST]
            if not apart:
                misses = {name: count + miss for (name, count), miss in zip(misses.items(), bad, strict=True)}
            print(f"{cell.text:60} {wrong:12.1%} {held:13.1%} {cases_held:11.1%}{'  <' if any(bad) else ''}")
    print("\nsensor gains, machines a side        ratio of joules held")
    energies = [joules(gains, machines, options.comparisons) for gains, machines in ENERGY]
    for (gains, machines), held in zip(ENERGY, energies, strict=True):
        print(f"{gains[0]:.0%} and {gains[1]:.0%}, {machines}{held:44.1%}{'  <' if held < LEAST else ''}")
    judged = sum(not row[0].apart for row in rows)
    met = (
        min(energies) >= LEAST
        and misses["never"] == 0
        and all(misses[n] <= (1 - SHARE) * judged for n in ("verdict", "overall", "cases"))
    )
    print(f"\n{judged} cells: any verdict above {MOST:.0%} in {misses['verdict']}, "
          f"above {NEVER:.0%} in {misses['never']}; "
          f"coverage below {LEAST:.0%} in {misses['overall']} (overall) and {misses['cases']} (cases); "
          f"goals {'met' if met else 'MISSED'}; {time.monotonic() - started:.0f} s")  # fmt: skip
    return int(not met)


# sd% processes runs day% machines cases sides together tails
CELLS = tuple(
    """
0.3 3 1 0 same 5 odd beside heavy
0.3 3 1 1 3 1 even beside heavy
0.3 3 1 2 same 1 even beside normal
0.3 3 2 0 1 5 even alone normal
0.3 3 2 0 same 5 odd beside normal
0.3 3 5 1 1 30 odd alone heavy
0.3 5 1 0 1 30 odd alone normal
0.3 5 1 1 3 1 odd alone heavy
0.3 5 1 2 1 1 even alone normal
0.3 5 2 0 3 30 even alone normal
0.3 5 2 1 1 5 even beside normal
0.3 5 2 1 3 1 even alone normal
0.3 5 2 1 3 1 odd alone normal
0.3 5 2 2 3 30 even beside heavy
0.3 5 2 2 same 5 even beside normal
0.3 5 5 0 1 1 odd alone heavy
0.3 5 5 2 3 5 odd alone heavy
0.3 5 5 2 same 30 even beside normal
0.3 10 1 0 3 5 odd alone heavy
0.3 10 1 0 same 5 odd alone normal
0.3 10 1 1 same 30 odd alone normal
0.3 10 1 2 same 1 odd alone heavy
0.3 10 2 1 same 30 odd beside normal
0.3 10 2 2 3 5 odd alone normal
0.3 10 5 0 3 30 even beside heavy
0.3 10 5 0 same 30 odd beside heavy
0.3 10 5 2 1 30 odd beside normal
0.3 10 5 2 3 1 odd beside heavy
1 3 1 0 3 1 even beside heavy
1 3 1 0 3 5 odd alone heavy
1 3 1 0 3 5 odd beside normal
1 3 1 1 1 5 odd beside heavy
1 3 1 2 1 30 odd alone normal
1 3 1 2 3 30 odd beside normal
1 3 1 2 3 5 even alone normal
1 3 2 1 3 30 even alone heavy
1 3 2 2 same 30 odd beside heavy
1 3 5 0 same 1 even alone heavy
1 3 5 1 same 1 even beside normal
1 3 5 2 3 5 odd beside normal
1 5 2 0 1 5 odd beside normal
1 5 2 1 1 5 even beside normal
1 5 5 0 1 1 even alone normal
1 5 5 0 1 1 odd beside heavy
1 5 5 0 3 30 even beside normal
1 5 5 2 1 5 odd alone normal
1 10 2 0 same 1 even alone heavy
1 10 2 1 1 5 even alone heavy
1 10 2 1 same 1 even alone heavy
1 10 5 0 1 5 odd beside heavy
1 10 5 0 same 1 odd alone heavy
1 10 5 1 1 5 odd beside normal
1 10 5 1 same 30 odd beside normal
3 3 1 0 3 1 even beside heavy
3 3 1 2 3 1 odd beside normal
3 3 1 2 same 30 even alone normal
3 3 2 1 3 30 even alone heavy
3 3 2 2 same 30 even alone normal
3 3 5 0 3 5 even alone normal
3 3 5 1 1 5 odd alone normal
3 3 5 1 same 30 even alone normal
3 5 1 0 1 1 even beside heavy
3 5 1 1 1 5 odd alone normal
3 5 1 1 same 1 odd beside normal
3 5 1 2 3 1 odd beside heavy
3 5 2 2 same 1 even alone heavy
3 5 5 0 same 5 even beside normal
3 5 5 2 1 30 odd beside heavy
3 5 5 2 3 5 odd alone heavy
3 5 5 2 same 1 even alone heavy
3 5 5 2 same 30 odd alone heavy
3 10 1 1 1 5 even beside heavy
3 10 2 0 1 1 even beside normal
3 10 2 2 1 1 even beside heavy
3 10 2 2 3 1 even beside heavy
3 10 2 2 same 30 odd alone heavy
3 10 5 0 1 5 even alone normal
3 10 5 1 same 5 odd alone heavy
3 10 5 2 1 5 even beside heavy
3 10 5 2 3 1 odd alone normal
10 3 1 0 same 30 odd alone normal
10 3 1 1 3 5 even alone heavy
10 3 1 1 same 30 even alone normal
10 3 1 2 1 1 odd alone heavy
10 3 2 0 3 30 odd alone heavy
10 3 2 1 3 1 even alone heavy
10 3 2 2 1 1 even beside heavy
10 3 2 2 1 5 odd beside normal
10 3 2 2 same 1 even alone normal
10 3 5 0 3 30 odd alone normal
10 3 5 1 1 1 odd beside heavy
10 5 1 0 same 5 odd beside normal
10 5 1 1 1 30 odd beside normal
10 5 1 1 3 5 even beside heavy
10 5 1 2 1 30 even alone normal
10 5 2 0 3 5 odd beside heavy
10 5 5 0 3 30 even alone heavy
10 5 5 1 1 30 even alone normal
10 5 5 1 3 1 odd alone normal
10 5 5 1 same 1 even alone heavy
10 5 5 2 same 5 odd beside normal
10 10 1 0 same 1 odd alone heavy
10 10 1 1 1 1 even beside normal
10 10 1 1 3 1 odd alone heavy
10 10 1 1 3 5 even alone heavy
10 10 2 0 1 30 odd beside heavy
10 10 2 0 same 1 even beside normal
10 10 5 2 same 30 even alone heavy
""".strip().splitlines()
)

if __name__ == "__main__":
    sys.exit(main())
