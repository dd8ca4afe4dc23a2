"""How cases are called: by their work, and by what tells them from the others of the same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def shape(precision: str, batch_size: int, seq_len: int | None, variant: str) -> dict[str, str]:
    length = "" if seq_len is None else f"T {seq_len}"
    return {"precision": precision, "batch_size": f"batch {batch_size}", "seq_len": length, "variant": variant}


def settings(threads: int | None, params: Mapping[str, Any]) -> dict[str, str]:
    """Each parameter by itself, so that those which all have in common are not said."""
    known = "" if threads is None else f"{threads} thread{'s' * (threads > 1)}"
    return {"threads": known} | {f"params.{name}": f"{name} {as_text(params[name])}" for name in sorted(params)}
