"""Prove that a change of the inside leaves what users see as it was, byte by byte.

Every form of every reading command runs twice over the same stored runs: with the code of the commit BASE and with that
of the working tree, as it is, committed or not. Exit codes, stdout, stderr and written files are compared. The commands
are processes of their own, so that nothing of one can leak into the next.

Only the command line is used, and nothing of the inside: the package may be in any order. What varies by itself is
pinned (PINNED) or, where it cannot be, masked (MASKS). A hunk is one place that differs, as in a unified diff.

python scripts/same_output.py HEAD                       the change that is not committed yet
python scripts/same_output.py main --most 2              two hunks are meant: list them, and allow no third
python scripts/same_output.py main --keep /tmp/outputs   keep what was compared: base/, tree/, and the stores
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "tests" / "data" / "samples"
LIMIT_S = 120
LONG_LINE = 240

# Nothing but this and PATH, PYTHONPATH, HOME and the cache is in a command's environment.
PINNED = {
    "COLUMNS": "80",  # of a terminal; without one, tables have a width of their own
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "PYTHONHASHSEED": "0",
    "TERM": "xterm-256color",
    "TZ": "UTC",
}
# What varies by itself and cannot be pinned. A mask hides real differences as well: each is as narrow as it can be.
MASKS = (
    # When a report was made: gpuprof asks the clock. Times of runs stand elsewhere, and are compared.
    (re.compile(rb'("made_at": "|\bgpuprof [\w.+]+, )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z'), rb"\1<made at>"),
)

COMPARED = (  # in every form
    "vendor=nvidia vendor=amd --store simulated", "threads=1 threads=2 --store cpu", "cpu nights --vary threads",
)  # fmt: skip
COMPARED_AS_TEXT = (
    *("cpu one", "one cpu --strict --machine-spread 0.1"),
    "workload=lstm workload=rnn --store cpu --strict",
    "vendor=nvidia vendor=amd --store simulated --strict",
    "device~EPYC,threads=1 device~EPYC,threads=2 --store all",
    "cpu simulated",  # more than one device model
    "vendor=intel vendor=amd --store simulated",  # no such runs
    "colour=red vendor=amd --store simulated",  # no such field
)
REPORTED = ("--store all", "last --store simulated")
REPORTED_AS_TEXT = (
    "--store damaged", "--store cpu", "workload=lstm --store simulated", "one", "vendor=intel --store cpu",
)  # fmt: skip
FOLLOWED = ("--store nights", "workload=lstm --store all")
FOLLOWED_AS_TEXT = (
    "--store nights --check", "--store nights --check --last 2 --least 0.5", "--store nights --metric latency_p50_s",
    "--store nights --metric nonsense", "--store damaged --check", "vendor=intel --store cpu",
)  # fmt: skip
SHOWN = (
    "last --store cpu", "last --store simulated", "cnn --store cpu", "rnn --store cpu", "one", "nonsense --store cpu",
)  # fmt: skip
LISTED = ("--store cpu", "--store simulated", "--store all", "--store damaged", "--store nowhere")
EXPORTED = ("cpu simulated one", "last --store simulated", "damaged")
SCHEDULED = (
    "systemd configs/lstm.yaml", "systemd configs/lstm.yaml --store cpu -o units",
    "cron configs/lstm.yaml configs/cnn.yaml --at 03:40 --with '--device gpu:1 --least 0.05'",
    "cron --command '/opt/night --all'", "github configs/lstm.yaml --store /srv/gpuprof", "github configs/lstm.yaml",
)  # fmt: skip
OTHERS = (
    "",
    "--version",
    "compare cpu one -o out.txt",
    "compare cpu one -o out.json",
    "compare cpu one --format html",
    "report one -o out.txt",
    "history --store nights -o out.json",
    "report one -o out.nonsense",
    "report one --json --format md",
    "nonsense",
    "schema",
    "store verify --store cpu",
    "store verify --store damaged",
    "store gc --dry-run --store damaged",
    "run configs/reference.yaml --dry-run --device cpu",
    "run configs/cnn.yaml --dry-run --device cpu --quick --set 'sweep.batch_size=[1,64]' --shard 1/2",
    "run configs/lstm.yaml --dry-run --device cpu --set batchsize=3 --set precision=fp12",
)
TEXT_FORMS = ("", "--json")
FORMS = (*TEXT_FORMS, "--format md", "-o out.html")
PDF = "-o out.pdf"


class NothingToCompareError(Exception):
    """Nothing can be compared: exit code 2, for 1 says that something differs."""


@dataclass(frozen=True)
class Command:
    """Arguments of gpuprof; `terminal`: with stdout on one of 80 columns."""

    arguments: tuple[str, ...]
    terminal: bool = False

    def __str__(self) -> str:
        line = shlex.join(("gpuprof", *self.arguments))
        return line + ("   (in a terminal)" if self.terminal else "")


@dataclass(frozen=True)
class Place:
    """One tree's code, and the directories that both trees find at the same paths."""

    code: Path
    inputs: Path  # stores and configurations, linked into the working directory of each command
    cache: Path
    bytecode: Path  # outside both trees, which stay as they are
    runs: Path

    def environment(self) -> dict[str, str]:
        return {
            **PINNED,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.code),
            "PYTHONPYCACHEPREFIX": str(self.bytecode),
            "HOME": str(self.cache),
            "XDG_CACHE_HOME": str(self.cache),
        }

    def ask(self, *arguments: str) -> str:
        """What Python says to `arguments`, run as the commands are."""
        return subprocess.run(
            (sys.executable, *arguments), cwd=self.inputs, env=self.environment(), capture_output=True, text=True,
            timeout=LIMIT_S, check=True,
        ).stdout  # fmt: skip


