"""Gate, precision switches and torch.compile of gpuprof under other versions of PyTorch, on the CPU, as a table.

    python -m venv old && old/bin/pip install torch==2.9.1 torchvision==0.24.1 pydantic click pyyaml
    python scripts/torch_versions.py python old/bin/python

Each argument is an interpreter that has a torch. The last column holds the output errors of the CNN's inference through
torch.compile in bf16 and in fp16, which differ where both really ran: torch 2.9 and 2.11 took the code compiled for the
one for the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("cnn", "rnn", "lstm", "gru")
HEADINGS = ("torch", "switches read back", "gates", "compiled networks", "errors of bf16 and fp16, compiled")
LIMIT_S = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(row()))
        return 0
    print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS), flush=True)
    for python in options.pythons:
        with tempfile.TemporaryDirectory(prefix="torch-versions-") as place:
            env = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": place}
            done = subprocess.run([python, __file__, "--here", "-"], env=env, cwd=ROOT, capture_output=True, text=True,
                                  timeout=LIMIT_S, check=False)  # fmt: skip
        if done.returncode:
            print(f"{python}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return 1
        print("| " + " | ".join(json.loads(done.stdout.splitlines()[-1])) + " |", flush=True)
    return 0


def row() -> list[str]:
    """The cells of this interpreter's torch."""
    import torch

    from gpuprof.worker import precision

    read = {}
    for asked in ("ieee", "tf32"):
        precision.switch(asked)
        flags = precision.flags()
        names = [name for name in flags if name.startswith("fp32_precision.") or name.endswith("allow_tf32")]
        read[asked] = all(flags[name] in (asked, asked == "tf32") for name in names)
    plain = checked("eager", NETWORKS, ("ieee", "tf32", "bf16", "fp16"), ("train", "infer"))
    passed = [case for case, found in plain.items() if found["correctness"]["verdict"] == "pass"]
    compiled = checked("compile", NETWORKS, ("ieee",), ("infer",))
    by_dtype = checked("compile", ("cnn",), ("bf16", "fp16"), ("infer",))
    return [
        str(torch.__version__),
        ", ".join(f"{asked} {'yes' if held else 'no'}" for asked, held in read.items()),
        f"{len(passed)} of {len(plain)} pass"
        + "".join(f"; {case}: {said(plain[case])}" for case in plain.keys() - passed),
        ", ".join(f"{case.partition('-')[0]} {said(found)}" for case, found in compiled.items()),
        ", ".join(f"{found['correctness']['output_error']}" for found in by_dtype.values()),
    ]


def said(found: dict[str, Any]) -> str:
    """What became of a check, in a few words."""
    correctness = found["correctness"]
    return correctness["verdict"] or str(correctness["absent"]["verdict"])[:80]


def checked(
    variant: str, networks: tuple[str, ...], precisions: tuple[str, ...], modes: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """By case, what a worker's check on the CPU finds."""
    from gpuprof.config import suite
    from gpuprof.messages import Inspect
    from gpuprof.supervisor import plan
    from gpuprof.supervisor.machine import session

    sweep = [f"variant={variant}", f"sweep.precision=[{','.join(precisions)}]", f"sweep.mode=[{','.join(modes)}]"]
    found = {}
    with session() as inspector:
        for network in networks:
            for case in suite.load([ROOT / "configs" / f"{network}.yaml"], sweep)[0].cases:
                request = Inspect(case=plan.resolved(case, 1), device=None)
                try:
                    answer = inspector.ask(request, 600.0, alone=case.case_id if variant == "compile" else "")
                except Exception as error:  # noqa: BLE001 - the other cases are asked for
                    answer = {"correctness": {"verdict": None, "output_error": None, "absent": {"verdict": str(error)}}}
                found[case.case_id] = answer
    return found


if __name__ == "__main__":
    sys.exit(main())
