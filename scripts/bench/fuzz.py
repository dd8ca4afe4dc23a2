"""Damaged and hostile files, by the thousand: is each read, or refused by its name, within bounds of time and memory?

    python scripts/bench/fuzz.py [--inputs 20000] [--through-commands 300] [--seed 1]

Records, journals, raw series, index files and configurations are changed by a seeded generator: some blindly (bytes
flipped, cut, repeated), some by their structure (a value replaced by one of NASTY, keys dropped, doubled, nested). Each
is read in a process of its own, with 10 s and 1 GB; some hundreds go through the command line.

Prints for each kind: tried, read, refused by name, tracebacks, too slow, out of memory. Goal: 0 of the last three.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from gpuprof.analysis import compare, evidence  # noqa: E402
from gpuprof.config import suite  # noqa: E402
from gpuprof.errors import GpuprofError  # noqa: E402
from gpuprof.index.database import Index, digest_of  # noqa: E402
from gpuprof.report.stories import comparison  # noqa: E402
from gpuprof.report.views.run import render  # noqa: E402
from gpuprof.store import recovery, upkeep  # noqa: E402
from gpuprof.store import runs as store  # noqa: E402
from gpuprof.store.raw import read_raw  # noqa: E402
from support.journals import journal, repeat  # noqa: E402

TIME_S, MEMORY_BYTES = 10, 1 << 30
READ, REFUSED, TRACEBACK, MEMORY, SLOW = range(5)
WORDS = ("read", "refused by name", "tracebacks", "out of memory", "too slow")
RUN_ID = "20261123T090000Z-fuzz-00000000"
SAMPLES = sorted((ROOT / "tests" / "data" / "samples").glob("*/2*"))
NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1e-320, 1e308, -1e308, 10**19, 10**400, float("nan"), float("inf"), "", "x" * 100_000,
    "\ud800", "\uffff\u2028\u202e", "a\0b", "../../etc/passwd", "=1+1;=2", "<script>", [], {}, [[]], {"a": {}},
    [0] * 10_000, "2026-99-99", "NaN", "1e999",
)  # fmt: skip
CONFIGS = tuple(sorted((ROOT / "configs").glob("*.yaml")))


# ---- damage


def blind(data: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, cut out, repeated, or put elsewhere."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5, 30))):
        if not changed:
            break
        at, length = dice.randrange(len(changed)), dice.choice((1, 2, 8, 200))
        piece = bytes(changed[at : at + length])
        changed[at : at + length] = dice.choice((b"", dice.randbytes(length), piece * 3, piece[::-1], b"\0" * length))
    return bytes(changed[: dice.randrange(len(changed))]) if changed and dice.random() < 0.1 else bytes(changed)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of plain data."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def by_structure(data: Any, dice: random.Random) -> None:
    """Change plain data in place."""
    for _ in range(dice.choice((1, 1, 1, 2, 6))):
        found = list(places(data))
        if not found:
            return
        holder, key = dice.choice(found)
        what = dice.random()
        if what < 0.7:
            holder[key] = copy.deepcopy(dice.choice(NASTY))
        elif what < 0.8:
            del holder[key]
        elif what < 0.9 and isinstance(holder, dict):
            holder[dice.choice(("x" * 300, "\u202e", "absent", "schema"))] = copy.deepcopy(dice.choice(NASTY))
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = {"deeper": holder[key]}


def damaged(text: bytes, dice: random.Random) -> bytes:
    """A JSON document, changed by its structure or blindly."""
    if dice.random() < 0.25:
        return blind(text, dice)
    data = json.loads(text)
    by_structure(data, dice)
    return json.dumps(data, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


# ---- kinds: each makes a file in a directory, and reads it


def make_record(place: Path, dice: random.Random) -> Path:
    source = dice.choice(SAMPLES)
    run = place / RUN_ID
    run.mkdir()
    shutil.copy(source / "raw.npz", run)
    (run / "record.json").write_bytes(damaged((source / "record.json").read_bytes(), dice))
    return run


def read_record(run: Path) -> None:
    digest = digest_of(run)
    record = store.read(run)
    for part in render(record, 80):
        str(part)
    if len(record.to_json()) % 4 == 0:  # takes most of the time
        sides = (evidence.gather(text, [(digest, digest.cases)]) for text in "xy")
        comparison.story(compare.compare(*sides), "2026-11-23T09:00:00Z")
    upkeep.verify(run)


def make_journal(place: Path, dice: random.Random) -> Path:
    lines = journal(*(repeat(i) for i in range(3)), end=dice.random() < 0.5)
    lines[0] |= {"run_id": RUN_ID}
    staging = place / f".tmp-{RUN_ID}"
    staging.mkdir()
    texts = [json.dumps(line).encode() for line in lines]
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.randrange(len(texts))
        texts[at] = damaged(texts[at], dice) if texts[at].startswith(b"{") and _is_json(texts[at]) else texts[at]
    (staging / "journal.jsonl").write_bytes(b"\n".join(texts) + b"\n" * (dice.random() < 0.8))
    return staging


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_journal(staging: Path) -> None:
    list(upkeep.leftovers(staging.parent, 7 * 86_400, time.time()))
    for found in recovery.recover(staging.parent, time.time() + 3600):
        if found.outcome == "failed":
            raise GpuprofError(f"{found.path}: {found.why}")


def make_raw(place: Path, dice: random.Random) -> Path:
    run = place / RUN_ID
    run.mkdir()
    (run / "raw.npz").write_bytes(blind((dice.choice(SAMPLES) / "raw.npz").read_bytes(), dice))
    return run


def read_series(run: Path) -> None:
    for values in read_raw(run).values():
        sum(values)


def make_index(place: Path, dice: random.Random) -> Path:
    for source in dice.sample(SAMPLES, 2):
        shutil.copytree(source, place / "store" / source.name)
    with Index(place / "store", place=place / "cache"):
        pass
    (file,) = (place / "cache").glob("*.sqlite")
    if dice.random() < 0.5:
        file.write_bytes(blind(file.read_bytes(), dice))
        return place / "store"
    with sqlite3.connect(file) as database:
        table, column = dice.choice((("texts", "text"), ("runs", "cases"), ("runs", "numbers"), ("runs", "digest"),
                                     ("runs", "head"), ("runs", "stamp")))  # fmt: skip
        value = dice.choice(("", "x", "{}", b"\0" * 7, 10**15, "[" * 5000, '{"workload": 1}', None))
        database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
    database.close()
    return place / "store"


def read_index(where: Path) -> None:
    with Index(where, place=where.parent / "cache") as index:
        found = [run for run, _ in index.briefs()]
        if sum(1 for _ in index.digests([run.name for run in found])) != 2 or index.faults:
            raise RuntimeError(f"a run is hidden: {len(found)} found, {index.faults}")


def make_configuration(place: Path, dice: random.Random) -> Path:
    file = place / "x.yaml"
    text = dice.choice(CONFIGS).read_bytes()
    if dice.random() < 0.5:
        key = dice.choice(
            ("workload", "batch_size", "seq_len", "params", "sweep", "repeats", "seed", "suite", "timeout_s")
        )
        text += f"\n{key}: {json.dumps(dice.choice(NASTY))}\n".encode("utf-8", "surrogatepass")
    file.write_bytes(blind(text, dice) if dice.random() < 0.7 else text)
    return file


def read_configuration(file: Path) -> None:
    suite.load([file])


Kind = tuple[Callable[[Path, random.Random], Path], Callable[[Path], None], float]
KINDS: dict[str, Kind] = {
    "record": (make_record, read_record, 0.4), "journal": (make_journal, read_journal, 0.2),
    "raw": (make_raw, read_series, 0.1), "index": (make_index, read_index, 0.1),
    "configuration": (make_configuration, read_configuration, 0.2),
}  # fmt: skip
COMMANDS: dict[str, Callable[[Path], list[list[str]]]] = {
    "record": lambda p: [["show", str(p)], ["list", "--store", str(p.parent)], ["report", "--store", str(p.parent)]],
    "journal": lambda p: [["recover", "--store", str(p.parent)], ["store", "gc", "--store", str(p.parent)]],
    "raw": lambda p: [["store", "verify", "--store", str(p.parent)]],
    "index": lambda p: [["report", "--store", str(p)]],
    "configuration": lambda p: [["run", str(p), "--dry-run"]],
}


# ---- running them


def outcome(kind: str, number: int, seed: int, place: Path) -> tuple[int, str]:
    """Make input `number` of a kind, and read it in a child with limits."""
    make, read, _ = KINDS[kind]
    where = place / f"{kind}-{number}"
    where.mkdir()
    path = make(where, random.Random(f"{seed}-{kind}-{number}"))
    told = where / "told"
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        signal.alarm(TIME_S)
        code = READ
        try:
            read(path)
        except GpuprofError as error:
            code = REFUSED if path.name in str(error) or RUN_ID in str(error) else TRACEBACK
            told.write_text(f"not by its name: {error}"[:2000], "utf-8", "replace")
        except MemoryError:
            code = MEMORY
        except BaseException:  # noqa: BLE001 - the finding itself
            code = TRACEBACK
            told.write_text(traceback.format_exc()[-3000:], "utf-8", "replace")
        os._exit(code)
    _, status = os.waitpid(child, 0)
    code = SLOW if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    said = told.read_text("utf-8", "replace") if code == TRACEBACK else ""
    shutil.rmtree(where)
    return code, said


def through_command(kind: str, number: int, seed: int, place: Path) -> tuple[int, str]:
    """The same input through the command line."""
    where = place / f"command-{kind}-{number}"
    where.mkdir()
    path = KINDS[kind][0](where, random.Random(f"{seed}-{kind}-{number}"))
    arguments = COMMANDS[kind](path)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(where / "home")}
    command = [sys.executable, "-m", "gpuprof", *arguments[number % len(arguments)]]
    try:
        done = subprocess.run(command, capture_output=True, env=variables, timeout=3 * TIME_S, check=False)
    except subprocess.TimeoutExpired:
        return SLOW, str(command)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    shutil.rmtree(where)
    if "Traceback" in said or done.returncode < 0:
        return TRACEBACK, f"{command}\n{said[-3000:]}"
    return (REFUSED if done.returncode else READ), ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--through-commands", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, bad = time.monotonic(), 0
    print(f"{'':24}{'tried':>8}" + "".join(f"{word:>17}" for word in WORDS))
    runs = (("", options.inputs, outcome), ("command: ", options.through_commands, through_command))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory, multiprocessing.Pool(os.cpu_count()) as pool:
        for title, total, ask in runs:
            for kind, (*_, share) in KINDS.items():
                jobs = [(kind, number, options.seed, Path(directory)) for number in range(round(total * share))]
                results = pool.starmap(ask, jobs, chunksize=4)
                counts = Counter(code for code, _ in results)
                print(
                    f"{title + kind:24}{len(jobs):8,}" + "".join(f"{counts[code]:17,}" for code in range(5)), flush=True
                )
                bad += counts[TRACEBACK] + counts[MEMORY] + counts[SLOW]
                for said in list(dict.fromkeys(said for code, said in results if code == TRACEBACK))[:3]:
                    print(f"    {said}")
    print(f"goals {'MISSED' if bad else 'met'}; {time.monotonic() - started:.0f} s")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
