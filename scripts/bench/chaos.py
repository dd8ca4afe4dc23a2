"""Is anything that was measured lost, half written or told with a traceback, whatever is killed and whatever fails?

    python scripts/bench/chaos.py [--kills 200] [--minutes 10] [--seed 1]

Writers publish made-up runs through the journal, supervisors measure real ones, and a night runs; a seeded generator
kills them, and workers, with SIGKILL at random moments. Some have a disk that takes no more, an fsync or rename that
fails, or a clock that jumps (a small library is preloaded; without a C compiler these are left out, and that is said).
Beside them readers, recover, gc and verify run in loops. Every writer keeps a diary of what its journal took.

Prints tried, lost, half and tracebacks. Goal: 0 of the last three.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from gpuprof.errors import GpuprofError  # noqa: E402
from gpuprof.store import runs as store  # noqa: E402
from gpuprof.store import upkeep  # noqa: E402
from gpuprof.store.assemble import assemble  # noqa: E402
from gpuprof.store.journal import Journal  # noqa: E402
from support.journals import NOW, journal, repeat  # noqa: E402

WRITERS, REPEATS = 3, 3
SMALL = ("--quick", "--device", "cpu", "--set", "threads=1", "--set", "repeats=2", "--set", "seq_len=10",
         "--set", "batch_size=4")  # fmt: skip
FAULTY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
static int fails(void) {
    static unsigned seed; const char *p = getenv("CHAOS_FAILS");
    if (!p) return 0;
    if (!seed) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); seed = t.tv_nsec | 1; }
    return rand_r(&seed) % 1000 < atoi(p);
}
#define ORIGINAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
int fsync(int fd) { ORIGINAL(fsync); if (fails()) { errno = EIO; return -1; } return real(fd); }
int rename(const char *a, const char *b) {
    ORIGINAL(rename);
    if (fails()) { errno = ENOSPC; return -1; }
    return real(a, b);
}
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    const char *jump = getenv("CHAOS_CLOCK_S");
    if (id == CLOCK_REALTIME && jump && (t->tv_nsec & 4096)) t->tv_sec += atol(jump);
    return code;
}
"""
TOLD = re.compile(r"^\[\d+/\d+\] (\S+) repeat (\d+): [0-9,.]+ samples/s")


