"""What reading a large store costs: CPU time and memory of `compare` and `report` over 10,000 generated runs.

Goals, with the index at hand: `compare` at most 0.5 s CPU; the full report at most 1.5 s CPU and 150 MB. The first
command after 10,000 new runs, which reads each of their records once, at most 10 s CPU. What the first page of an
installation costs, which extracts the charts' script, is shown without a goal.

The runs are made of one record of tests/data with values scattered by a seeded generator; they measure nothing.

python scripts/bench/report.py --runs 10000
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from _cost import cost

from gpuprof.record.versions import upgrade

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/data/samples/simulated"
DEVICES = (("nvidia", "Simulated NVIDIA", 1.0), ("amd", "Simulated AMD", 1.1))
HEADLINES = (
    ("throughput_per_s", "throughput", "samples_per_s"),
    ("throughput_total_per_s", "throughput", "samples_per_s_total"),
    ("latency_s", "latency", "p50"),
)
FIRST_S = 10.0  # of CPU time, over 10,000 runs that no index knows yet
GOALS = {"compare": (0.5, None), "report": (1.5, 150.0)}


def generate(store: Path, count: int, machines: int = 4) -> int:
    """Write `count` runs of two devices on several machines; returns their size in bytes."""
    samples = [p for p in sorted(SAMPLES.glob("*/record.json")) if "-lstm-" in p.parent.name]
    template = upgrade(json.loads(samples[0].read_text("utf-8")))  # new runs are of today's schema
    dice, start, size = random.Random(20_261_123), datetime(2026, 1, 1, tzinfo=timezone.utc), 0
    for number in range(count):
        vendor, name, speed = DEVICES[number % len(DEVICES)]
        when = start + timedelta(minutes=30 * number)
        run = f"{when:%Y%m%dT%H%M%SZ}-lstm-{number:08x}"
        record = json.loads(json.dumps(template))
        record |= {"run_id": run, "started_at": f"{when:%Y-%m-%dT%H:%M:%S}.000Z"}
        record["device"] |= {"vendor": vendor, "name": name, "uuid": f"GPU-{number % (2 * machines)}"}
        for case in record["cases"]:
            for repeat in case["repeats"]:
                factor = speed * dice.lognormvariate(0, 0.01)
                for field in ("samples_per_s", "samples_per_s_total"):
                    repeat["throughput"][field] *= factor
                repeat["latency"]["p50"] /= factor
            # Headlines are what their processes give, or they would be left out.
            for headline, part, field in HEADLINES:
                mean = statistics.geometric_mean(repeat[part][field] for repeat in case["repeats"])
                estimate = case[headline]
                estimate["p50" if headline == "latency_s" else "value"] = mean
                estimate["ci95"] = [0.9 * mean, 1.1 * mean]
        text = json.dumps(record)
        size += len(text)
        (store / run).mkdir(parents=True)
        (store / run / "record.json").write_text(text, "utf-8")
    return size


def measure(arguments: list[str], place: Path) -> tuple[float, float]:
    """CPU seconds and peak MB of one fresh gpuprof process; its index and bytecode are kept in `place`."""
    code = "import sys; sys.argv[0] = 'gpuprof'; from gpuprof.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return cost(command, place / "bytecode", PYTHONPATH=str(ROOT), XDG_CACHE_HOME=str(place / "cache"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        store, page = place / "store", str(place / "report.html")
        started = time.process_time()
        size = generate(store, options.runs)
        print(f"{options.runs:,} runs, {size / 1e6:,.0f} MB of records, made in {time.process_time() - started:.0f} s")
        commands = {
            "compare": ["compare", "vendor=nvidia", "vendor=amd", "--store", str(store), "--format", "json"],
            "report": ["report", "--store", str(store), "-o", page],
        }
        # Compiles, as an installation does: the store here is another one.
        measure(["compare", "vendor=nvidia", "vendor=amd", "--store", str(SAMPLES)], place)
        cpu, memory = measure(commands["compare"], place)
        met = cpu <= FIRST_S * options.runs / 10_000
        good = good and met
        print(f"first compare, every record read: {cpu:.1f} s CPU, {memory:.0f} MB "
              f"(goal {FIRST_S * options.runs / 10_000:g} s): {'met' if met else 'MISSED'}")  # fmt: skip
        cpu, memory = measure(commands["report"], place)
        print(f"first page of an installation: {cpu:.2f} s CPU, {memory:.0f} MB")
        for name, arguments in commands.items():
            found = [measure(arguments, place) for _ in range(options.repeat)]
            cpu, memory = min(c for c, _ in found), max(m for _, m in found)
            goal_s, goal_mb = GOALS[name]
            met = cpu <= goal_s and (goal_mb is None or memory <= goal_mb)
            good = good and met
            limit = "" if goal_mb is None else f", {goal_mb:g} MB"
            print(f"{name}: {cpu:.2f} s CPU, {memory:.0f} MB (goal {goal_s:g} s{limit}): {'met' if met else 'MISSED'}")
        print(f"page of the whole store: {Path(page).stat().st_size / 1e6:.2f} MB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
