"""The measuring part of a night: each configuration once, in a process of its own, and what came of it.

    OUT/.lock                       held while a night is at work, by what it started as well; names the process
    OUT/<night>/night.json          what was measured: a configuration that is there is not measured again
    OUT/<night>/<n>-<config>.log    what `gpuprof run` said, where there was no terminal to say it to

A suite is measured configuration by configuration, if all of it can be read. One that fails costs itself alone: it is
reported, and tried again when the night is run again.
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
from gpuprof.text import listed, one_line

_GRACE_S = 60.0  # for a run that is told to end, to keep what it has


@dataclass(frozen=True)
class Plan:
    configs: Sequence[str]
    store: Path
    out: Path
    night: str
    options: Sequence[str] = ()  # for `gpuprof run`, as are the KEY=VALUE of `overrides`
    overrides: Sequence[str] = ()
    again: bool = False
    timeout_s: float = 6 * 3600.0  # of one configuration

    @property
    def place(self) -> Path:
        return self.out / self.night


@dataclass(frozen=True)
class Item:
    """One configuration to measure. `signature` is of all that says what: another text is another measurement."""

    config: str
    options: Sequence[str]
    signature: str


@dataclass(frozen=True)
class Measured:
    """One configuration in one night. `fault` is empty where all of it was measured, `fresh` that it was only now."""

    config: str
    signature: str
    runs: Sequence[str]
    fault: str = ""
    fresh: bool = False


@contextlib.contextmanager
def locked(out: Path) -> Iterator[int]:
    """Gives the lock's file descriptor: whoever inherits it holds the lock, too. Raises LockedError, UsageError."""
    elsewhere = "name another directory with --out, on a local disk"
    place = out / ".lock"
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Not through a link: in a store for all, somebody may have laid one.
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise UsageError(f"{out}: cannot be used ({error.strerror}); {elsewhere}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = one_line(os.pread(lock, 200, 0).decode(errors="replace")) or "another process"
            raise LockedError(f"a nightly run is already at work ({holder} holds {place})") from None
        except OSError as error:
            raise UsageError(f"{out}: files cannot be locked there ({error.strerror}); {elsewhere}") from None
        _sign(lock)
        yield lock
    finally:
        os.close(lock)


def measure(plan: Plan, lock: int, tell: Callable[[str], None], unwritten: list[str]) -> Iterator[Measured]:
    """What this night has measured before under another plan, so that it is judged as well; then what this plan names.

    `tell` gets a line before each measurement, `unwritten` what could not be remembered. KeyboardInterrupt ends the run
    at work in peace, and all others.
    """
    items = _items(plan)
    known = {one.signature: one for one in _remembered(plan.place / "night.json")}
    named = {item.signature for item in items}
    yield from [replace(o, fault="") for o in known.values() if o.signature not in named and _stored(plan, o)]
    for number, item in enumerate(items):
        before = known.get(item.signature)
        if before is None or plan.again or before.fault or not _stored(plan, before):
            tell(f"{number + 1} of {len(items)}: {item.config}")
            before = _run(plan, item, plan.place / f"{number}-{Path(item.config).stem}.log", lock)
            known[item.signature] = before
            remembered = [{k: v for k, v in asdict(one).items() if k != "fresh"} for one in known.values()]
            document = {"night": plan.night, "measured": remembered}
            try:
                to_file(plan.place / "night.json", (json.dumps(document, indent=1) + "\n").encode())
            except GpuprofError as error:  # what was measured is in the store all the same
                unwritten.append(str(error))
            before = replace(before, fresh=True)
        yield before


def _stored(plan: Plan, one: Measured) -> bool:
    return bool(one.runs) and all(_readable(plan.store / run) for run in one.runs)


def _readable(run: Path) -> bool:
    try:
        runs.read(run)
    except StoreError:
        return False
    return True


def _items(plan: Plan) -> list[Item]:
    """What the configurations and suites name, each once. What is wrong with one is for `gpuprof run` to say."""
    found: dict[str, Item] = {}
    for config in plan.configs:
        try:
            records = [one.record for one in suite.load([Path(config)], plan.overrides)]
            wanted = [(one.file, one.sha256, one.overrides) for one in records]
        except ConfigError:
            wanted = [(config, "", [*plan.overrides])]
        for file, text, overrides in wanted:
            options = [*plan.options, *itertools.chain.from_iterable(("--set", one) for one in overrides)]
            signature = hashlib.sha256(json.dumps([str(Path(file).resolve()), text, options]).encode()).hexdigest()
            found.setdefault(signature, Item(file, options, signature))
    return list(found.values())


def _remembered(file: Path) -> list[Measured]:
    """Nothing where it cannot be read: what is not known is measured again."""
    try:
        found = [Measured(**one, fresh=False) for one in json.loads(file.read_text("utf-8"))["measured"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    texts = [(one.config, one.signature, one.fault, *one.runs) for one in found if isinstance(one.runs, list)]
    sound = len(texts) == len(found) and all(isinstance(text, str) for some in texts for text in some)
    return [one for one in found if all(map(runs.RUN_ID.fullmatch, one.runs))] if sound else []


def _run(plan: Plan, item: Item, log: Path, lock: int) -> Measured:
    command = [sys.executable, "-m", "gpuprof", "run", "--json", "--store", str(plan.store), *item.options, "--"]
    try:
        code, output = _call([*command, item.config], log, lock, plan.timeout_s)
    except OSError as error:
        return Measured(item.config, item.signature, [], one_line(f"{error.filename or log}: {error.strerror}"))
    try:
        answer: Any = json.loads(output)
    except (ValueError, RecursionError):
        answer = []
    answers = answer if isinstance(answer, list) else [answer]
    records = [one for one in answers if isinstance(one, dict) and isinstance(one.get("run_id"), str)]
    # A rescued record lies elsewhere, and is no part of the history until it was put here.
    stored = [one["run_id"] for one in records if _readable(plan.store / one["run_id"])]
    fault = ""
    if code is None:
        fault = f"not over after {plan.timeout_s:,.0f} s"
    elif code != EXIT_OK:
        fault = _fault(item.config, answer, records) or f"gpuprof run ended with code {code}"
    elif not stored:
        fault = "the store has no readable record of it"
    if fault and log.is_file():
        fault += f"; see {log}"
    return Measured(item.config, item.signature, stored, one_line(fault))


def _call(command: Sequence[str], log: Path, lock: int, timeout_s: float) -> tuple[int | None, bytes]:
    """Exit code (None: it took too long and was ended) and stdout."""
    with contextlib.ExitStack() as stack:
        errors: IO[bytes] | None = None
        if not sys.stderr.isatty():  # in a terminal its progress is shown as it comes
            log.unlink(missing_ok=True)
            errors = stack.enter_context(log.open("xb"))  # not through a link
        try:
            with undisturbed(afterwards=True):  # what was started is known, and can be ended
                # In a session of its own, so that Ctrl-C reaches it once, by us.
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, pass_fds=(lock,)
                )
                _sign(lock, process.pid)
            output, _ = process.communicate(timeout=timeout_s)
        except KeyboardInterrupt:
            with undisturbed():
                _end(process)
            raise
        except subprocess.TimeoutExpired:
            with undisturbed(afterwards=True):
                output = _end(process)
            return None, output
        return process.returncode, output


def _end(process: subprocess.Popen[bytes]) -> bytes:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=_GRACE_S)[0]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold it for ever
        return process.communicate(timeout=_GRACE_S / 10)[0]
    return b""


def _sign(lock: int, *others: int) -> None:
    """Into the lock's file, for whoever finds it held; on a full disk it is locked all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        named = " and ".join(map(str, (os.getpid(), *others)))
        os.pwrite(lock, f"process {named} since {utc_now()}".encode(), 0)


def _fault(config: str, answer: Any, records: Sequence[dict[str, Any]]) -> str:
    if isinstance(answer, dict) and "error" in answer:
        return str(answer["error"]["message"]).removeprefix(f"{config}: ")
    return listed([
        f"{case['case_id']}: {case['reason'] or 'wrong results'}" for one in records for case in one["cases"]
        if case["outcome"] != "ok" or case["correctness"]["verdict"] == "wrong"
    ])  # fmt: skip
