"""Make the sample runs of tests/data/samples: stored by `gpuprof run` itself, none of their numbers written by hand.

cpu         this machine's CPU
simulated   PyTorch's CUDA build on a simulated device (tests/support/simulators), for the MI300X in the shape of its
            ROCm build; the sensors are simulated vendor libraries, whose power follows what the device is given to do.
            The records say `simulated: true`: their times are those of launching kernels that compute nothing, and
            their joules nobody's.

The hostname in the records is `sample-host`: each run has a UTS namespace of its own (unshare, from util-linux), and an
environment without the variables of whoever calls. A run that failed, or was not steady, is repeated; the run with the
fewest unsteady cases is kept.

python scripts/make_sample_data.py                      both kinds, some 10 minutes
python scripts/make_sample_data.py cpu --attempts 5     one kind; its old runs go when all the new ones are there
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "tests" / "data" / "samples"
HOSTNAME = "sample-host"
LARGEST_RUN_BYTES = 300_000
LIMIT_S = 600
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG")
# Files of a system are the same everywhere; any other absolute path tells of this machine.
MACHINE_PATH = re.compile(r"(?<![\w.~/])/(?!sys/|proc/|dev/)[\w.-]+/[\w.-]+")

QUICK_5 = ("--quick", "--set", "repeats=5", "--set", "threads=1")
QUICK_3 = ("--quick", "--set", "threads=1")
GPUS = ("h100", "mi300x_spx")


@dataclass(frozen=True)
class Sample:
    config: str
    options: tuple[str, ...]
    gpu: str | None = None  # scenario of the GPU that the worker believes in


PLAN = {
    "cpu": [
        Sample("lstm", QUICK_5),
        Sample("lstm", (*QUICK_5, "--set", "threads=2")),
        Sample("cnn", (*QUICK_3, "--set", "sweep.batch_size=[16,64,256]")),
        Sample("rnn", QUICK_3),
    ],
    "simulated": [
        Sample(config, options, gpu)
        for gpu in GPUS
        for config, options in (("lstm", QUICK_5), ("cnn", (*QUICK_3, "--set", "sweep.batch_size=[16,64,256]")))
    ],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="cpu, simulated; both when none is named")
    parser.add_argument("--into", type=Path, default=SAMPLES, help="default: tests/data/samples")
    parser.add_argument("--attempts", type=int, default=3, help="how often a run may be tried (default 3)")
    options = parser.parse_args()
    kinds = options.kinds or list(PLAN)
    if unknown := set(kinds) - set(PLAN):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(PLAN)}")
    with tempfile.TemporaryDirectory(prefix="samples-") as place:
        for kind in kinds:
            runs = [best(sample, Path(place), options.attempts) for sample in PLAN[kind]]
            replace(options.into / kind, runs)
            for run in runs:
                size = sum(file.stat().st_size for file in run.iterdir())
                print(f"{kind}: {run.name}   {size / 1000:.0f} kB")
    return 0


def best(sample: Sample, place: Path, attempts: int) -> Path:
    """The directory of the first steady run, or of the one that comes nearest."""
    found: list[tuple[int, Path]] = []
    for attempt in range(attempts):
        run = measure(sample, place)
        record = json.loads((run / "record.json").read_text("utf-8"))
        if faults := wrong(sample, record, run):
            print("\n".join([f"{run.name}: attempt {attempt + 1} gave no sample:", *faults]), flush=True)
            continue
        unsteady = sum(not case["steady"] for case in record["cases"])
        print(f"{run.name}: attempt {attempt + 1}, {unsteady} of {len(record['cases'])} cases not steady", flush=True)
        found.append((unsteady, run))
        if not unsteady:
            break
    if not found:
        raise SystemExit(f"{attempts} attempts gave no sample of {sample}")
    return min(found)[1]


def measure(sample: Sample, place: Path) -> Path:
    """Run gpuprof once; its published directory."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = str(ROOT)
    if sample.gpu is not None:
        environment |= simulated(sample.gpu, place)
    store = place / "store"
    command = [
        *renamed(), sys.executable, "-m", "gpuprof", "run", f"configs/{sample.config}.yaml", *sample.options,
        "--device", "cpu" if sample.gpu is None else "gpu", "--store", str(store), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode not in (0, 1):  # 1: something failed, and its record is kept
        raise SystemExit(f"gpuprof run ended with exit code {done.returncode}\n{done.stdout}")
    return store / json.loads(done.stdout)["run_id"]


def renamed() -> list[str]:
    """What a command is put behind to see HOSTNAME as its machine's name."""
    tool = shutil.which("unshare")
    for namespace in (["--uts"], ["--user", "--map-root-user", "--uts"]):
        if tool is None:
            break
        prefix = [tool, *namespace, "sh", "-c", f'hostname {HOSTNAME} && exec "$@"', "sh"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    raise SystemExit("the samples need a hostname of their own: `unshare --uts` (util-linux) cannot be used here")


def simulated(model: str, place: Path) -> dict[str, str]:
    """Variables under which supervisor and worker see that GPU; builds the simulated libraries where they are not."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import simulators
    from support.simulators import cuda
    from support.simulators.machine import machine

    libraries, runtime = place / "libraries", place / "cuda"
    if not libraries.is_dir():
        simulators.build(libraries)
        cuda.build(runtime)
    return machine(model, libraries, runtime, Path(tempfile.mkdtemp(dir=place)), path=[ROOT])


def wrong(sample: Sample, record: dict[str, Any], run: Path) -> list[str]:
    """What keeps a run from being a sample."""
    faults = []
    if record["outcome"] != "ok":
        faults.append(f"outcome {record['outcome']}: {record['reason']}")
    if record["simulated"] != (sample.gpu is not None):
        faults.append(f"simulated: {record['simulated']}")
    if record["environment"]["hostname"] != HOSTNAME:
        faults.append(f"hostname {record['environment']['hostname']}")
    if record["environment"]["variables"]:
        faults.append(f"environment variables {', '.join(record['environment']['variables'])}")
    faults += [f"a path of this machine: {text}" for text in texts(record) if MACHINE_PATH.search(text)]
    if (size := sum(file.stat().st_size for file in run.iterdir())) > LARGEST_RUN_BYTES:
        faults.append(f"{size} bytes, {LARGEST_RUN_BYTES} at most")
    return faults


def texts(value: Any) -> Iterator[str]:
    """Every key and every text of a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts(item)


def replace(folder: Path, runs: list[Path]) -> None:
    """These runs, and no others, in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for run in runs:
        shutil.copytree(run, folder / run.name)


if __name__ == "__main__":
    sys.exit(main())
