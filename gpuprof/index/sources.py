"""What a person names on the command line -> runs: a run id, a record, a directory of runs, or a selector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gpuprof.errors import StoreError, UsageError
from gpuprof.index import selector
from gpuprof.index.brief import Brief, brief
from gpuprof.index.database import Index, digest_of
from gpuprof.index.digest import Digest
from gpuprof.index.selector import EVERYTHING, Selector
from gpuprof.store import runs

Progress = Callable[[int, int], None]


class Chosen(NamedTuple):
    """A run that was chosen, with the static texts of those of its cases that are meant (None: all)."""

    brief: Brief
    cases: set[str] | None
    digest: Callable[[], Digest]  # in full, looked up when it is asked for


@dataclass(frozen=True)
class Choice:
    """What a text names: runs, oldest first; what they had to fulfil; and what could not be read, a line each."""

    runs: Sequence[Chosen]
    wanted: Selector
    skipped: list[str]


class Sources:
    """Where runs come from; each directory is looked through once. Use as a context manager."""

    def __init__(self, store: Path, progress: Progress | None = None) -> None:
        self._store = store
        self._progress = progress
        self._indexes: dict[Path, Index] = {}
        self._open = ExitStack()

    def __enter__(self) -> Sources:
        # Of many thousand objects none is garbage: looking for some among them would cost a third of the whole.
        gc.disable()
        return self

    def __exit__(self, *_: object) -> None:
        gc.freeze()
        gc.enable()
        self._open.close()

    def runs(self, text: str | None) -> Choice:
        """The runs that `text` names, or those of the whole store; perhaps none."""
        named = (self._store, EVERYTHING) if text is None else self._named(text)
        if isinstance(named, Digest):
            return Choice([Chosen(brief(named), None, lambda: named)], EVERYTHING, [])
        store, wanted = named
        index = self._index(store)
        runs = [Chosen(one, cases, _finder(index, one.name)) for one, cases in index.briefs(wanted)]
        return Choice(runs, wanted, index.faults)

    def side(self, text: str) -> Choice:
        """The runs that `text` names. Raises UsageError or StoreError where there is none."""
        choice = self.runs(text)
        if choice.runs:
            return choice
        store = Path(text) if choice.wanted is EVERYTHING else self._store
        faults = choice.skipped
        read = f" ({len(faults)} records cannot be read, the first: {faults[0]})" if faults else ""
        if choice.wanted is EVERYTHING:
            raise StoreError(f"no run in {store}{read}")
        raise UsageError(
            f"no run in {store} fulfils {text!r}{read}; `gpuprof list --store {store}` shows what is there"
        )

    def dated(self, text: str | None) -> Choice:
        """The runs that `text`, a selector or a directory, names, or those of the whole store, oldest first."""
        if text is not None and isinstance(self._named(text), Digest):
            raise UsageError(f"{text!r} is one run, which has no history; write a selector such as workload=lstm")
        return self.runs(text)

    def _named(self, text: str) -> Digest | tuple[Path, Selector]:
        if not text.strip():
            raise UsageError("a side has no name: give a run id, a path or a selector")
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
    """Whether it is there, and a directory."""
    try:
        return path.exists(), path.is_dir()
    except OSError:  # longer than a file name may be
        return False, False


def _finder(index: Index, name: str) -> Callable[[], Digest]:
    def find() -> Digest:
        found = next(index.digests([name]), None)
        if found is None:
            raise StoreError(f"{index.store / name}: was removed while it was being read; run the command again")
        return found

    return find
