"""What a check says: a finding, and how texts of several GPUs are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from gpuprof.doctor.facts import Facts, Seen

Status = Literal["ok", "note", "warning", "problem", "skipped"]
STATUSES: tuple[Status, ...] = ("ok", "note", "warning", "problem", "skipped")
# How a container is given the GPU; "" is docker and podman.
_GIVE = {
    ("nvidia", ""): "docker run --gpus all ...   (with CDI: --device nvidia.com/gpu=all)",
    ("nvidia", "apptainer"): "apptainer run --nv ...",
    ("nvidia", "kubernetes"): "request it in the pod: resources: {limits: {nvidia.com/gpu: 1}}",
    ("amd", ""): "docker run --device /dev/kfd --device /dev/dri --group-add $(getent group render | cut -d: -f3) ...",
    ("amd", "apptainer"): "apptainer run --rocm ...",
    ("amd", "kubernetes"): "request it in the pod: resources: {limits: {amd.com/gpu: 1}}",
}


class Finding(NamedTuple):
    """What one check found. `check` is its name, set by `examine`; `explanation` and `fix` may be empty."""

    status: Status
    title: str
    explanation: str = ""
    fix: str = ""
    check: str = ""


ok, note, warning, problem, skipped = (partial(Finding, status) for status in STATUSES)


def by_text(facts: Facts, describe: Callable[[Seen], str]) -> Iterator[tuple[str, str]]:
    """(text, ids of the GPUs that `describe` gives it for), so that like GPUs share a finding; "" is left out."""
    return ((text, ", ".join(gpu.id for gpu in gpus)) for text, gpus in groups(facts.gpus, describe) if text)


def groups(items: Sequence[Any], key: Callable[[Any], Any]) -> Iterable[tuple[Any, list[Any]]]:
    """(key, items that have it), in the order of the first."""
    found: dict[Any, list[Any]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found.items()


def give(vendor: str, container: str | None) -> str:
    """How to pass the GPU into this kind of container; docker's way for unknown kinds."""
    return _GIVE.get((vendor, container or ""), _GIVE[vendor, ""])


def unset(names: Iterable[str]) -> str:
    """What a shell is told to forget these variables."""
    return f"unset {' '.join(names)}"
