"""Gates, precision switches and torch.compile of gpuprof under other versions of PyTorch, on the CPU, as a table.

    python -m venv old && old/bin/pip install torch==2.9.1 torchvision==0.24.1 pydantic click pyyaml rich
    python scripts/torch_versions.py python old/bin/python

Each argument is an interpreter that has a torch; `gpuprof run --check` is asked in each. The last column holds the
output errors of the CNN through torch.compile in bf16 and in fp16, which differ where both really ran: torch 2.9 and
2.11 took the code compiled for the one for the other.
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
HEADINGS = ("torch", "switches read back", "gates", "compiled networks, inference",
            "errors of the compiled CNN in bf16, in fp16")  # fmt: skip
Case = dict[str, Any]  # of `run --check --json`


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    pythons = parser.parse_args().pythons
    print_row(HEADINGS)
    print_row(["---"] * len(HEADINGS))
    for python in pythons:
        print_row(row(python))
    return 0


def print_row(cells: Any) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def row(python: str) -> list[str]:
    """The cells of this interpreter's torch."""
    version = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True,
                             check=True).stdout.strip()  # fmt: skip
    plain = checked(python, NETWORKS, "sweep.precision=[ieee,tf32,bf16,fp16]", "sweep.mode=[train,infer]")
    compiled = checked(python, NETWORKS, "variant=compile", "mode=infer")
    halves = checked(python, ("cnn",), "variant=compile", "mode=infer", "sweep.precision=[bf16,fp16]")
    read = {asked: all(switches_are(asked, case) for case in plain) for asked in ("ieee", "tf32")}
    missed = [f"; {case['case_id']}: {case['why'] or case['state']}" for case in plain if case["state"] != "pass"]
    return [
        version,
        ", ".join(f"{asked} {'yes' if held else 'no'}" for asked, held in read.items()),
        f"{len(plain) - len(missed)} of {len(plain)} pass{''.join(missed)}",
        ", ".join(f"{case['case_id'].partition('-')[0]} {case['state']}" for case in compiled),
        ", ".join(map(output_error, halves)),
    ]


def output_error(case: Case) -> str:
    """Its error as text, or what became of it instead."""
    error = (case["correctness"] or {}).get("output_error")
    return case["state"] if error is None else f"{error:.6f}"


def switches_are(asked: str, case: Case) -> bool:
    """Whether every switch of float32 reads as it was set, where the case asked for this precision."""
    flags = case["precision"].get("flags", {})
    names = [name for name in flags if name.startswith("fp32_precision.") or name.endswith("allow_tf32")]
    right = bool(names) and all(flags[name] in (asked, asked == "tf32") for name in names)
    return right or case["precision"]["requested"] != asked


def checked(python: str, networks: tuple[str, ...], *settings: str) -> list[Case]:
    """What `run --check` of these networks finds on the CPU, in a cache of its own."""
    command = [python, "-m", "gpuprof", "run", *(f"configs/{name}.yaml" for name in networks), "--check", "--json",
               "--device", "cpu"]  # fmt: skip
    for setting in ("threads=1", *settings):
        command += ["--set", setting]
    with tempfile.TemporaryDirectory(prefix="torch-versions-") as place:
        env = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": place}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(f"{python}: {done.stderr.strip()}")
    cases: list[Case] = json.loads(done.stdout)["cases"]  # also where some fail: they say why
    return cases


if __name__ == "__main__":
    sys.exit(main())
