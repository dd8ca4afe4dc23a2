"""Many processes publish into one store while some are killed: is any record lost, double or half?

8 writers, 1,000 runs each, through the journal and the atomic rename that `gpuprof run` uses; two are killed with
SIGKILL at moments that a seeded generator picks. Then the store has to hold every run that a writer says is published,
none twice, each of them whole; and `gpuprof store gc` has to clear what the dead left, and only that: a run that is
still going on stays.

python scripts/bench/store_writers.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from gpuprof.store import runs as store  # noqa: E402
from gpuprof.store import upkeep  # noqa: E402
from gpuprof.store.assemble import assemble  # noqa: E402
from gpuprof.store.journal import STAGING, Journal, unfinished  # noqa: E402
from support.journals import NOW, journal, repeat  # noqa: E402


def write(directory: Path, diary: Path, count: int) -> None:
    """Publish `count` runs; the diary says of each when it is begun and when it is done."""
    lines = journal(repeat(0), repeat(1))
    record, raw = assemble(lines, NOW)
    with diary.open("w", buffering=1) as said:
        for _ in range(count):
            run_id = store.new_run_id("writer")
            said.write(f"begun {run_id}\n")
            log = Journal(directory, run_id)
            for line in lines:
                log.append(line | {"run_id": run_id} if line["type"] == "run" else line)
            log.publish(record.model_copy(update={"run_id": run_id}), raw)
            said.write(f"done {run_id}\n")


def kill_at_random(writers: list[Any], directory: Path, total: int, victims: int, dice: random.Random) -> None:
    """SIGKILL for some writers, each when the store has reached a size of its own."""
    sizes = sorted(dice.randint(total // 20, total // 2) for _ in range(victims))
    chosen = dice.sample(writers, victims)
    for size, writer in zip(sizes, chosen, strict=True):
        while len(store.run_names(directory)) < size:
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.01))  # anywhere in the making of a run
        os.kill(writer.pid, signal.SIGKILL)


def gc(directory: Path, older_than: int) -> dict[str, Any]:
    """What `gpuprof store gc` says it did."""
    said = ["store", "gc", "--store", directory, "--older-than", older_than, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gpuprof", *map(str, said)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def faults(directory: Path, diaries: list[Path]) -> list[str]:
    """What is lost, double or half."""
    said = [line.split() for diary in diaries for line in diary.read_text().splitlines()]
    begun = [run for what, run in said if what == "begun"]
    done = {run for what, run in said if what == "done"}
    there = set(store.run_names(directory))
    staged = {path.name.removeprefix(STAGING) for path in unfinished(directory)}
    found = [f"lost: {run}" for run in done - there]
    found += [f"of nobody: {run}" for run in (there | staged) - set(begun)]
    found += [f"double: {run}" for run in there & staged]
    found += [f"double: {run}" for run, times in Counter(begun).items() if times > 1]
    found += [f"half: {fault}" for run in sorted(there) if (fault := upkeep.verify(directory / run)) is not None]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--runs", type=int, default=1000, help="of each writer (default 1000)")
    parser.add_argument("--kill", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20_261_123)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        directory, dice = Path(place) / "store", random.Random(options.seed)
        diaries = [Path(place) / f"diary-{number}" for number in range(options.writers)]
        alive = Journal(directory, store.new_run_id("alive"))
        context, started = multiprocessing.get_context("fork"), time.monotonic()
        writers = [context.Process(target=write, args=(directory, diary, options.runs)) for diary in diaries]
        for writer in writers:
            writer.start()
        kill_at_random(writers, directory, options.writers * options.runs, options.kill, dice)
        for writer in writers:
            writer.join()
        wall_s = time.monotonic() - started
        killed = sum(writer.exitcode == -signal.SIGKILL for writer in writers)
        wrong = [f"a writer failed: {w.exitcode}" for w in writers if w.exitcode not in (0, -signal.SIGKILL)]
        wrong += faults(directory, diaries)
        published = store.run_names(directory)
        left = sorted(path.name for path in directory.glob(".*") if path != alive.staging)
        for name in left:  # long enough ago that none of them may just be starting
            for path in (*(directory / name).iterdir(), directory / name):
                os.utime(path, (time.time() - 120,) * 2)
        kept = gc(directory, 7)["kept"]  # what `gpuprof recover` could still save
        cleared = gc(directory, 0)["removed"]
        there = {path.name for path in directory.iterdir()}
        if odd := there ^ {*published, alive.staging.name}:
            wrong.append(f"not cleared, or too much: {', '.join(sorted(odd))}")
    found = {"wall_s": round(wall_s, 1), "killed": killed, "published": len(published), "left": left,
             "recoverable": sorted(kept), "faults": wrong}  # fmt: skip
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{options.writers} writers, {killed} killed: {len(published):,} runs published in {wall_s:.1f} s")
        print(f"left by the dead: {len(left)}, recoverable: {len(kept)}, cleared by gc --older-than 0: {len(cleared)}")
        print("\n".join(wrong) or "no lost, double or half record")
    return 1 if wrong or killed != options.kill else 0


if __name__ == "__main__":
    sys.exit(main())
