"""One directory per run, published by one atomic rename and never changed afterwards.

    STORE/<run_id>/record.json    the record
    STORE/<run_id>/raw.npz        times of every block and request, one array per series
    STORE/.tmp-<run_id>/journal.jsonl    a run in progress: everything measured so far, one JSON object per line

The journal is what makes a killed supervisor lose nothing: `gpuprof recover` folds it into a record. Its lock tells a
live run from a dead one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from gpuprof.errors import StoreError
from gpuprof.text import shortened

if TYPE_CHECKING:
    from pydantic import ValidationError

    from gpuprof.record.run import RunRecord
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9_-]{1,80}-[0-9a-f]{8}")
_MOST_RECORD_BYTES = 1 << 26  # some 2,000 repeats have 50 MB; reading takes ten times as much memory


def new_run_id(label: str, now: datetime | None = None) -> str:
    """An id that sorts by time (UTC) and names `label`; its random tail keeps runs of many machines apart."""
    stamp = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    slug = re.sub(r"[^a-z0-9_-]+", "_", label.lower()).strip("_")[:80] or "run"
    return f"{stamp}-{slug}-{secrets.token_hex(4)}"


def read(path: Path) -> RunRecord:
    """The record of a run directory or a record.json. Raises StoreError with what is wrong with it."""
    file = record_file(path)
    return parsed(content(file), file)


def parsed(text: bytes, file: Path) -> RunRecord:
    """The record in the bytes of a file, of this schema or an older one. Raises StoreError with what is wrong with it.

    `file` is for the message.
    """
    # Here and not above: with an index at hand most commands read no record, and pydantic costs more than they do.
    from pydantic import ValidationError

    from gpuprof.record.run import RunRecord

    try:
        # Nearly all are of today's schema and whole: then the text is parsed once.
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        return _older(text, file, error)


def content(file: Path) -> bytes:
    """The bytes of a record's file. Raises StoreError where it cannot be one: a pipe, or larger than 64 MiB."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_RECORD_BYTES:  # a pipe would be waited for
            raise StoreError(f"{file}: cannot be read (too large for a record, or not a regular file)")
        return file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror})") from None


def _older(text: bytes, file: Path, fault: ValidationError) -> RunRecord:
    """The record, if it is of an older schema. Raises StoreError with what is wrong where it is not."""
    from pydantic import ValidationError

    from gpuprof.record.run import RunRecord
    from gpuprof.record.versions import OLDER, SCHEMA, upgrade

    try:
        data = json.loads(text)
        json.dumps(data, ensure_ascii=False).encode()  # half of a character could be written nowhere
    except UnicodeEncodeError:
        raise StoreError(f"{file}: damaged record: it contains text that is no Unicode") from None
    except (ValueError, RecursionError):
        raise StoreError(f"{file}: not a JSON document; it may be truncated") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in (*OLDER, SCHEMA):
        hint = "written by a newer gpuprof" if str(schema).startswith("gpuprof.record/") else "not a gpuprof record"
        raise StoreError(f"{file}: schema {shortened(repr(schema))} cannot be read by this version ({hint})")
    if schema in OLDER:
        try:
            return RunRecord.model_validate(upgrade(data))
        except (KeyError, TypeError, AttributeError):
            raise StoreError(f"{file}: damaged record: does not match {schema}") from None
        except ValidationError as error:
            fault = error
    first = fault.errors()[0]
    place = ".".join(map(str, first["loc"]))
    more = f" (and {fault.error_count() - 1} more)" if fault.error_count() > 1 else ""
    raise StoreError(f"{file}: damaged record: {place}: {first['msg']}{more}") from None


def run_directories(store: Path) -> list[Path]:
    """Directories of published runs, oldest first; none without a store. Raises StoreError when it cannot be listed."""
    return [store / name for name in run_names(store)]


def run_names(store: Path) -> list[str]:
    """Names of published runs, oldest first; none without a store. Raises StoreError when it cannot be listed."""
    try:
        with os.scandir(store) as entries:
            return sorted(entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and _may_be_run(entry))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{store}: cannot be listed ({error.strerror}); choose another with --store") from None


def _may_be_run(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory, or a link that cannot be followed: reading that one gives the reason by its name."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def record_file(path: Path) -> Path:
    """The file of a run directory, or the path itself. Never raises: what cannot be looked at cannot be read either."""
    return path / "record.json" if os.path.isdir(path) else path  # noqa: PTH112 - Path.is_dir raises for some links


def _configuration(run_id: str) -> str:
    """The name of the configuration in a run's id: between its time and its number."""
    return run_id.partition("-")[2].rpartition("-")[0]


def find(store: Path, name: str) -> Path:
    """The directory or record.json of the run named by its id, a unique part of it, a path, `last` or `previous`.

    `last` is the newest run, `previous` the newest before it of the same configuration, by the name in its id. Raises
    StoreError when there is none, or more than one.
    """
    direct = Path(name)
    with contextlib.suppress(OSError):  # longer than a file name may be
        if (direct / "record.json").is_file() or (direct.suffix == ".json" and direct.is_file()):
            return direct
    runs = run_directories(store)
    if name == "previous" and runs:
        *earlier, last = runs
        matches = [run for run in earlier if _configuration(run.name) == _configuration(last.name)][-1:]
        if not matches:
            raise StoreError(f"no run before {last.name} in {store} is of the same configuration")
    else:
        matches = runs[-1:] if name == "last" else [run for run in runs if name in run.name]
    exact = [run for run in matches if run.name == name]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    if not matches:
        raise StoreError(f"no run {name!r} in {store}; `gpuprof list --store {store}` lists its runs")
    names = "\n  ".join(run.name for run in matches[-10:])
    raise StoreError(f"{len(matches)} runs match {name!r}; choose one of them:\n  {names}")
