"""What the index of a large store costs: made once, brought up to date, and asked; CPU and wall seconds, memory, size.

The runs are those of report.py: one record of tests/data with values scattered by a seeded generator. They measure
nothing. 100,000 of them are 5 GB and take some twenty minutes; --runs 10000 is a first look: costs are in proportion.

Goals: a store that did not change is asked in at most 20 µs of CPU a run, with at most 2 kB of memory a run. The last
question is for a seed that none has.

python scripts/bench/index.py --runs 100000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import ROOT, generate

ASKED = {
    "open, nothing new": "pass",
    "all runs of one device": "deque(index.briefs(parse('device~AMD')), 0)",
    "one machine's last day": "deque(index.briefs(parse(f'vendor=nvidia,date>={last}')), 0)",
    "is this case held?": "held(index, suite, protocol, conditions, 1)",
    "is that case held? (no)": "held(index, other, protocol, conditions, 1)",
}
CODE = """
import json, resource, sys, time
from collections import deque
from pathlib import Path
from gpuprof.config import configuration as config
from gpuprof.store import runs as store
from gpuprof.index.brief import brief
from gpuprof.index.digest import digest
from gpuprof.index.database import Index
from gpuprof.supervisor.resume import Conditions, held
from gpuprof.index.selector import parse
directory, asked = Path(sys.argv[1]), sys.argv[2]
names = store.run_names(directory)
record = store.read(directory / names[-1])
last = record.started_at[:10]
conditions = Conditions.of(brief(digest(record)))
protocol = record.protocol
suites = [config.parse(config.Source(record.config.text, ""), [*record.config.overrides, *more], record.config)
          for more in ((), ("seed=7",))]
suite, other = suites
resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, cpu = time.perf_counter(), time.process_time()
with Index(directory) as index:
    found = eval(asked) if asked != "pass" else None
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024, repr(found)]))
"""


def ask(store: Path, cache: Path, asked: str) -> tuple[float, float, float, str]:
    """Wall and CPU seconds, bytes and the answer, in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(store), asked], env=environment, stdout=subprocess.PIPE, check=True
    )
    return tuple(json.loads(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    options = parser.parse_args()
    count, good = options.runs, True
    with tempfile.TemporaryDirectory() as place:
        store, cache = Path(place) / "store", Path(place) / "cache"
        started = time.monotonic()
        size = generate(store, count)
        print(f"{count:,} runs, {size / 1e6:,.0f} MB of records, written in {time.monotonic() - started:.0f} s")
        wall, cpu, memory, _ = ask(store, cache, "pass")
        index = sum(file.stat().st_size for file in cache.rglob("*.sqlite"))
        print(f"made: {wall:.0f} s, {cpu:.0f} s CPU ({cpu / count * 1e3:.1f} ms a run), {memory / 1e6:.0f} MB; "
              f"the file has {index / 1e6:.0f} MB")  # fmt: skip
        for title, asked in ASKED.items():
            wall, cpu, memory, answer = min(ask(store, cache, asked) for _ in range(3))
            met = cpu / count <= 20e-6 and memory / count <= 2000
            good = good and (met or count < 10_000)
            said = "" if len(answer) > 120 or answer.startswith(("None", "deque")) else f"   {answer}"
            print(f"{title}: {wall:.2f} s, {cpu:.2f} s CPU ({cpu / count * 1e6:.1f} µs a run), {memory / 1e6:.0f} MB "
                  f"({memory / count / 1e3:.1f} kB a run): {'met' if met else 'MISSED'}{said}")  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
