"""Runs over time -> series: what one machine measured for one case, oldest first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gpuprof.analysis.levels import Sample
from gpuprof.analysis.names import shorts
from gpuprof.analysis.titles import apart, words
from gpuprof.case_keys import SETTINGS, SHAPE, WORK
from gpuprof.index.brief import PER_METRIC, Brief, Shared, as_text
from gpuprof.index.digest import Digest
from gpuprof.index.sources import Chosen
from gpuprof.metrics import INDEXED, YARDSTICKS


class Point(NamedTuple):
    """One run of a series."""

    run_id: str
    at: str  # when it started, ISO 8601
    value: float  # the headline, in the metric's unit
    sample: Sample | None  # None where its processes have no values of their own
    yardsticks: dict[str, Sample]  # of the machine, by key
    facts: Shared  # of the run
    static: Shared  # of the case
    find: Callable[[], dict[str, Any]]  # gives the case's facts in full; StoreError where the run was removed


class Key(NamedTuple):
    """What two runs must have in common to be points of one series."""

    machine: str
    device: str
    simulated: bool
    config: str
    protocol: str
    work: tuple[Hashable, ...]  # what was asked for: workload, mode, shape, parameters
    how: tuple[str, ...]  # empty where it does not tell cases of one run apart; the last is the case's id


# Parameters that say how the same work is computed. A change of them is a cause, not another case; only a run that has
# several cases of the same work keeps them apart.
_HOW_PARAMS = ("fused",)
_MACHINE = 8  # characters of a card's id that a title shows


def collected(runs: Iterable[Chosen], metric: str) -> Iterator[tuple[str, Key, list[Point]]]:
    """Series of one metric: title, key and points. `runs` are oldest first, and so are the points.

    Failed cases, wrong results and runs without a positive value of the metric are no points.
    """
    places = {m.key: PER_METRIC * position for position, m in enumerate(INDEXED)}
    at = places[metric]
    keyed: list[tuple[Key, Point]] = []
    ambiguous: set[Key] = set()  # without `how`, the same for two cases of some run
    for run, chosen, find in runs:
        in_run: set[Key] = set()
        for position, (static, numbers) in enumerate(run.cases):
            data = static.data
            count, mean, squares, value = numbers[at : at + PER_METRIC]
            counts = data["outcome"] == "ok" and data["correctness"] != "wrong" and value > 0
            if not counts or (chosen is not None and static.text not in chosen):
                continue
            key = _key(run, data)
            bare = key._replace(how=())
            ambiguous |= {bare} & in_run
            in_run.add(bare)
            sample = Sample(key.machine, count, mean, squares) if count == count else None  # else NaN: no processes
            yardsticks = {y.key: Sample(key.machine, *numbers[i : i + 3]) for y in YARDSTICKS
                          if numbers[i := places[y.key]] == numbers[i]}  # fmt: skip
            facts = _lazily(find, position)
            keyed.append((key, Point(run.run_id, run.started_at, value, sample, yardsticks, run.facts, static, facts)))
    series: dict[Key, list[Point]] = {}
    for key, point in keyed:
        bare = key._replace(how=())
        series.setdefault(key if bare in ambiguous else bare, []).append(point)
    for title, (key, points) in zip(_titles(list(series.items())), series.items(), strict=True):
        yield title, key, points


def _lazily(find: Callable[[], Digest], position: int) -> Callable[[], dict[str, Any]]:
    return lambda: find().cases[position].facts


def _key(run: Brief, data: dict[str, Any]) -> Key:
    """The series of a case with this static data."""
    head, facts = run.head.data, run.facts.data
    rest = {name: value for name, value in data["params"].items() if name not in _HOW_PARAMS}
    how = {name: value for name, value in data["params"].items() if name in _HOW_PARAMS}
    # The precision asked for: when other arithmetic runs for the same request, that is a change, not another case.
    asked = data | {"precision": data["requested"]}
    work = (data["workload"], *(asked[name] for name in (*WORK, *SHAPE)))
    return Key(
        head["machine"], head["device"], head["simulated"], str(facts.get("config_file", "")),
        str(facts.get("protocol", {}).get("name", "")), (*work, as_text(rest)),
        (*(str(data[name]) for name in SETTINGS), as_text(how), data["case_id"]),
    )  # fmt: skip


def _titles(series: Sequence[tuple[Key, list[Point]]]) -> list[str]:
    """Each in as few words as tell it from the others of its workload and mode."""
    works, devices = [], shorts([key.device for key, _ in series])
    for (key, points), device in zip(series, devices, strict=True):
        case, with_how = points[-1].static.data, bool(key.how)
        hidden = () if with_how else _HOW_PARAMS
        params = {name: value for name, value in case["params"].items() if name not in hidden}
        names = (*SHAPE, *(SETTINGS if with_how else ()))
        in_words = words({name: case[name] for name in names} | {"precision": case["requested"]}, params)
        in_words |= {"config": key.config, "protocol": key.protocol, "device": device}
        works.append(((case["workload"], *(case[name] for name in WORK)), in_words))
    titles = apart(works)
    # Several machines of one model: by host, or some of the card's id, or all of it; then cases that only their id
    # tells apart.
    for word in (_brief, lambda key: key.machine, lambda key: key.how[-1] if key.how else ""):
        titles = [
            f"{title} · {word(key)}" if titles.count(title) > 1 and word(key) else title
            for title, (key, _) in zip(titles, series, strict=True)
        ]
    return titles


def _brief(key: Key) -> str:
    """The machine in short: its host where it has one, else the beginning of the card's UUID."""
    host, blank, _ = key.machine.partition(" ")
    return host if blank else key.machine.removeprefix("GPU-")[:_MACHINE]
