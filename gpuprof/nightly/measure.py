"""The measuring part of a night: each configuration once, in a process of its own, and what came of it.

    OUT/.lock                       held while a night is at work, also by the run it started; its text names both
    OUT/<night>/night.json          what was measured: a configuration in it is not measured again
    OUT/<night>/<n>-<config>.log    stderr of `gpuprof run`, unless it went to a terminal

A suite is measured configuration by configuration, if all of it can be read. One failed configuration does not stop the
others: it is reported, and tried again when the night is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from gpuprof.config import suite
from gpuprof.errors import EXIT_OK, ConfigError, GpuprofError, LockedError, StoreError, UsageError
from gpuprof.store import runs
from gpuprof.system.clock import utc_now
from gpuprof.system.files import to_file
from gpuprof.system.interrupts import undisturbed
from gpuprof.system.python import own
from gpuprof.text import listed, one_line

_GRACE_S = 60.0  # for a run to save its record after SIGTERM


@dataclass(frozen=True)
class Plan:
    """What to measure in one night, and where its files go."""

    configs: Sequence[str]  # files: configurations and suites
    store: Path
    out: Path  # one for all nights
    night: str  # its name, a date by default
    options: Sequence[str] = ()  # for `gpuprof run`, as are the KEY=VALUE of `overrides`
    overrides: Sequence[str] = ()
    again: bool = False  # also what this night has measured already
    timeout_s: float = 6 * 3600.0  # of one configuration

    @property
    def directory(self) -> Path:
        """For this night's report, logs and memory; need not exist yet."""
        return self.out / self.night


@dataclass(frozen=True)
class Item:
    """One configuration to measure. `signature` is a SHA-256 of its path, its text and its options."""

    config: str
    options: Sequence[str]
    signature: str


@dataclass(frozen=True)
class Measured:
    """One configuration in one night."""

    config: str
    signature: str  # the Item's
    runs: Sequence[str]  # names of its runs in the store
    fault: str = ""  # why it, or part of it, was not measured; empty where all was
    fresh: bool = False  # measured by this process, not remembered


