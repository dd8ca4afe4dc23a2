"""What a person names on the command line -> runs: a run id, a record, a directory of runs, or a selector."""

from __future__ import annotations

import difflib
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
from gpuprof.index.selector import EVERYTHING, Condition, OfMachines, Selector
from gpuprof.store import runs
from gpuprof.text import listed, plural

_WORDS = ("vendor", "device", "workload")  # what a word that names no run may name, the first that knows it
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
        hint = self._hint(choice.selector) or f"`gpuprof list --store {store}` lists its runs"
        raise UsageError(f"no run in {store} matches {text!r}{read}; {hint}")

    def _hint(self, conditions: Selector) -> str:
        """What may have been meant by a value that no run of the store has; "" where nothing comes close."""
        for condition in conditions.conditions:
            known = sorted(self._known(condition.field))
            if condition.operator == "=" and known and not any(map(condition.holds, known)):
                close = _close(condition.value, known)
                return f"did you mean {condition.field}={close}?" if close else f"known: {listed(known, 6)}"
        return ""

    def _known(self, field: str) -> set[str]:
        """The values of a field in the store's runs: of vendor, device, kind or workload; of any other nothing."""
        briefs = [run for run, _ in self._index(self._store).briefs()] if self._store.is_dir() else []
        if field == "workload":
            return {str(case.data[field]) for run in briefs for case, _ in run.cases}
        if field not in ("vendor", "device", "kind"):
            return set()
        return {str(run.head.data[field]) for run in briefs if run.head.data[field] is not None}

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
        try:
            return digest_of(runs.find(self._store, text))
        except StoreError as error:
            for field in _WORDS:
                chosen = Selector((Condition(field, "=", text),))
                if any(chosen.conditions[0].holds(value) for value in self._known(field)):
                    return self._store, chosen
            if not (close := _close(text, sorted(set().union(*map(self._known, _WORDS))))):
                raise
            raise StoreError(f"{error}; did you mean {close!r}?") from None

    def _index(self, store: Path) -> Index:
        if store not in self._indexes:
            self._indexes[store] = self._open.enter_context(Index(store, progress=self._progress))
        return self._indexes[store]


def _close(text: str, names: Sequence[str]) -> str:
    """The name, or the word of one, that `text` is most like; "" where it is like none."""
    words = {word.casefold(): word for name in names for word in (*name.split(), name)}
    found = difflib.get_close_matches(text.casefold(), words, n=1)
    return words[found[0]] if found else ""


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
