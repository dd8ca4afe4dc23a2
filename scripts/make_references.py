"""Make gpuprof/worker/references.json: float64 CPU references of the correctness gate for the shipped configurations.

python scripts/make_references.py                                   # about a minute; VGG16 is what takes it
python scripts/make_references.py configs/rnn.yaml -o rnn.json      # of some, to look at
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from gpuprof.case_keys import Mode
from gpuprof.config import suite
from gpuprof.worker import correctness

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=Path, metavar="CONFIG", help="default: every file of configs/")
    parser.add_argument("-o", "--output", type=Path, help=f"default: {correctness.SHIPPED.name} beside the gate")
    options = parser.parse_args()
    if options.configs and options.output is None:
        parser.error("the shipped file holds every configuration: name another with -o")
    found = references(options.configs or sorted((ROOT / "configs").glob("*.yaml")))
    (options.output or correctness.SHIPPED).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def references(paths: Sequence[Path]) -> dict[str, Any]:
    """By `correctness.reference_key`, the references of each configuration's first case; a line is printed of each.

    One for both modes, where they do not differ.
    """
    found: dict[str, Any] = {}
    for configuration, mode in itertools.product(suite.load(paths), get_args(Mode)):
        spec = configuration.cases[0]
        case = replace(spec, threads=spec.threads or 1, mode=mode)
        if (key := correctness.reference_key(case)) in found:
            continue
        reference = correctness.compute_reference(case)
        found[key] = correctness.reference_as_json(reference)
        print(f"{Path(configuration.record.file).name}: loss {reference.loss:.6f} -> {reference.loss_curve[-1]:.6f}")
    return found


if __name__ == "__main__":
    main()