@contextlib.contextmanager
def locked(out: Path) -> Iterator[int]:
    """Yields the lock's file descriptor; a process that inherits it holds the lock, too.

    Raises LockedError while another night is at work in `out`, UsageError where nothing can be written or locked there.
    """
    elsewhere = "choose another directory with --out, on a local disk"
    lock_file = out / ".lock"
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Not through a link, which anybody may have planted in a shared store.
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise UsageError(f"{out}: cannot be used ({error.strerror}); {elsewhere}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = one_line(os.pread(lock, 200, 0).decode(errors="replace")) or "another process"
            raise LockedError(f"another nightly run is in progress ({holder} holds {lock_file})") from None
        except OSError as error:
            raise UsageError(f"{out}: cannot lock files there ({error.strerror}); {elsewhere}") from None
        _name_holders(lock)
        yield lock
    finally:
        os.close(lock)


def measure(plan: Plan, lock: int, tell: Callable[[str], None], unwritten: list[str]) -> Iterator[Measured]:
    """First what an earlier plan measured tonight (it is judged too), then this plan's configurations in its order.

    `tell` gets a line before each measurement. `unwritten` gets the fault of each failed write of night.json.
    KeyboardInterrupt ends the run at work, which keeps what it has measured, and leaves out those after it.
    """
    items = _items(plan)
    remembered = {measured.signature: measured for measured in _remembered(plan.directory / "night.json")}
    named = {item.signature for item in items}
    earlier = [m for m in remembered.values() if m.signature not in named and _stored(plan, m)]
    yield from (replace(measured, fault="") for measured in earlier)  # its fault was reported by its own plan
    for number, item in enumerate(items):
        measured = remembered.get(item.signature)
        if measured is None or plan.again or measured.fault or not _stored(plan, measured):
            tell(f"{number + 1} of {len(items)}: {item.config}")
            measured = _run(plan, item, plan.directory / f"{number}-{Path(item.config).stem}.log", lock)
            remembered[item.signature] = measured
            kept = [{k: v for k, v in asdict(m).items() if k != "fresh"} for m in remembered.values()]
            document = {"night": plan.night, "measured": kept}
            try:
                to_file(plan.directory / "night.json", (json.dumps(document, indent=1) + "\n").encode())
            except GpuprofError as error:  # the run is in the store all the same
                unwritten.append(str(error))
            measured = replace(measured, fresh=True)
        yield measured


def _stored(plan: Plan, measured: Measured) -> bool:
    return bool(measured.runs) and all(_readable(plan.store / run) for run in measured.runs)


def _readable(run: Path) -> bool:
    try:
        runs.read(run)
    except StoreError:
        return False
    return True


def _items(plan: Plan) -> list[Item]:
    """The configurations that files and suites name, each once. A faulty file stays: `gpuprof run` reports it."""
    items: dict[str, Item] = {}
    for config in plan.configs:
        try:
            records = [part.record for part in suite.load([Path(config)], plan.overrides)]
            sources = [(record.file, record.sha256, record.overrides) for record in records]
        except ConfigError:
            sources = [(config, "", [*plan.overrides])]
        for file, digest, overrides in sources:
            options = [*plan.options, *itertools.chain.from_iterable(("--set", override) for override in overrides)]
            signature = hashlib.sha256(json.dumps([str(Path(file).resolve()), digest, options]).encode()).hexdigest()
            items.setdefault(signature, Item(file, options, signature))
    return list(items.values())


def _remembered(file: Path) -> list[Measured]:
    """What night.json holds. Where it is damaged nothing: all is measured again."""
    try:
        entries = [Measured(**entry, fresh=False) for entry in json.loads(file.read_text("utf-8"))["measured"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    texts = [(m.config, m.signature, m.fault, *m.runs) for m in entries if isinstance(m.runs, list)]
    sound = len(texts) == len(entries) and all(isinstance(text, str) for row in texts for text in row)
    return [m for m in entries if all(map(runs.RUN_ID.fullmatch, m.runs))] if sound else []


def _run(plan: Plan, item: Item, log_file: Path, lock: int) -> Measured:
    """Measure one configuration. Faults are in the result; nothing is raised for them."""
    command = [*own("gpuprof.cli"), "run", "--json", "--store", str(plan.store), *item.options, "--"]
    try:
        code, output = _call([*command, item.config], log_file, lock, plan.timeout_s)
    except OSError as error:
        return Measured(item.config, item.signature, [], one_line(f"{error.filename or log_file}: {error.strerror}"))
    try:
        answer: Any = json.loads(output)
    except (ValueError, RecursionError):
        answer = []
    answers = answer if isinstance(answer, list) else [answer]
    records = [record for record in answers if isinstance(record, dict) and isinstance(record.get("run_id"), str)]
    # A rescued record lies outside the store, and is no part of the history until somebody puts it there.
    stored = [record["run_id"] for record in records if _readable(plan.store / record["run_id"])]
    fault = ""
    if code is None:
        fault = f"not finished after {plan.timeout_s:,.0f} s"
    elif code != EXIT_OK:
        fault = _fault(item.config, answer, records) or f"gpuprof run exited with code {code}"
    elif not stored:
        fault = "no readable record in the store"
    if fault and log_file.is_file():
        fault += f"; see {log_file}"
    return Measured(item.config, item.signature, stored, one_line(fault))


def _call(command: Sequence[str], log_file: Path, lock: int, timeout_s: float) -> tuple[int | None, bytes]:
    """Exit code (None: it took too long and was ended) and stdout, which a run that is ended still prints.

    Two things must never be left behind: a process that nobody knows, and a lock that is free while the GPU is busy.
    The child inherits `lock` and so holds it if this process is killed (flock belongs to the open file).
    """
    process: subprocess.Popen[bytes] | None = None
    with contextlib.ExitStack() as stack:
        stderr: IO[bytes] | None = None
        if not sys.stderr.isatty():  # in a terminal, progress is shown as it comes
            log_file.unlink(missing_ok=True)
            stderr = stack.enter_context(log_file.open("xb"))  # not through a link
        try:
            # A signal between the fork and the assignment would leave a child that cannot be ended. It is held back
            # until the child is known, and raised inside this `try`.
            with undisturbed(afterwards=True):
                # In a session of its own: Ctrl-C in a terminal reaches it once, by way of `_end`.
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True, pass_fds=(lock,)
                )
                _name_holders(lock, process.pid)
            output, _ = process.communicate(timeout=timeout_s)
        except KeyboardInterrupt:
            if process is not None:
                with undisturbed():  # a second Ctrl-C must not cut short what saves the record
                    _end(process)
            raise
        except subprocess.TimeoutExpired:
            # A signal that comes meanwhile ends the night: the output is lost, the record is in the store.
            assert process is not None
            with undisturbed(afterwards=True):
                output = _end(process)
            return None, output
        return process.returncode, output


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """SIGTERM and time to save the record, then SIGKILL for its whole group. Gives what it printed, if it ended."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=_GRACE_S)[0]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may keep even a killed process for ever
        return process.communicate(timeout=_GRACE_S / 10)[0]
    return b""


def _name_holders(lock: int, *children: int) -> None:
    """Write the ids of the processes that hold the lock into its file, for the message of a night that finds it held.

    The lock is the flock and not this text: where the disk is full it holds all the same.
    """
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        holders = " and ".join(map(str, (os.getpid(), *children)))
        os.pwrite(lock, f"process {holders} since {utc_now()}".encode(), 0)


def _fault(config: str, answer: Any, records: Sequence[dict[str, Any]]) -> str:
    """Why `gpuprof run` failed, as its JSON says it: an error of the whole, or each case's reason; empty if neither."""
    if isinstance(answer, dict) and "error" in answer:
        return str(answer["error"]["message"]).removeprefix(f"{config}: ")
    return listed([
        f"{case['case_id']}: {case['reason'] or 'wrong results'}" for record in records for case in record["cases"]
        if case["outcome"] != "ok" or case["correctness"]["verdict"] == "wrong"
    ])  # fmt: skip
