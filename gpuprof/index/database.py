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
from gpuprof.index.brief import PER_METRIC, Brief, Shared, brief, shared
from gpuprof.index.digest import Digest, digest
from gpuprof.index.selector import EVERYTHING, Selector
from gpuprof.index.version import VERSION
from gpuprof.metrics import INDEXED
from gpuprof.store import runs
from gpuprof.system.files import cache_directory, is_ours, make_private

_BATCH = 500
_WIDTH = PER_METRIC * len(INDEXED)  # numbers of a case
_KEPT = 64  # digests: a question to every run must not keep them all
# Errors that a damaged index can cause: in SQLite, or in decoding what its rows hold.
_UNSOUND = (sqlite3.DatabaseError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
_T = TypeVar("_T")
Progress = Callable[[int, int], None]  # runs read, of how many


class Index:
    """The index of one store. Use as a context manager: it reads new runs, and forgets those that are gone.

    `faults` holds what is wrong with the runs that could not be read, one line each. They are tried again when the
    index is opened again.
    """

    def __init__(self, store: Path, *, place: Path | None = None, progress: Progress | None = None) -> None:
        self.store = store
        self.faults: list[str] = []
        self._digests: dict[str, Digest | None] = {}  # by name, the last that were asked for
        self._text_ids: dict[str, int] = {}  # rows of `texts` that are known to be there, while a batch is written
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
        """The result of `ask`; from an index in memory where the file is damaged, locked or on a full disk.

        Closing the connection undoes what `ask` had begun.
        """
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
                make_private(self._place)
                if not is_ours(file):
                    file.unlink()
                with open(file, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)):
                    pass  # SQLite would make it with the permissions that the umask leaves
                return self._prepared(str(file))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                # Damaged, or not a database at all: it is only a cache.
                if attempt or isinstance(error, sqlite3.OperationalError):
                    break
                with contextlib.suppress(OSError):
                    file.unlink()
            except PermissionError as error:
                self.faults.append(f"{self._place}: is not used as a cache ({error.strerror})")
                break
            except OSError:
                break
        return self._prepared(":memory:")

    @staticmethod
    def _prepared(file: str) -> sqlite3.Connection:
        database = sqlite3.connect(file, timeout=5.0, isolation_level=None)
        database.execute("PRAGMA synchronous=OFF")
        # Asked before, another process might make the tables in between, and lose its rows to this one's DROP.
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            database.execute("DROP TABLE IF EXISTS runs")
            database.execute("DROP TABLE IF EXISTS texts")
        # What many runs have in common stands in `texts` once.
        database.execute("CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
        database.execute(
            "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, stamp TEXT, run TEXT, date TEXT, "
            "head INTEGER, facts INTEGER, cases TEXT, numbers BLOB, digest TEXT)"
        )
        database.execute(f"PRAGMA user_version = {VERSION:d}")
        database.execute("COMMIT")
        return database

    def _synchronise(self) -> None:
        present = set(runs.run_names(self.store))
        indexed, heads = set(), set()
        for name, head in self._database.execute("SELECT name, head FROM runs"):
            indexed.add(name)
            heads.add(head)
        texts = self._database.execute("SELECT id, text FROM texts WHERE text LIKE '%\"machine\"%'")
        if not heads <= {text_id for text_id, text in texts if "machine" in shared(text).data}:
            raise LookupError("a row's head is not there")  # or runs would be hidden without a word
        if gone := indexed - present:
            self._database.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in gone])
        self._read(sorted(present - indexed))

    def _read(self, names: Sequence[str]) -> None:
        """Add the runs in these directories; those that cannot be read are named in `faults`."""
        for start in range(0, len(names), _BATCH):
            # Records are read before the transaction, so that others wait for the index only while rows are written.
            batch = []
            for name in names[start : start + _BATCH]:
                path = self.store / name
                try:
                    # First the stamp: if the record changes in between, the stamp is an old one, and `_refresh` reads
                    # the record again. A stamp taken afterwards would hide the change for ever.
                    batch.append((name, _stamp(path), digest_of(path)))
                except StoreError as error:
                    if str(error) not in self.faults:  # a run that cannot be read is tried again by whoever asks again
                        self.faults.append(str(error))
            self._database.execute("BEGIN IMMEDIATE")
            # Another process may have deleted all texts since the last batch (a rebuild, another version of gpuprof).
            # From here on none can, until the end of the transaction: ids that are looked up now hold that long.
            self._text_ids.clear()
            for name, stamp, run_digest in batch:
                self._insert(name, stamp, run_digest)
            self._database.execute("COMMIT")
            if self._progress is not None:
                self._progress(min(start + _BATCH, len(names)), len(names))

    def _insert(self, name: str, stamp: str, run_digest: Digest) -> None:
        run = brief(run_digest)
        cases = " ".join(str(self._text_id(static.text)) for static, _ in run.cases)
        numbers = b"".join(bytes(array("d", numbers)) for _, numbers in run.cases)
        row = (
            name, stamp, run.run_id, run.started_at, self._text_id(run.head.text), self._text_id(run.facts.text),
            cases, numbers, json.dumps(run_digest.as_json() | {"facts": {}}),
        )  # fmt: skip
        # REPLACE, since another process may have added the same run meanwhile.
        self._database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _text_id(self, text: str) -> int:
        """The row of `texts` that holds it, made where there is none. Call it inside of a transaction that writes."""
        if (known_id := self._text_ids.get(text)) is not None:
            return known_id
        self._database.execute("INSERT OR IGNORE INTO texts (text) VALUES (?)", (text,))
        (text_id,) = self._database.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        self._text_ids[text] = int(text_id)
        return int(text_id)

    def briefs(self, selector: Selector = EVERYTHING) -> Iterator[tuple[Brief, set[str] | None]]:
        """Runs that fulfil a selector, oldest first, each with the texts of the cases that do (None: all).

        A record that was changed or damaged since is read again, or left out and named in `faults`.
        """
        return iter(self._sound(lambda: list(self._selected(selector))))

    def _selected(self, selector: Selector) -> Iterator[tuple[Brief, set[str] | None]]:
        self._refresh(selector)
        self._database.execute("BEGIN")  # one moment for all queries: another process may be adding runs
        texts, heads = self._texts(selector)
        query = "SELECT name, run, date, head, facts, cases, numbers FROM runs"
        rows = self._database.execute(f"{query} WHERE head IN ({heads}) ORDER BY name").fetchall()
        self._database.execute("COMMIT")
        # Only texts of cases have a workload, and only heads (in `_texts`) a machine.
        fulfils = {text_id: selector.case(text.data) for text_id, text in texts.items() if "workload" in text.data}
        for name, run_id, date, head, facts, cases, numbers in rows:
            ids = list(map(int, cases.split()))
            values = array("d", numbers)
            if len(values) != len(ids) * _WIDTH:
                raise ValueError("a row's numbers are not those of its cases")
            if not selector.run(run_id, date) or not any(map(fulfils.__getitem__, ids)):
                continue
            kept = [(texts[text_id], values[i * _WIDTH : (i + 1) * _WIDTH]) for i, text_id in enumerate(ids)]
            chosen = {texts[text_id].text for text_id in ids if fulfils[text_id]} if selector.on_cases else None
            yield Brief(name, run_id, date, f"{self.store}/{name}", texts[head], texts[facts], kept), chosen

    def _texts(self, selector: Selector) -> tuple[dict[int, Shared], str]:
        """All texts by id, and the ids of the heads that fulfil the selector, as a list for SQL."""
        texts = {text_id: shared(text) for text_id, text in self._database.execute("SELECT id, text FROM texts")}
        heads = [text_id for text_id, text in texts.items() if "machine" in text.data and selector.head(text.data)]
        return texts, ",".join(map(str, heads))

    def _refresh(self, selector: Selector) -> None:
        """Read those runs again whose records have changed."""
        store, look, stale = str(self.store), os.stat, []  # looked up once, for the loop runs thousands of times
        _, heads = self._texts(selector)
        query = f"SELECT name, stamp, run, date FROM runs WHERE head IN ({heads})"  # noqa: S608  numbers of our own
        for name, stamp, run_id, date in self._database.execute(query):
            if not selector.run(run_id, date):
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
        """Runs in the index, its size in bytes and its file ("" in memory), after checking every record's stamp.

        `anew` empties it first, so that every record is read again.
        """
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
        """The digests of the runs in these directories; one that is not in the index is left out."""
        for name in names:
            if name not in self._digests:  # asked for once for each of its cases
                if len(self._digests) >= _KEPT:
                    self._digests.clear()
                self._digests[name] = self._sound(lambda name=name: self._digest(name))  # type: ignore[misc]
            run_digest = self._digests[name]
            if run_digest is not None:
                yield run_digest

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

    file = runs.record_file(path)
    text = runs.content(file)
    try:
        try:
            run_digest = digest(RunSeen.model_validate_json(text), str(path))
        except ValidationError:  # of an older schema, or damaged: reading the whole of it says which
            run_digest = digest(runs.parsed(text, file), str(path))
        run_digest.started_at.encode()
    except (ArithmeticError, UnicodeError):  # valid, and yet beyond what can be computed with or kept
        raise StoreError(f"{file}: damaged record: it contains an impossible number or text") from None
    return run_digest


def _stamp(path: Path) -> str:
    """A record's size in bytes and time of change in ns, by which a changed one is known; "" where there is none."""
    try:
        status = os.stat(f"{path}/record.json")  # noqa: PTH116 - once a run, and three times as fast
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
