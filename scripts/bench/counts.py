"""FLOP and parameter counts of the networks against exact integers. Goal: every ratio is exactly 1.

python scripts/bench/counts.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from gpuprof.worker import flops
from support.cases import EXACT, case, exact_flops


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=formatter).parse_args()
    wrong = 0
    for name, (trainable, everything, forward, _) in EXACT.items():
        found = flops.parameters(case(name))
        wrong += found != (trainable, everything)
        print(f"{name:6} parameters {found[0]:,} / {trainable:,} trainable, {found[1]:,} / {everything:,} in all")
        for length in (1, 7, 100) if len(forward) > 1 else (None,):
            counted, _ = flops.count(case(name, seq_len=length))
            for kind, exact in zip(("forward", "backward"), exact_flops(name, length or 0), strict=True):
                value = getattr(counted, kind)
                wrong += value != exact
                at = f"T={length}" if length else ""
                print(f"       {kind:8} {at:6} {value:>14,} / {exact:>14,}  ratio {value / exact!r}")
    print("every count exact" if not wrong else f"{wrong} counts WRONG")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
