"""Titles of cases: their work, and what tells them apart from others of the same work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuprof.case_keys import NAMED, SETTINGS, SHAPE, WORK
from gpuprof.index.brief import as_text
from gpuprof.index.digest import CaseDigest

Words = Mapping[str, str]  # by key or parameter, in the order in which a reader wants them


def apart(works: Sequence[tuple[Sequence[str], Words]]) -> list[str]:
    """A title for each work (such as "lstm", "train"): the work, and its words for what differs within it."""
    groups: dict[tuple[str, ...], list[Words]] = {}
    for work, words in works:
        groups.setdefault(tuple(work), []).append(words)
    telling = {
        work: {name for words in group for name in words if len({member.get(name, "") for member in group}) > 1}
        for work, group in groups.items()
    }
    return [
        " · ".join([*work, *(word for name, word in words.items() if word and name in telling[tuple(work)])])
        for work, words in works
    ]


def short(cases: Sequence[CaseDigest], *, but: Sequence[Collection[str]] = ()) -> list[str]:
    """A title for each case, in as few words as tell it from the others of its workload and mode.

    `but` has the keys that each case's title does not name (empty: all may be named).
    """
    named = [[name for name in (*SHAPE, *SETTINGS) if name not in unsaid] for unsaid in but or [()] * len(cases)]
    return apart([(_work(c), words(_ran(c, names), c.params)) for c, names in zip(cases, named, strict=True)])


def full(cases: Sequence[CaseDigest], *, but: Collection[str]) -> list[str]:
    """A title for each case: every key but `but`, and the parameters that tell cases of the same keys apart."""
    names = [name for name in (*SHAPE, *SETTINGS) if name not in but]
    works = [([*_work(case), *filter(None, words(_ran(case, names), {}).values())], case.params) for case in cases]
    return apart([(work, words({}, params)) for work, params in works])


def _work(case: CaseDigest) -> list[str]:
    return [case.workload, *(getattr(case, name) for name in WORK)]


def _ran(case: CaseDigest, names: Sequence[str]) -> dict[str, Any]:
    """These of its keys; the precision is the one that ran, where it is known."""
    keys = {name: getattr(case, name) for name in names}
    return keys | ({"precision": case.precision or case.requested} if "precision" in keys else {})


def words(keys: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, str]:
    """The values of the keys and of each parameter in words, by name; parameters are named "params.NAME"."""
    of_keys = {key.name: key.said(keys[key.name]) for key in NAMED if key.name in keys}
    return of_keys | {f"params.{name}": f"{name} {as_text(params[name])}" for name in sorted(params)}