def prepare(inputs: Path) -> None:
    """Copy the stored runs and configurations, and make what the samples lack: many nights, and a damaged run."""
    shutil.copytree(ROOT / "configs", inputs / "configs")
    for name in ("cpu", "simulated"):
        shutil.copytree(SAMPLES / name, inputs / name)
        shutil.copytree(SAMPLES / name, inputs / "all", dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests" / "data" / "2026-11-23-cpu-amd-epyc-lstm", inputs / "one")
    shutil.copytree(SAMPLES / "cpu", inputs / "damaged")
    broken = min((inputs / "damaged").iterdir()) / "record.json"
    broken.write_bytes(broken.read_bytes()[:1000])
    template = min((SAMPLES / "cpu").glob("*-lstm-*/record.json")).read_text("utf-8")
    first = datetime.now(timezone.utc).replace(hour=2, minute=17, second=0) - timedelta(days=14)
    for night in range(14):  # the last one yesterday: a series that is old counts as ended, and is not judged
        record = _night(json.loads(template), first + timedelta(days=night), late=night >= 10)
        directory = inputs / "nights" / record["run_id"]
        directory.mkdir(parents=True)
        (directory / "record.json").write_text(json.dumps(record), "utf-8")


def _night(record: dict[str, Any], when: datetime, *, late: bool) -> dict[str, Any]:
    """The run of another day; a late one is slower, under another kernel. The numbers measure nothing."""
    record |= {"run_id": f"{when:%Y%m%dT%H%M%SZ}-lstm-{when.day:08x}", "started_at": f"{when:%Y-%m-%dT%H:%M:%S}.000Z"}
    record["environment"]["kernel"] += "-new" if late else ""
    factor = (0.7 if late else 1.0) * (1 + 0.002 * (when.day % 3))
    for case in record["cases"]:
        case["throughput_per_s"]["value"] *= factor
        case["latency_s"]["p50"] /= factor
        for repeat in case["repeats"]:
            for field in ("samples_per_s", "samples_per_s_total"):
                repeat["throughput"][field] *= factor
            repeat["latency"]["p50"] /= factor
    return record


def commands(base: Place, *, pdf: bool) -> tuple[list[Command], list[Command]]:
    """Those that find the caches empty, to be run one after the other, and all others. BASE knows which there are."""
    cold = [_command("report", f"--store {one}", "-o out.html") for one in ("all", "nights", "damaged", "simulated")]
    cold.append(_command("compare", "cpu one"))
    rest = [_command(line) for line in OTHERS]
    rest += [_command(*names, "--help") for names in _helped(base, ())]
    for name, whole, partly, pages in (
        ("compare", COMPARED, COMPARED_AS_TEXT, True),
        ("report", REPORTED, REPORTED_AS_TEXT, True),
        ("history", FOLLOWED, FOLLOWED_AS_TEXT, False),
    ):
        rest += [_command(name, one, form) for one in whole for form in (*FORMS, *((PDF,) if pages and pdf else ()))]
        rest += [_command(name, one, form) for one in partly for form in TEXT_FORMS]
        rest += [_command(name, one, terminal=True) for one in whole]
    for name, all_of_it in (("show", SHOWN), ("list", LISTED)):
        rest += [_command(name, one, form) for one in all_of_it for form in TEXT_FORMS]
        rest += [_command(name, one, terminal=True) for one in all_of_it]
    if not (formats := _named(base, ("export",), "Formats")) or len(rest) < len(OTHERS) + 10:
        raise NothingToCompareError("the help of BASE names no commands or formats as it used to; see _named()")
    for form in formats:
        rest += [_command("export", one, f"--format {form}") for one in EXPORTED]
        rest.append(_command("export", EXPORTED[0], f"--format {form} -o out"))
    rest.append(_command("export", EXPORTED[0], "--format github-benchmark --direction smaller"))
    rest += [_command("schedule render", one) for one in SCHEDULED]
    return cold, list(dict.fromkeys(one for one in rest if one not in cold))


def _command(*words: str, terminal: bool = False) -> Command:
    return Command(tuple(shlex.split(" ".join(words))), terminal)


def _helped(base: Place, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The names of every command that has a help, with those below it."""
    yield names
    for name in _named(base, names, "Commands"):
        yield from _helped(base, (*names, name))


def _named(base: Place, names: tuple[str, ...], title: str) -> list[str]:
    """The first words of the lines below `title` in a command's help."""
    said = base.ask("-m", "gpuprof", *names, "--help")
    below = re.search(rf"^ *{title}:\n((?: +\S.*\n)+)", said, re.MULTILINE)
    return re.findall(r"^ {2,4}(\S+)", below[1], re.MULTILINE) if below else []


def outputs(place: Place, cold: list[Command], rest: list[Command]) -> list[dict[str, bytes]]:
    """Run all commands with the code of `place`; what each gave, by name, in their order."""
    found = place.ask("-c", "import gpuprof; print(gpuprof.__file__)").strip()
    if Path(found).resolve().parents[1] != place.code.resolve():
        raise NothingToCompareError(f"{found} was imported, and not the code in {place.code}")
    first = [_output(place, number, one) for number, one in enumerate(cold)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return first + list(pool.map(lambda pair: _output(place, *pair), enumerate(rest, len(cold))))


def _output(place: Place, number: int, command: Command) -> dict[str, bytes]:
    directory = place.runs / f"{number:03d}"
    directory.mkdir(parents=True)
    for one in place.inputs.iterdir():
        (directory / one.name).symlink_to(one)
    code, stdout, stderr = _run(command, directory, place.environment())
    given = {"exit code": str(code).encode(), "stdout": stdout, "stderr": stderr}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            given[str(path.relative_to(directory))] = _words(path) if path.suffix == ".pdf" else path.read_bytes()
    return given


def _run(command: Command, directory: Path, environment: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    line = (sys.executable, "-m", "gpuprof", *command.arguments)
    if not command.terminal:
        done = subprocess.run(
            line, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr
    ours, theirs = os.openpty()
    with tempfile.TemporaryFile() as errors, open(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            line, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=errors
        )
        os.close(theirs)
        shown = bytearray()
        with contextlib.suppress(OSError):  # Linux says EIO when the last writer is gone
            while piece := screen.read(1 << 16):
                shown += piece
        code = process.wait(LIMIT_S)
        errors.seek(0)
        return code, bytes(shown), errors.read()


def _words(pdf: Path) -> bytes:
    """The text of a PDF: its bytes hold the time at which it was made."""
    return subprocess.run(("pdftotext", "-layout", str(pdf), "-"), capture_output=True, check=True).stdout


def hunks(before: bytes, after: bytes) -> list[str]:
    """The places in which two outputs differ, as hunks of a unified diff; none if, and only if, they are equal."""
    if before == after:
        return []
    try:
        old, new = (_lines(one.decode("utf-8")) for one in (before, after))
    except UnicodeDecodeError:
        return [f"binary: {len(before):,} and {len(after):,} bytes\n"]
    found: list[str] = []
    for line in list(difflib.unified_diff(old, new, n=1))[2:]:
        if line.startswith("@@"):
            found.append(line)
        else:
            found[-1] += _printable(line)
    return found


def _lines(text: str) -> list[str]:
    """Lines with their ends. Long ones (a page's data, JSON in one line) are broken, to show where they differ."""
    return [
        piece
        for line in re.findall(r"[^\n]*\n|[^\n]+", text)
        for piece in (re.findall(r"[^,;>]*[,;>]+\n?|[^,;>]+", line) if len(line) > LONG_LINE else (line,))
    ]


def _printable(line: str) -> str:
    """One line of a hunk without control characters; a line that does not end here ends in a backslash."""
    whole = "" if line.endswith("\n") else "\\"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line.removesuffix("\n")) + whole + "\n"


def masked(content: bytes) -> bytes:
    for pattern, instead in MASKS:
        content = pattern.sub(instead, content)
    return content


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """Hunks of all that one command gave; what one side lacks is one hunk more."""
    found: list[str] = []
    for name in sorted({*before, *after}):
        if name in before and name in after:
            found += [f"{name} {hunk}" for hunk in hunks(masked(before[name]), masked(after[name]))]
        else:
            found.append(f"{name} is there in {'BASE' if name in before else 'the working tree'} only\n")
    return found


@contextlib.contextmanager
def checked_out(base: str, at: Path) -> Iterator[None]:
    git = ("git", "-C", str(ROOT), "worktree")
    done = subprocess.run(
        (*git, "add", "--quiet", "--detach", str(at), base), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NothingToCompareError(f"{base} cannot be checked out: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run((*git, "remove", "--force", str(at)), check=True)


def compare(base: str, work: Path) -> int:
    """Print a line a command, with the hunks of those that differ; returns the number of hunks."""
    inputs, cache, _, runs = shared = [work / name for name in ("inputs", "cache", "bytecode", "runs")]
    prepare(inputs)
    pdf = shutil.which("pdftotext") is not None
    if not pdf:
        print("skipped             all PDF files: there is no pdftotext here")
    given: dict[str, list[dict[str, bytes]]] = {}
    with checked_out(base, work / "base-code"):
        places = {"base": Place(work / "base-code", *shared), "tree": Place(ROOT, *shared)}
        cold, rest = commands(places["base"], pdf=pdf)
        for name, place in places.items():
            shutil.rmtree(cache, ignore_errors=True)
            given[name] = outputs(place, cold, rest)
            runs.rename(work / name)
    total = 0
    for command, before, after in zip((*cold, *rest), given["base"], given["tree"], strict=True):
        found = differences(before, after)
        total += len(found)
        verdict = f"DIFFERS ({len(found)} hunk{'s' if len(found) > 1 else ''})" if found else "same"
        print(f"{verdict:<19} exit {before['exit code'].decode():<2}  {command}")
        print("".join(found), end="")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="the commit that the working tree is compared with")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep what was compared in this new directory")
    parser.add_argument("--most", metavar="N", type=int, default=0, help="so many hunks are no failure (default: 0)")
    options = parser.parse_args()
    if options.keep is not None and options.keep.exists():
        parser.error(f"--keep: {options.keep} is there already")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the worktree goes then as well
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="same-output-") as place:
        try:
            total = compare(options.base, Path(place))
        except NothingToCompareError as error:
            parser.error(str(error))
        except KeyboardInterrupt:
            return 130
        if options.keep is not None:
            for name in ("cache", "bytecode"):
                shutil.rmtree(Path(place, name))
            shutil.copytree(place, options.keep, symlinks=True)
    print(f"{total} hunks, in {time.monotonic() - started:.0f} s")
    return 0 if total <= options.most else 1


if __name__ == "__main__":
    sys.exit(main())
