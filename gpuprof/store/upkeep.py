"""Care for a store that many processes write to: whether every run is whole, and what killed runs left behind."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprof.errors import StoreError
from gpuprof.store import runs
from gpuprof.store.journal import STAGING, open_journal, read_journal, unfinished, without_journal
from gpuprof.store.raw import read_raw
from gpuprof.text import plural

CONDEMNED = ".gone-"
# A journal without a line, or none at all, may belong to a run that is just starting on another machine.
EMPTY_AFTER_S = 60.0
_BEFORE = {"run", "case", "inspected", "end"}  # lines of a journal that hold no measurement


def verify(path: Path) -> str | None:
    """What is wrong with the published run in this directory; None where it is whole."""
    try:
        record = runs.read(path)
        series = read_raw(path)
    except StoreError as error:
        return str(error)
    if record.run_id != path.name:
        return f"{path}: contains the record of another run, {record.run_id}"
    repeats = {f"{case.case_id}/{repeat.index}": repeat for case in record.cases for repeat in case.repeats}
    owners = {name: "/".join(name.split("/")[:2]) for name in series}
    if strange := sorted(name for name, owner in owners.items() if owner not in repeats):
        return f"{path / 'raw.npz'}: contains {strange[0]!r}, which belongs to no repeat in the record"
    timed = {owner for name, owner in owners.items() if series[name] and not name.startswith(f"{owner}/telemetry/")}
    for name, repeat in repeats.items():
        if repeat.outcome == "ok" and repeat.throughput is not None and name not in timed:
            return f"{path / 'raw.npz'}: has no times for {name!r}, which the record says was measured"
    return None


@dataclass(frozen=True)
class Leftover:
    """A staging directory whose run is dead. `goes`: whether it is to be removed; `why`: the reason for either."""

    path: Path
    goes: bool
    why: str


def leftovers(store: Path, older_than_s: float, now: float) -> Iterator[Leftover]:
    """What dead runs left in a store. Live ones hold their lock and are left out.

    What `gpuprof recover` could save goes once it is older than `older_than_s`. `now` is in seconds since 1970.
    """
    for path in sorted(store.glob(f"{CONDEMNED}*")):
        # Only what `remove` made: where all may write, others may have put anything there.
        if runs.RUN_ID.fullmatch(path.name.removeprefix(CONDEMNED)) and path.is_dir() and not path.is_symlink():
            yield Leftover(path, True, "its removal was interrupted")
    for path in without_journal(store):
        with contextlib.suppress(OSError):
            age_s, bare = now - path.stat().st_mtime, not any(path.iterdir())
            if age_s > (EMPTY_AFTER_S if bare else older_than_s):
                yield Leftover(path, True, "it has no journal")
    for path in unfinished(store):
        with contextlib.suppress(OSError):
            yield _judged(path, older_than_s, now - (path / "journal.jsonl").stat().st_mtime)


def _judged(path: Path, older_than_s: float, age_s: float) -> Leftover:
    days = f"{age_s / 86_400:.1f} days old"
    try:
        lines, begun = read_journal(path)
    except StoreError as error:
        return Leftover(path, age_s > older_than_s, f"it is {days}: {error}")
    if not begun and nothing_measured(path, lines):
        early = age_s <= EMPTY_AFTER_S
        return Leftover(path, not early, "nothing was measured" + (", but it may just be starting" if early else ""))
    repeats = sum(line["type"] == "repeat" for line in lines)
    content = f"it has {plural(repeats, 'repeat') if repeats else 'no complete repeat'} and is {days}"
    if age_s > older_than_s:
        return Leftover(path, True, content)
    return Leftover(path, False, f"{content}; save it with gpuprof recover" if repeats else content)


def nothing_measured(path: Path, lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a dead run with these journal lines left neither a measurement, nor a record, nor a wrong result."""
    measured = not {line["type"] for line in lines} <= _BEFORE or (path / "record.json").exists()
    return not measured and not any(map(_found_wrong, lines))


def _found_wrong(line: Mapping[str, Any]) -> bool:
    """Whether a line says that a case computes wrong results: that is worth keeping without any measurement."""
    data = line.get("data")
    correctness = data.get("correctness") if isinstance(data, dict) else None
    return isinstance(correctness, dict) and correctness.get("verdict") == "wrong"


def empty(path: Path) -> bool:
    """Whether a dead run's directory holds nothing worth keeping; False where its journal is damaged."""
    try:
        lines, begun = read_journal(path)
    except StoreError:
        return False
    return not begun and nothing_measured(path, lines)


def remove(leftover: Leftover) -> bool:
    """Remove it. False when it is gone already, or in use. Raises StoreError when it cannot be removed."""
    path = leftover.path
    try:
        if not path.name.startswith(CONDEMNED):
            path = _condemned(path)
        shutil.rmtree(path)
    except (FileNotFoundError, BlockingIOError):
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be removed ({error.strerror or error})") from None
    return True


def _condemned(path: Path) -> Path:
    """Rename it under its lock, so that nobody recovers it meanwhile. Over NFS an open file cannot be removed."""
    target = path.with_name(path.name.replace(STAGING, CONDEMNED, 1))
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            journal = stack.enter_context(open_journal(path))
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.rename(target)
