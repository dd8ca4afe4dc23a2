"""How cases are called: by their work, and by what tells them from the others of the same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuprof.case_keys import NAMED
from gpuprof.index.brief import as_text

Words = Mapping[str, str]  # by what they are about, in the order in which a reader wants them


def apart(works: Sequence[tuple[Sequence[str], Words]]) -> list[str]:
    """Each work (such as "lstm", "train") followed by those of its words that others of the same work have not."""
    groups: dict[tuple[str, ...], list[Words]] = {}
    for work, words in works:
        groups.setdefault(tuple(work), []).append(words)
    telling = {
        work: {name for words in group for name in words if len({other.get(name, "") for other in group}) > 1}
        for work, group in groups.items()
    }
    return [
        " · ".join([*work, *(word for name, word in words.items() if word and name in telling[tuple(work)])])
        for work, words in works
    ]


def words(keys: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, str]:
    """Those of the case keys in `keys`, and each parameter by itself: what all have in common is not said."""
    said = {key.name: key.said(keys[key.name]) for key in NAMED if key.name in keys}
    return said | {f"params.{name}": f"{name} {as_text(params[name])}" for name in sorted(params)}