def write(directory: Path, diary: Path, limit: int) -> None:
    """Publish runs for ever; the diary names each repeat that the journal took. `limit`: of a file's bytes, 0: none."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    said = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        run_id = store.new_run_id("writer")
        lines = journal(*(repeat(i) for i in range(REPEATS)))
        lines[0] |= {"run_id": run_id}
        try:
            log = Journal(directory, run_id)
            for line in lines:
                log.append(line)
                if line["type"] == "repeat" and not log.fault:
                    os.write(said, f"{run_id} a {line['repeat']['index']}\n".encode())
            log.publish(*assemble(log.lines, NOW))
        except GpuprofError:
            time.sleep(0.02)


class Chaos:
    """What runs, what was said, and what was killed."""

    def __init__(self, place: Path, dice: random.Random, preload: Path | None) -> None:
        self.place, self.dice, self.preload = place, dice, preload
        self.store, self.diaries = place / "store", place / "diaries"
        for directory in (self.diaries, place / "tmp", place / "cwd", self.store):
            directory.mkdir()
        self.said: list[Path] = []  # stderr of every command
        self.over = threading.Event()
        self.numbers = iter(range(1 << 30))
        self.kills = dict.fromkeys(("writer", "supervisor", "worker", "nightly"), 0)

    def variables(self, *, faulty: bool) -> dict[str, str]:
        """For a process of its own working and temporary directory, in which it may rescue a run."""
        clean = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.place / "tmp"),
                 "XDG_CACHE_HOME": str(self.place / "cache")}  # fmt: skip
        if not faulty or self.preload is None:
            return clean
        fault = self.dice.choice([{"CHAOS_FAILS": "100"}, {"CHAOS_CLOCK_S": "-100000"}, {"CHAOS_CLOCK_S": "4000"}])
        return clean | fault | {"LD_PRELOAD": str(self.preload)}

    def command(self, *arguments: Any, faulty: bool = False) -> subprocess.Popen[bytes]:
        """Start gpuprof; what it says is kept."""
        told = self.place / f"said-{next(self.numbers)}"
        self.said.append(told)
        with told.open("wb") as out:
            return subprocess.Popen([sys.executable, "-m", "gpuprof", *map(str, arguments)], stdout=out, stderr=out,
                                    cwd=self.place / "cwd", env=self.variables(faulty=faulty))  # fmt: skip

    def keep(self, *arguments: Any) -> None:
        """Run a reader again and again until all is over."""
        while not self.over.is_set():
            self.command(*arguments, "--store", self.store).wait()
            self.over.wait(self.dice.uniform(0, 0.5))

    def writer(self) -> subprocess.Popen[bytes]:
        """A writer, perhaps with faults of its own, or a disk that takes no more."""
        number, limit = next(self.numbers), self.dice.choice([0, 0, 0, 70_000])
        told = self.place / f"said-{number}"
        self.said.append(told)
        command = [sys.executable, __file__, "--writer", self.store, self.diaries / f"{number}", limit]
        with told.open("wb") as out:
            return subprocess.Popen(list(map(str, command)), stdout=out, stderr=out, cwd=self.place / "cwd",
                                    env=self.variables(faulty=self.dice.random() < 0.5))  # fmt: skip

    def measuring(self) -> tuple[str, subprocess.Popen[bytes]]:
        """A supervisor, or a night."""
        config = ROOT / "configs" / "rnn.yaml"
        kind = "nightly" if self.dice.random() < 0.2 else "supervisor"
        command = "nightly" if kind == "nightly" else "run"
        return kind, self.command(command, config, *SMALL, "--store", self.store, faulty=self.dice.random() < 0.3)


def children(pid: int) -> Iterator[int]:
    """All processes below this one."""
    try:
        below = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return
    for child in below:
        yield child
        yield from children(child)


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def rage(chaos: Chaos, kills: int, until: float) -> None:
    """Kill, and start anew, until as many are dead as asked for or the time is over."""
    writers = [chaos.writer() for _ in range(WRITERS)]
    kind, process = chaos.measuring()
    while sum(chaos.kills.values()) < kills and time.monotonic() < until:
        time.sleep(chaos.dice.expovariate(2))
        if process.poll() is not None:
            kind, process = chaos.measuring()
        if chaos.dice.random() < 0.6:
            victim = chaos.dice.randrange(WRITERS)
            chaos.kills["writer"] += kill(writers[victim].pid)
            writers[victim].wait()
            writers[victim] = chaos.writer()
        elif below := list(children(process.pid)):
            if chaos.dice.random() < 0.5:
                chaos.kills["worker"] += kill(chaos.dice.choice(below))
            else:
                chaos.kills[kind] += kill(process.pid)
                process.wait()
                if kind == "nightly":
                    for child in below:  # a night that was killed leaves its run going on: that is its own supervisor
                        kill(child)
                kind, process = chaos.measuring()
    for writer in writers:
        kill(writer.pid)
        writer.wait()
    process.terminate()
    process.wait()


def kept(chaos: Chaos) -> set[tuple[str, str, str]]:
    """(run, case, repeat) that a journal took, by the diaries and by what supervisors said."""
    taken = {tuple(line.split()) for diary in chaos.diaries.iterdir() for line in diary.read_text().splitlines()}
    for told in chaos.said:
        run = ""
        for line in told.read_text("utf-8", "replace").splitlines():
            if found := re.match(rf"({store.RUN_ID.pattern}): \d+ case", line):
                run = found[1]
            elif (said := TOLD.match(line)) and run:
                taken.add((run, said[1], str(int(said[2]) - 1)))
    return {entry for entry in taken if len(entry) == 3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        write(Path(options.writer[0]), Path(options.writer[1]), int(options.writer[2]))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        preload = None
        if compiler := shutil.which("cc") or shutil.which("gcc"):
            (place / "faulty.c").write_text(FAULTY)
            preload = place / "faulty.so"
            subprocess.run([compiler, "-shared", "-fPIC", "-o", preload, place / "faulty.c", "-ldl"], check=True)
        else:
            print("no C compiler: fsync, rename and the clock do not fail")
        chaos = Chaos(place, random.Random(options.seed), preload)
        readers = [
            threading.Thread(target=chaos.keep, args=arguments)
            for arguments in (("list",), ("report", "--format", "md"), ("compare", "workload=cnn", "workload=cnn"),
                              ("recover",), ("store", "gc", "--older-than", "7"), ("store", "verify"))
        ]  # fmt: skip
        for reader in readers:
            reader.start()
        rage(chaos, options.kills, started + 60 * options.minutes - 30)
        chaos.over.set()
        for reader in readers:
            reader.join()
        chaos.command("recover", "--store", chaos.store).wait()
        published = {path.parent.name: path for path in place.rglob("record.json")}
        there = {
            (name, case["case_id"], str(one["index"]))
            for name, path in published.items()
            for case in json.loads(path.read_text())["cases"]
            for one in case["repeats"]
        }
        taken = kept(chaos)
        lost = sorted(taken - there)
        half = [fault for name in store.run_names(chaos.store) if (fault := upkeep.verify(chaos.store / name))]
        tracebacks = [told for told in chaos.said if b"Traceback" in told.read_bytes()]
        for line in (*lost[:5], *half[:5], *(told.read_text("utf-8", "replace")[-1500:] for told in tracebacks[:3])):
            print(line)
        killed = ", ".join(f"{count} {kind}" for kind, count in chaos.kills.items())
        print(f"{sum(chaos.kills.values())} killed ({killed}); {len(published):,} runs, {len(taken):,} repeats kept; "
              f"lost {len(lost)}, half {len(half)}, tracebacks {len(tracebacks)} of {len(chaos.said)} commands; "
              f"{time.monotonic() - started:.0f} s")  # fmt: skip
        return int(bool(lost or half or tracebacks))


if __name__ == "__main__":
    sys.exit(main())
