"""A run in progress: everything measured so far, one JSON object per line, in a file that is locked while it lives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gpuprof.errors import PublishError, StoreError
from gpuprof.store.raw import Raw, npz
from gpuprof.store.runs import RUN_ID

if TYPE_CHECKING:
    from gpuprof.record.run import RunRecord


STAGING = ".tmp-"
# A repeat with its raw times is some 1 MB; 2,000 of them are far below the whole.
_MOST_LINE_BYTES, _MOST_BYTES = 1 << 26, 1 << 32


class Journal:
    """The append-only log of a run in progress. A full disk costs the journal, never the run: lines stay in memory.

    `staging` is the directory that holds it, `lines` all that was appended. `fault` says why the disk takes no more
    lines, and is empty while it does.
    """

    def __init__(self, store: Path, run_id: str) -> None:
        """Creates the store where needed. Raises StoreError when nothing can be written there."""
        self.staging = store / f"{STAGING}{run_id}"
        self.lines: list[dict[str, Any]] = []
        self.fault = ""
        try:
            self.staging.mkdir(parents=True)
        except OSError as error:  # where it exists already, it is another run's
            raise StoreError(_cannot_write(store, error)) from None
        try:
            # Open for as long as the run lives: closing it would drop the lock, and the run would pass for dead.
            # Under another name until it is locked: who looks for dead runs must not find it in between.
            new = self.staging / "journal.new"
            self._file = new.open("x", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A test and no reservation: a disk without room for a small record is refused before hours of measuring.
            self._file.write("\n" * 65536)
            self._file.flush()
            self._file.seek(0)
            self._file.truncate()
            new.replace(self.staging / "journal.jsonl")
        except OSError as error:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.staging)
            raise StoreError(_cannot_write(store, error)) from None

    def append(self, line: dict[str, Any]) -> None:
        """Add a line; it is on the disk when this returns. After a first failure lines are kept in memory only."""
        self.lines.append(line)
        if self.fault:
            return
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.fault = error.strerror or str(error) or type(error).__name__

    def publish(self, record: RunRecord, raw: Raw) -> Path:
        """Put the finished run into the store. Raises PublishError after saving it elsewhere when that fails."""
        try:
            target = _publish(self.staging, record, raw)
        except OSError as error:
            raise PublishError(self._rescue(record, raw, error), record) from None
        self._close()
        return target

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _rescue(self, record: RunRecord, raw: Raw, error: OSError) -> str:
        """Save the run in the working or the temporary directory; the message says where it lies, or what was lost."""
        store = self.staging.parent
        failure = f"{store}: the record could not be stored ({error.strerror})"
        # A directory of our own making in the temporary one: its name must not be another user's to choose.
        for make_place in (lambda: Path.cwd() / "gpuprof-rescued", lambda: Path(tempfile.mkdtemp(prefix="gpuprof-"))):
            staging = None
            try:
                staging = make_place() / f"{STAGING}{record.run_id}"
                staging.mkdir(parents=True)
                saved = _publish(staging, record, raw)
            except OSError:
                if staging is not None:
                    shutil.rmtree(staging, ignore_errors=True)
                continue
            self._close()
            shutil.rmtree(self.staging, ignore_errors=True)
            return f"{failure}. Nothing is lost: it was saved as {saved}. Free some space and move that into the store."
        self._close()
        if not self.fault:
            return f"{failure}. Nothing is lost: free space, then run gpuprof recover --store {shlex.quote(str(store))}"
        return f"{failure}, not even in the working or temporary directory, and is lost. Free some space and run again."


def _publish(staging: Path, record: RunRecord, raw: Raw) -> Path:
    """Write both files, then rename: a run that can be seen is whole, also after a power cut. Raises OSError.

    A run of that name which is published already is never replaced: its directory is not empty, and the rename fails.
    """
    target = staging.parent / record.run_id
    document = record.to_json().encode()
    with _directory(staging) as descriptor:
        # By descriptor, made anew and through no link: in a store for all, others may have laid some.
        for name, content in (("raw.npz", npz(raw)), ("record.json", document)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=descriptor)  # of an attempt before, or a link
            with open(name, "xb", opener=lambda name, flags: os.open(name, flags, 0o666, dir_fd=descriptor)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_names(descriptor)  # or the rename could outlive a power cut, and the names of these files not
    try:
        staging.rename(target)
    except OSError:
        # Over NFS the answer may be lost. Asked again, the server knows no such directory, having renamed it before:
        # then the target holds our record.
        if staging.exists() or (target / "record.json").read_bytes() != document:
            raise
    # The run is published from here on, and the journal has done its work; what fails now costs nothing.
    with contextlib.suppress(OSError):
        (target / "journal.jsonl").unlink(missing_ok=True)
        with _directory(target.parent, links=True) as descriptor:
            os.fsync(descriptor)
    return target


def _sync_names(descriptor: int) -> None:
    """Bring the names in a directory to the disk, where the file system does that. Raises OSError when it fails."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # it cannot, for any directory
            raise


