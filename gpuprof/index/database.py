"""A store's digests in a local SQLite file, so that thousands of runs are searched without opening their records.

The index is a cache in the user's own directory, never on the store's side: it may be deleted at any time and is made
anew from the runs. Where it cannot be written everything works, only slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from gpuprof.errors import StoreError
from gpuprof.index.brief import Brief, Shared, brief, shared
from gpuprof.index.digest import Digest, digest
from gpuprof.index.selector import EVERYTHING, Selector
from gpuprof.index.version import VERSION
from gpuprof.store import runs
from gpuprof.system.files import cache_directory

_BATCH = 500
_KEPT = 64  # digests: a question to every run must not keep them all
# What a file that is no index any more may lead to: SQLite finds some damage, the rest is found in what it gives.
_UNSOUND = (sqlite3.DatabaseError, ValueError, LookupError, TypeError)
_T = TypeVar("_T")
Progress = Callable[[int, int], None]


class Index:
    """Use as a context manager. `faults` holds what is wrong with the runs that could not be read, one line each."""

    def __init__(self, store: Path, *, place: Path | None = None, progress: Progress | None = None) -> None:
        self.store = store
        self.faults: list[str] = []
        self._whole: dict[str, Digest | None] = {}
        self._numbers: dict[str, int] = {}  # of texts that the runs of one batch have in common
        self._progress = progress
        self._place = cache_directory() if place is None else place
        self._file = self._place / f"index-{hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]}.sqlite"

    def __enter__(self) -> Index:
        self._database = self._open()
        self._sound(self._synchronise)
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _sound(self, ask: Callable[[], _T]) -> _T:
        """What `ask` gives; in memory where the file turns out to be damaged, locked or on a full disk."""
        try:
            return ask()
        except _UNSOUND as error:
            self._database.close()
            if not isinstance(error, sqlite3.OperationalError):
                with contextlib.suppress(OSError):
                    self._file.unlink()  # it is only a cache
            self._database = self._prepared(":memory:")
            self.faults.clear()
            self._synchronise()
            return ask()

    def _open(self) -> sqlite3.Connection:
        file = self._file
        for attempt in range(2):
            try:
                self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
                return self._prepared(str(file))
            except sqlite3.DatabaseError as error:
                # Of a version that is not this one's, or not a database at all: it is only a cache.
                if attempt or isinstance(error, sqlite3.OperationalError):
                    break
                with contextlib.suppress(OSError):
                    file.unlink()
            except OSError:
                break
        return self._prepared(":memory:")

    @staticmethod
    def _prepared(file: str) -> sqlite3.Connection:
        database = sqlite3.connect(file, timeout=5.0, isolation_level=None)
        database.execute("PRAGMA synchronous=OFF")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("BEGIN IMMEDIATE")
        if version != VERSION:
            database.execute("DROP TABLE IF EXISTS runs")
            database.execute("DROP TABLE IF EXISTS texts")
        # `texts` holds what many runs have in common once.
        database.execute("CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
        database.execute(
            "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, stamp TEXT, run TEXT, date TEXT, "
            "head INTEGER, facts INTEGER, cases TEXT, numbers BLOB, digest TEXT)"
        )
        database.execute(f"PRAGMA user_version = {VERSION:d}")
        database.execute("COMMIT")
        return database

    def _synchronise(self) -> None:
        there = set(runs.run_names(self.store))
        known = {name for (name,) in self._database.execute("SELECT name FROM runs")}
        if gone := known - there:
            self._database.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in gone])
        self._read(sorted(there - known))

    def _read(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), _BATCH):
            found = []
            for name in names[start : start + _BATCH]:
                path = self.store / name
                try:
                    found.append((name, _stamp(path), digest_of(path)))
                except StoreError as error:
                    self.faults.append(str(error))
            self._database.execute("BEGIN IMMEDIATE")  # from here on nobody else can take texts away
            self._numbers.clear()
            for name, stamp, one in found:
                self._insert(name, stamp, one)
            self._database.execute("COMMIT")
            if self._progress is not None:
                self._progress(min(start + _BATCH, len(names)), len(names))

    def _insert(self, name: str, stamp: str, found: Digest) -> None:
        short = brief(found)
        cases = " ".join(str(self._text(static.text)) for static, _ in short.cases)
        numbers = b"".join(bytes(array("d", numbers)) for _, numbers in short.cases)
        row = (
            name, stamp, found.run_id, found.started_at, self._text(short.head.text), self._text(short.facts.text),
            cases, numbers, json.dumps(found.as_json() | {"facts": {}}),
        )  # fmt: skip
        self._database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _text(self, text: str) -> int:
        if (known := self._numbers.get(text)) is not None:
            return known
        self._database.execute("INSERT OR IGNORE INTO texts (text) VALUES (?)", (text,))
        (number,) = self._database.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        self._numbers[text] = int(number)
        return int(number)

    def briefs(self, wanted: Selector = EVERYTHING) -> Iterator[tuple[Brief, set[str] | None]]:
        """Runs that fulfil a selector, oldest first, each with the texts of the cases that do (None: all).

        A record that was changed or damaged since is read again, or left out and named in `faults`.
        """
        return iter(self._sound(lambda: list(self._chosen(wanted))))

    def _chosen(self, wanted: Selector) -> Iterator[tuple[Brief, set[str] | None]]:
        self._refresh(wanted)
        self._database.execute("BEGIN")  # of one moment: another process may be adding runs
        texts, heads = self._texts(wanted)
        query = "SELECT name, run, date, head, facts, cases, numbers FROM runs"
        rows = self._database.execute(f"{query} WHERE head IN ({heads}) ORDER BY name").fetchall()
        self._database.execute("COMMIT")
        good = {number: wanted.case(text.data) for number, text in texts.items() if "workload" in text.data}
        for name, run, date, head, facts, cases, numbers in rows:
            ids = list(map(int, cases.split()))
            if not wanted.run(run, date) or not any(map(good.__getitem__, ids)):
                continue
            values = array("d", numbers)
            width = len(values) // len(ids)
            kept = [(texts[number], values[i * width : (i + 1) * width]) for i, number in enumerate(ids)]
            chosen = {texts[number].text for number in ids if good[number]} if wanted.on_cases else None
            yield Brief(name, run, date, f"{self.store}/{name}", texts[head], texts[facts], kept), chosen

    def _texts(self, wanted: Selector) -> tuple[dict[int, Shared], str]:
        """All texts by number, and the numbers of the heads that are wanted, as SQL lists them."""
        texts = {number: shared(text) for number, text in self._database.execute("SELECT id, text FROM texts")}
        heads = [number for number, text in texts.items() if "machine" in text.data and wanted.head(text.data)]
        return texts, ",".join(map(str, heads))

    def _refresh(self, wanted: Selector) -> None:
        """Read those runs again whose records are not what they were."""
        store, look, stale = str(self.store), os.stat, []
        _, heads = self._texts(wanted)
        query = f"SELECT name, stamp, run, date FROM runs WHERE head IN ({heads})"  # noqa: S608  numbers of our own
        for name, stamp, run, date in self._database.execute(query):
            if not wanted.run(run, date):
                continue
            try:
                now = look(f"{store}/{name}/record.json")
            except OSError:
                stale.append(name)
                continue
            if stamp != f"{now.st_size} {now.st_mtime_ns}":
                stale.append(name)
        for name in stale:
            self._database.execute("DELETE FROM runs WHERE name = ?", (name,))
        self._read(stale)

    def extent(self, *, anew: bool = False) -> tuple[int, int, str]:
        """Runs in the index, its size in bytes and its file ("" in memory), after a look at every record."""
        return self._sound(lambda: self._extent(anew=anew))

    def _extent(self, *, anew: bool) -> tuple[int, int, str]:
        if anew:
            self._database.execute("DELETE FROM runs")
            self._database.execute("DELETE FROM texts")
            self.faults.clear()
            self._synchronise()
        self._refresh(EVERYTHING)
        (count,) = self._database.execute("SELECT COUNT(*) FROM runs").fetchone()
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = self._database.execute("PRAGMA page_size").fetchone()
        ((_, _, file),) = self._database.execute("PRAGMA database_list")
        return count, pages * page_bytes, file

    def digests(self, names: Sequence[str]) -> Iterator[Digest]:
        """Of these runs, in full; one that is not there is left out."""
        for name in names:
            if name not in self._whole:  # asked for once for each of its cases
                if len(self._whole) >= _KEPT:
                    self._whole.clear()
                self._whole[name] = self._sound(lambda name=name: self._digest(name))  # type: ignore[misc]
            found = self._whole[name]
            if found is not None:
                yield found

    def _digest(self, name: str) -> Digest | None:
        query = "SELECT digest, text FROM runs JOIN texts ON texts.id = runs.facts WHERE name = ?"
        row = self._database.execute(query, (name,)).fetchone()
        if row is None:
            return None
        return Digest.from_json(json.loads(row[0]) | {"facts": json.loads(row[1])}, str(self.store / name))


def digest_of(path: Path) -> Digest:
    """The digest of a run directory or a record.json. Raises StoreError with what is wrong with it."""
    # Here and not above: where nothing is new, nothing is read, and pydantic costs more than asking the index.
    from pydantic import ValidationError

    from gpuprof.index.seen import RunSeen

    file = path / "record.json" if path.is_dir() else path
    text = runs.content(file)
    try:
        try:
            found = digest(RunSeen.model_validate_json(text), str(path))
        except ValidationError:  # of an older schema, or damaged: reading the whole of it says which
            found = digest(runs.parsed(text, file), str(path))
        found.started_at.encode()
    except (ArithmeticError, UnicodeError):  # valid, and yet beyond what can be computed with or kept
        raise StoreError(f"{file}: damaged record: it holds a number or a text that no run has") from None
    return found


def _stamp(path: Path) -> str:
    """Tells a changed record from the one that was read: its size and time."""
    try:
        found = os.stat(f"{path}/record.json")  # noqa: PTH116 - once a run, and three times as fast
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"
