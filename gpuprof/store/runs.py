"""One directory a run, published by one atomic rename and never changed afterwards.

    STORE/<run_id>/record.json    the record
    STORE/<run_id>/raw.npz        times of every block and request, one array a series
    STORE/.tmp-<run_id>/journal.jsonl    a run in progress: everything measured so far, one JSON object a line

The journal is what makes a killed supervisor lose nothing: `gpuprof recover` folds it into a record. Its lock tells a
live run from a dead one.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import secrets
import shlex
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gpuprof.errors import PublishError, StoreError

if TYPE_CHECKING:
    from gpuprof.record.run import RunRecord

STAGING = ".tmp-"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9_-]{1,80}-[0-9a-f]{8}")
Raw = dict[str, list[float]]
_MOST_RAW_BYTES = 1 << 30
_MOST_RECORD_BYTES = 1 << 28
_HEADER = re.compile(rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([0-9]{1,10}),\), \}\s*")


def new_run_id(label: str, now: datetime | None = None) -> str:
    """Sorts by time; the random tail keeps runs of many machines apart in one store."""
    stamp = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    slug = re.sub(r"[^a-z0-9_-]+", "_", label.lower()).strip("_")[:80] or "run"
    return f"{stamp}-{slug}-{secrets.token_hex(4)}"


class Journal:
    """The append-only log of a run in progress. A full disk costs the journal, never the run: lines stay in memory."""

    def __init__(self, store: Path, run_id: str) -> None:
        """Creates the store where needed. Raises StoreError when nothing can be written there."""
        self.path = store / f"{STAGING}{run_id}"
        self.lines: list[dict[str, Any]] = []
        self.fault: str | None = None
        try:
            self.path.mkdir(parents=True)
            self._file = (self.path / "journal.jsonl").open("x", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.write("\n" * 65536)  # room for a small record, or no run at all
            self._file.flush()
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.path)
            raise StoreError(_cannot_write(store, error)) from None

    def append(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if self.fault is not None:
            return
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.fault = error.strerror or str(error)

    def publish(self, record: RunRecord, raw: Raw) -> Path:
        """Put the finished run into the store. Raises PublishError after saving it elsewhere when that fails."""
        try:
            target = _publish(self.path, record, raw)
        except OSError as error:
            raise PublishError(self._rescue(record, raw, error), record) from None
        self._close()
        return target

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _rescue(self, record: RunRecord, raw: Raw, error: OSError) -> str:
        store = self.path.parent
        what = f"{store}: the record could not be stored ({error.strerror})"
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
            shutil.rmtree(self.path, ignore_errors=True)
            return f"{what}. Nothing is lost: it was saved as {saved}. Free some space and move that directory there."
        self._close()
        if self.fault is None:
            return f"{what}. Nothing is lost: free some space, then gpuprof recover --store {shlex.quote(str(store))}"
        return f"{what}, nor in the working directory, nor in the temporary directory. Free some space and run again."


def _publish(staging: Path, record: RunRecord, raw: Raw) -> Path:
    target = staging.parent / record.run_id
    text = record.to_json().encode()
    with _opened(staging) as place:
        for name, content in (("raw.npz", npz(raw)), ("record.json", text)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=place)  # of an attempt before; it may be a link, and is not written through
            with open(name, "xb", opener=lambda name, flags: os.open(name, flags, 0o666, dir_fd=place)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    try:
        staging.rename(target)
    except OSError:
        # Over NFS the answer may be lost: asked again, the server knows no such directory, having renamed it before.
        if staging.exists() or (target / "record.json").read_bytes() != text:
            raise
    # The run is published from here on, and the journal has done its work; what fails now costs nothing.
    with contextlib.suppress(OSError):
        (target / "journal.jsonl").unlink(missing_ok=True)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return target


@contextlib.contextmanager
def _opened(staging: Path) -> Iterator[int]:
    """Descriptor of a staging directory. Raises OSError for a link: where all may write, it may lead anywhere."""
    descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_journal(staging: Path) -> BinaryIO:
    """Open for writing, which an exclusive lock needs over NFS. Raises OSError, also for links and pipes."""
    with _opened(staging) as place:
        return open(
            "journal.jsonl", "r+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, dir_fd=place)
        )


def npz(raw: Raw) -> bytes:
    """The series as a compressed numpy archive of float64 arrays; equal input gives equal bytes."""
    import numpy as np

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in sorted(raw.items()):
            column = io.BytesIO()
            np.lib.format.write_array(column, np.asarray(values, dtype=np.float64), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), column.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def read(path: Path) -> RunRecord:
    """The record of a run directory or a record.json. Raises StoreError with what is wrong with it."""
    # Here and not above: with an index at hand most commands read no record, and pydantic costs more than they do.
    from pydantic import ValidationError

    from gpuprof.record.run import RunRecord
    from gpuprof.record.versions import OLDER, SCHEMA, upgrade

    file = path / "record.json" if path.is_dir() else path
    try:
        there = file.stat()
        if not stat.S_ISREG(there.st_mode) or there.st_size > _MOST_RECORD_BYTES:  # a pipe would be waited for
            raise StoreError(f"{file}: cannot be read (no file that a record could be)")
        text = file.read_bytes()
        data = json.loads(text)
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise StoreError(f"{file}: not a JSON document; it may be cut off") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema in OLDER:
        try:
            data = upgrade(data)
        except (KeyError, TypeError, AttributeError):
            raise StoreError(f"{file}: damaged record: not what {schema} holds") from None
    elif schema != SCHEMA:
        hint = "a newer gpuprof wrote it" if str(schema).startswith("gpuprof.record/") else "not a gpuprof record"
        raise StoreError(f"{file}: schema {schema!r} cannot be read by this version ({hint})")
    try:
        return RunRecord.model_validate(data) if schema in OLDER else RunRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise StoreError(f"{file}: damaged record: {place}: {first['msg']}{more}") from None


def read_raw(path: Path, prefix: str = "") -> Raw:
    """Series beside the record of a run directory or a record.json. Raises StoreError when they cannot be read.

    Without numpy, which costs more to import than a report takes: `npz` writes one kind of array. A file from elsewhere
    runs no code, and cannot fill the memory by unpacking.
    """
    file = (path if path.is_dir() else path.parent) / "raw.npz"
    found: Raw = {}
    try:
        if file.exists() and not file.is_file():
            raise StoreError(f"{file}: cannot be read (no file)")  # a pipe would be waited for
        with zipfile.ZipFile(file) as archive:
            wanted = [info for info in archive.infolist() if info.filename.startswith(prefix)]
            if sum(info.file_size for info in wanted) > _MOST_RAW_BYTES:
                raise StoreError(f"{file}: damaged: it unpacks to more than {_MOST_RAW_BYTES >> 20} MiB")
            for info in wanted:
                found[info.filename.removesuffix(".npy")] = _column(archive.read(info))
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error):
        raise StoreError(f"{file}: damaged: not an archive of number series") from None
    return found


def _column(data: bytes) -> list[float]:
    """A float64 array of one dimension (numpy's format 1.0). Raises ValueError or struct.error."""
    (length,) = struct.unpack_from("<H", data, 8)
    header, body = data[10 : 10 + length], data[10 + length :]
    shape = _HEADER.fullmatch(header)
    if not data.startswith(b"\x93NUMPY\x01\x00") or shape is None or len(body) != 8 * int(shape[1]):
        raise ValueError("another kind of array")
    return list(struct.unpack(f"<{shape[1].decode()}d", body))


def run_directories(store: Path) -> list[Path]:
    """Published runs, oldest first. Raises StoreError when the store cannot be listed."""
    return [store / name for name in run_names(store)]


def run_names(store: Path) -> list[str]:
    """The same as names."""
    try:
        with os.scandir(store) as entries:
            return sorted(entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{store}: cannot be listed ({error.strerror}); name another with --store") from None


def find(store: Path, name: str) -> Path:
    """The run of that id, of a unique part of one, of a path, or `last`. Raises StoreError when there is none."""
    direct = Path(name)
    with contextlib.suppress(OSError):  # longer than a file name may be
        if (direct / "record.json").is_file() or (direct.suffix == ".json" and direct.is_file()):
            return direct
    runs = run_directories(store)
    found = runs[-1:] if name == "last" else [run for run in runs if name in run.name]
    exact = [run for run in found if run.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise StoreError(f"no run {name!r} in {store}; `gpuprof list --store {store}` shows what is there")
    names = "\n  ".join(run.name for run in found[-10:])
    raise StoreError(f"{len(found)} runs match {name!r}; name one of them:\n  {names}")


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
            except OSError:
                continue  # alive, or not ours to touch, such as a link
            yield path


def without_journal(store: Path) -> Iterator[Path]:
    """Staging directories that hold no lock to ask: of a run that is just starting, or was killed in that moment."""
    with contextlib.suppress(OSError):
        for path in sorted(store.glob(f"{STAGING}*")):
            named = RUN_ID.fullmatch(path.name.removeprefix(STAGING)) and not path.is_symlink()
            if named and not os.path.lexists(path / "journal.jsonl"):
                yield path


def read_journal(staging: Path) -> tuple[list[dict[str, Any]], bool]:
    """Lines of a journal, and whether one more was begun: a run killed while writing leaves a last line cut off.

    Raises StoreError when any other line is damaged: what stands after it was measured all the same.
    """
    lines: list[dict[str, Any]] = []
    damaged = 0
    with open_journal(staging) as journal:
        for number, text in enumerate(journal, 1):
            if not text.strip():  # of the room that is made before the first line
                continue
            if damaged:
                raise StoreError(
                    f"{staging / 'journal.jsonl'}: line {damaged} is damaged and others follow it; with that line "
                    "mended or taken out they can be recovered"
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
    return f"{store}: cannot be used as the store ({error.strerror}); name another with --store DIR"
