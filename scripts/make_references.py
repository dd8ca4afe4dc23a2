"""Make gpuprof/worker/references.json: float64 CPU references of the correctness gate for the shipped configurations.

python scripts/make_references.py            # about a minute; VGG16 is what takes it
"""

from __future__ import annotations

import json
from pathlib import Path

from gpuprof import config
from gpuprof.case import CaseSpec
from gpuprof.worker import correctness

ROOT = Path(__file__).parent.parent


def main() -> None:
    references = {}
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        spec = config.load(path).cases[0]
        case = CaseSpec(**{**vars(spec), "threads": spec.threads or 1})
        reference = correctness.compute_reference(case)
        references[correctness.reference_key(case)] = correctness.reference_as_json(reference)
        print(f"{path.name}: loss {reference.loss:.6f} -> {reference.loss_curve[-1]:.6f}")
    correctness.SHIPPED.write_text(json.dumps(references, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
