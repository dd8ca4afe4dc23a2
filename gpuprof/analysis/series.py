"""Runs over time -> series: what one machine measured for one case, oldest first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gpuprof.analysis.levels import Sample
from gpuprof.analysis.titles import apart, words
from gpuprof.case_keys import SETTINGS, SHAPE, WORK
from gpuprof.index.brief import PER_METRIC, Brief, Shared, as_text
from gpuprof.index.digest import Digest
from gpuprof.index.sources import Chosen
from gpuprof.metrics import METRICS


class Point(NamedTuple):
    """One run of a series. `sample` is None where its processes have no values of their own."""

    run_id: str
    at: str
    value: float
    sample: Sample | None
    facts: Shared
    static: Shared
    find: Callable[[], dict[str, Any]]  # the case's facts in full


class Key(NamedTuple):
    machine: str
    device: str
    simulated: bool
    config: str
    protocol: str
    work: tuple[Hashable, ...]
    how: tuple[str, ...]  # empty where it does not tell cases of one run apart; the last is the case's id


# How the same work is computed: a change of it is a cause, not another case. A run that has several of them keeps them
# apart.
_HOW_PARAMS = ("fused",)


def collected(runs: Iterable[Chosen], metric: str) -> Iterator[tuple[str, Key, list[Point]]]:
    at = PER_METRIC * [m.key for m in METRICS].index(metric)
    found: list[tuple[Key, Point]] = []
    several: set[Key] = set()
    for one, wanted, find in runs:
        seen: set[Key] = set()
        for position, (static, numbers) in enumerate(one.cases):
            data = static.data
            count, mean, squares, value = numbers[at : at + PER_METRIC]
            counts = data["outcome"] == "ok" and data["correctness"] != "wrong" and value > 0
            if not counts or (wanted is not None and static.text not in wanted):
                continue
            key = _key(one, data)
            bare = key._replace(how=())
            several |= {bare} & seen
            seen.add(bare)
            sample = Sample(key.machine, count, mean, squares) if count == count else None
            facts = _lazily(find, position)
            found.append((key, Point(one.run_id, one.started_at, value, sample, one.facts, static, facts)))
    series: dict[Key, list[Point]] = {}
    for key, point in found:
        bare = key._replace(how=())
        series.setdefault(key if bare in several else bare, []).append(point)
    for title, (key, points) in zip(_titles(list(series.items())), series.items(), strict=True):
        yield title, key, points


def _lazily(find: Callable[[], Digest], position: int) -> Callable[[], dict[str, Any]]:
    return lambda: find().cases[position].facts


def _key(one: Brief, data: dict[str, Any]) -> Key:
    head, facts = one.head.data, one.facts.data
    rest = {name: value for name, value in data["params"].items() if name not in _HOW_PARAMS}
    how = {name: value for name, value in data["params"].items() if name in _HOW_PARAMS}
    # What was asked for: arithmetic that turned out to be another is a change, not another case.
    asked = data | {"precision": data["requested"]}
    work = (data["workload"], *(asked[name] for name in (*WORK, *SHAPE)))
    return Key(
        head["machine"], head["device"], head["simulated"], str(facts.get("config_file", "")),
        str(facts.get("protocol", {}).get("name", "")), (*work, as_text(rest)),
        (*(str(data[name]) for name in SETTINGS), as_text(how), data["case_id"]),
    )  # fmt: skip


def _titles(series: Sequence[tuple[Key, list[Point]]]) -> list[str]:
    """Each in as few words as tell it from the others of its workload and mode."""
    works = []
    for key, points in series:
        case, told = points[-1].static.data, bool(key.how)
        hidden = () if told else _HOW_PARAMS
        params = {name: value for name, value in case["params"].items() if name not in hidden}
        keys = {name: case[name] for name in (*SHAPE, *(SETTINGS if told else ()))} | {"precision": case["requested"]}
        said = words(keys, params)
        said |= {"config": key.config, "protocol": key.protocol, "machine": key.machine.partition(" ")[0]}
        works.append(((case["workload"], *(case[name] for name in WORK)), said))
    titles = apart(works)
    return [
        f"{title} · {key.how[-1]}" if key.how and titles.count(title) > 1 else title
        for title, (key, _) in zip(titles, series, strict=True)
    ]
