"""What a person names on the command line -> evidence: a run id, a record, a directory of runs, or a selector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from gpuprof.analysis.evidence import Evidence, by_device, complete, fold, gather
from gpuprof.errors import StoreError, UsageError
from gpuprof.index import selector
from gpuprof.index.brief import Brief, brief
from gpuprof.index.database import Index
from gpuprof.index.digest import Digest, digest
from gpuprof.index.selector import EVERYTHING, Selector
from gpuprof.store import runs

Progress = Callable[[int, int], None]


class Sources:
    """Where sides come from; each directory is looked through once. Use as a context manager."""

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

    def side(self, text: str) -> tuple[Evidence, Selector]:
        """The runs that `text` names; damaged ones are `skipped`. Raises UsageError or StoreError if there is none."""
        named = self._named(text)
        if isinstance(named, Digest):
            return gather(text, [(named, named.cases)]), EVERYTHING
        store, wanted = named
        index, side = self._index(store), Evidence(text)
        for one, cases in index.briefs(wanted):
            fold(side, one, cases, _finder(index, one.name))
        complete(side)
        side.skipped = [*index.faults, *side.copies]
        if side.runs:
            return side, wanted
        faults = f" ({len(index.faults)} records cannot be read, the first: {index.faults[0]})" if index.faults else ""
        if wanted is EVERYTHING:
            raise StoreError(f"no run in {store}{faults}")
        raise UsageError(
            f"no run in {store} fulfils {text!r}{faults}; `gpuprof list --store {store}` shows what is there"
        )

    def devices(self, text: str | None) -> tuple[list[Evidence], list[str]]:
        """The runs that `text` names, or the whole store, as a side for each device; and what could not be read."""
        named = (self._store, EVERYTHING) if text is None else self._named(text)
        if isinstance(named, Digest):
            return by_device([(brief(named), None, lambda: named)]), []
        store, wanted = named
        index = self._index(store)
        sides = by_device((one, cases, _finder(index, one.name)) for one, cases in index.briefs(wanted))
        for side in sides:
            complete(side)
        return sides, index.faults

    def dated(
        self, text: str | None, skipped: list[str]
    ) -> Iterator[tuple[Brief, set[str] | None, Callable[[], Digest]]]:
        """The runs that `text`, a selector or a directory, names, or the whole store, oldest first.

        What could not be read is added to `skipped`.
        """
        named = (self._store, EVERYTHING) if text is None else self._named(text)
        if isinstance(named, Digest):
            raise UsageError(f"{text!r} is one run, which has no history; write a selector such as workload=lstm")
        store, wanted = named
        index = self._index(store)
        for one, cases in index.briefs(wanted):
            yield one, cases, _finder(index, one.name)
        skipped += index.faults

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
        return digest(runs.read(place), str(place))

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