@contextlib.contextmanager
def _directory(path: Path, *, links: bool = False) -> Iterator[int]:
    """Descriptor of a directory. Raises OSError for a link, which may lead anywhere, unless `links`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | (0 if links else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_journal(staging: Path) -> BinaryIO:
    """The journal, open for writing: NFS demands it for an exclusive lock. Raises OSError, also for links and pipes."""
    with _directory(staging) as descriptor:
        return open(
            "journal.jsonl", "r+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
        )


def unfinished(store: Path) -> Iterator[Path]:
    """Staging directories whose supervisor is gone; each is locked until the next is asked for."""
    try:
        candidates = sorted(store.glob(f"{STAGING}*"))
    except OSError:
        return
    for path in candidates:
        if not RUN_ID.fullmatch(path.name.removeprefix(STAGING)):
            continue
        with contextlib.ExitStack() as stack:
            try:
                journal = stack.enter_context(open_journal(path))
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(journal.fileno()), (path / "journal.jsonl").lstat()):
                    continue
            except OSError:
                continue  # alive, published since it was opened, or not ours to touch, such as a link
            yield path


def without_journal(store: Path) -> Iterator[Path]:
    """Staging directories with no journal to lock: their run is just starting, or was killed at that moment."""
    with contextlib.suppress(OSError):
        for path in sorted(store.glob(f"{STAGING}*")):
            named = RUN_ID.fullmatch(path.name.removeprefix(STAGING)) and not path.is_symlink()
            if named and not os.path.lexists(path / "journal.jsonl"):
                yield path


def read_journal(staging: Path) -> tuple[list[dict[str, Any]], bool]:
    """Its lines, and whether another was begun: a run killed while writing leaves its last line cut off.

    Raises StoreError when any other line is damaged: what stands after it was measured all the same.
    """
    lines: list[dict[str, Any]] = []
    damaged = 0
    with open_journal(staging) as journal:
        if os.fstat(journal.fileno()).st_size > _MOST_BYTES:
            raise StoreError(f"{staging / 'journal.jsonl'}: too large for a journal")
        for number, text in enumerate(iter(lambda: journal.readline(_MOST_LINE_BYTES), b""), 1):
            if len(text) == _MOST_LINE_BYTES:
                raise StoreError(f"{staging / 'journal.jsonl'}: line {number} is too long for a journal")
            if not text.strip():  # of a run killed while it tested the disk for room
                continue
            if damaged:
                raise StoreError(
                    f"{staging / 'journal.jsonl'}: line {damaged} is damaged and others follow it; to recover "
                    "them, repair or delete that line"
                )
            if (line := _line(text)) is None:
                damaged = number
            else:
                lines.append(line)
    return lines, damaged > 0


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("type"), str) else None


def publish_recovered(staging: Path, record: RunRecord, raw: Raw) -> Path:
    """Publish what a dead run left behind. Raises StoreError when that fails; the journal then stays."""
    try:
        return _publish(staging, record, raw)
    except OSError as error:
        raise StoreError(_cannot_write(staging.parent, error)) from None


def _cannot_write(store: Path, error: OSError) -> str:
    return f"{store}: cannot be used as the store ({error.strerror}); choose another with --store DIR"
