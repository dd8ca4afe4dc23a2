"""How large a difference comparisons find, in simulation: five processes a run that scatter by 1%, truly 5% faster.

    python scripts/bench/power.py [--comparisons 400]

For each design and number of cases the share of comparisons whose overall claim is "faster", the median of the MDE that
they print, and the share that is found where the true difference is that MDE. Goals: power does not fall as runs or
machines are added; from three runs or machines a side on it is at least what it was when every claim was tested at one
level (BEFORE); the printed MDE is found in 75 to 90%, where days and machines scatter as it is taken that they do.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys

import numpy as np
import referee

DESIGNS = {  # the referee's cell but for its cases: sd, processes, runs, day, machines
    "1 run a side, two machines": "1 5 1 1 1",
    "1 run a side, one machine": "1 5 1 1 same",
    "2 runs a side, one machine": "1 5 2 1 same",
    "3 runs a side, one machine": "1 5 3 1 same",
    "5 runs a side, one machine": "1 5 5 1 same",
    "3 machines a side": "1 5 1 0 3",
    "5 machines a side": "1 5 1 0 5",
}
BEFORE = {"3 runs a side, one machine": (0.87, 0.46, 0.0), "3 machines a side": (0.59, 0.21, 0.05),
          "5 machines a side": (0.98, 0.87, 0.57)}  # fmt: skip
GROWING = (
    ("1 run a side, one machine", "2 runs a side, one machine", "3 runs a side, one machine",
     "5 runs a side, one machine"),
    ("1 run a side, two machines", "3 machines a side", "5 machines a side"),
)  # fmt: skip
CASES, TRUTH, NOISE = (1, 5, 30), 1.05, 0.04


def found(cell: referee.Cell, comparisons: int, log: float) -> tuple[float, float]:
    """Share of comparisons that find the candidate faster, and the median MDE, where the true ratio's log is `log`."""
    rng = np.random.default_rng([7, *cell.text.encode()])
    shown, told = 0, []
    for _ in range(comparisons):
        overall, _ = referee.compared(referee.side(rng, cell, "b"), referee.side(rng, cell, "c", log))
        shown += overall.verdict == "faster"
        told.append(overall.mde or 0.0)
    return shown / comparisons, statistics.median(told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=400)
    options = parser.parse_args()
    power: dict[str, list[float]] = {}
    missed = False
    print(f"{'':28}" + "".join(f"{cases:>10} cases: found, MDE, MDE found" for cases in CASES))
    for name, text in DESIGNS.items():
        line, power[name] = f"{name:28}", []
        for position, cases in enumerate(CASES):
            cell = referee.Cell.of(f"{text} {cases} even alone normal")
            share, mde = found(cell, options.comparisons, math.log(TRUTH))
            again, _ = found(cell, options.comparisons, math.log1p(mde))
            least = BEFORE.get(name, (0.0,) * len(CASES))[position]
            bad = share < least - NOISE or (not 0.75 - NOISE <= again <= 0.90 + NOISE)
            missed |= bad
            power[name].append(share)
            line += f"{share:15.2f} {mde:8.1%} {again:8.2f}{' <' if bad else '  '}"
        print(line, flush=True)
    for names in GROWING:
        for fewer, more in itertools.pairwise(names):
            if any(b < a - NOISE for a, b in zip(power[fewer], power[more], strict=True)):
                missed = True
                print(f"power falls from {fewer} to {more}")
    print("goals " + ("MISSED" if missed else "met"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
