"""What a person names on the command line -> runs: a run id, a record, a directory of runs, or a selector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gpuprof.errors import StoreError, UsageError
from gpuprof.index import selector
from gpuprof.index.brief import Brief, brief
from gpuprof.index.database import Index, digest_of
from gpuprof.index.digest import Digest
from gpuprof.index.selector import EVERYTHING, OfMachines, Selector
from gpuprof.store import runs
from gpuprof.text import plural

Progress = Callable[[int, int], None]


class Chosen(NamedTuple):
    """A run that somebody named, and which of its cases."""

    brief: Brief
    cases: set[str] | None  # static texts (`index.brief.static`); None: all cases
    digest: Callable[[], Digest]  # gives the run in full; StoreError where it was removed meanwhile


@dataclass(frozen=True)
class Choice:
    """The runs that a text names."""

    runs: Sequence[Chosen]  # oldest first
    selector: Selector  # what they had to fulfil
    skipped: list[str]  # a line for each record that could not be read


class Sources:
    """A store, and the directories that sides name, each searched once. Use as a context manager."""

    def __init__(self, store: Path, progress: Progress | None = None) -> None:
        self._store = store
        self._progress = progress
        self._indexes: dict[Path, Index] = {}
        self._open = ExitStack()

    def __enter__(self) -> Sources:
        # Of many thousand objects none is garbage: looking for it would take a third of the whole time.
        gc.disable()
        return self

    def __exit__(self, *_: object) -> None:
        gc.freeze()
        gc.enable()
        self._open.close()

    def runs(self, text: str | None) -> Choice:
        """The runs that `text` names, or those of the whole store; perhaps none.

        Raises UsageError for a text that makes no sense, StoreError for a single run that cannot be found or read.
        """
        named = (self._store, EVERYTHING) if text is None else self._named(text)
        if isinstance(named, Digest):
            return Choice([Chosen(brief(named), None, lambda: named)], EVERYTHING, [])
        store, conditions = named
        index = self._index(store)
        runs = [Chosen(run, cases, _finder(index, run.name)) for run, cases in index.briefs(conditions)]
        return Choice(runs, conditions, index.faults)

    def side(self, text: str) -> Choice:
        """The runs that `text` names, as `runs`. Raises UsageError or StoreError where there is none."""
        choice = self.runs(text)
        if choice.runs:
            return choice
        store = Path(text) if choice.selector is EVERYTHING else self._store
        faults = choice.skipped
        read = f" ({plural(len(faults), 'unreadable record')}, first: {faults[0]})" if faults else ""
        if choice.selector is EVERYTHING:
            raise StoreError(f"no run in {store}{read}")
        raise UsageError(f"no run in {store} matches {text!r}{read}; `gpuprof list --store {store}` lists its runs")

    def of_machines(self, machines: AbstractSet[str]) -> Sequence[Chosen]:
        """The store's runs on these machines (cards, as `Brief.head` has them), oldest first, with all their cases.

        Nothing where the store is not there or cannot be read: nobody named it, perhaps.
        """
        with suppress(OSError, StoreError):
            if self._store.is_dir():
                index = self._index(self._store)
                briefs = index.briefs(OfMachines((), frozenset(machines)))
                return [Chosen(run, None, _finder(index, run.name)) for run, _ in briefs]
        return []

    def dated(self, text: str | None) -> Choice:
        """The runs that `text`, a selector or a directory, names, or those of the whole store, oldest first.

        Raises UsageError for a text that names a single run, which has no history.
        """
        if text is not None and isinstance(self._named(text), Digest):
            raise UsageError(f"{text!r} is a single run, without a history; use a selector such as workload=lstm")
        return self.runs(text)

    def _named(self, text: str) -> Digest | tuple[Path, Selector]:
        if not text.strip():
            raise UsageError("an argument is empty: give a run id, a path or a selector")
        path = Path(text)
        there, directory = _looked_at(path)
        if selector.is_selector(text) and not there:
            return self._store, selector.parse(text)
        if directory and not (path / "record.json").is_file():
            return path, EVERYTHING
        place = runs.find(self._store, text)
        return digest_of(place)

    def _index(self, store: Path) -> Index:
        if store not in self._indexes:
            self._indexes[store] = self._open.enter_context(Index(store, progress=self._progress))
        return self._indexes[store]


def _looked_at(path: Path) -> tuple[bool, bool]:
    """Whether something has this path, and whether it is a directory."""
    try:
        return path.exists(), path.is_dir()
    except OSError:  # longer than a file name may be
        return False, False


def _finder(index: Index, name: str) -> Callable[[], Digest]:
    def find() -> Digest:
        digest = next(index.digests([name]), None)
        if digest is None:
            raise StoreError(f"{index.store / name}: was removed while it was being read; run the command again")
        return digest

    return find
