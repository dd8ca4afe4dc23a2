"""CPU time of short commands over that of `python -c pass`, least of several processes each.

Goals: `gpuprof --help` at most 1.3 times, with neither torch nor numpy imported; `gpuprof run --dry-run` at most 12
times. The other rows have no goal: they say what remains when gpuprof itself costs nothing. A dry run imports click,
PyYAML and pydantic, which checks configurations and plans; these alone cost more than 12 times, as their row shows.

python scripts/bench/cli_start.py --n 15
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from _cost import cost

ROOT = Path(__file__).parents[2]
GPUPROF = [sys.executable, "-c", "import sys; sys.argv[0] = 'gpuprof'; from gpuprof.cli import main; main()"]
LIBRARIES = "import click, yaml, pydantic; pydantic.create_model('Checked', value=(int, 1))()"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "gpuprof --help": [*GPUPROF, "--help"],
    "gpuprof run --help": [*GPUPROF, "run", "--help"],
    "gpuprof compare --help": [*GPUPROF, "compare", "--help"],
    "click, PyYAML": [sys.executable, "-c", "import click, yaml"],
    "click, PyYAML, pydantic": [sys.executable, "-c", LIBRARIES],
    "gpuprof run --dry-run": [*GPUPROF, "run", str(ROOT / "configs/lstm.yaml"), "--dry-run"],
}
GOALS = {"gpuprof --help": 1.3, "gpuprof run --dry-run": 12.0}
HEAVY = ("torch", "numpy", "scipy", "rich", "pydantic")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=15)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as bytecode:
        for command in COMMANDS.values():
            cost(command, Path(bytecode), PYTHONPATH=str(ROOT))
        for _ in range(options.n):
            for name, command in COMMANDS.items():
                times[name].append(cost(command, Path(bytecode), PYTHONPATH=str(ROOT))[0])
    least_s = {name: min(values) for name, values in times.items()}
    good = True
    for name, value_s in least_s.items():
        ratio = value_s / least_s["python -c pass"]
        met = name not in GOALS or ratio <= GOALS[name]
        good = good and met
        goal = f" (goal {GOALS[name]:g}): {'met' if met else 'MISSED'}" if name in GOALS else ""
        print(f"{name:24} {value_s * 1e3:6.1f} ms CPU, {ratio:5.2f} x python -c pass{goal}")
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *GPUPROF[1:], "--help"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    ).stderr  # fmt: skip
    heavy = [name for name in HEAVY if f" {name}\n" in loaded]
    print(f"gpuprof --help imports of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}")
    return 0 if good and not heavy else 1


if __name__ == "__main__":
    sys.exit(main())
