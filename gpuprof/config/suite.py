"""Files of the command line -> configurations. A suite file lists configurations, and keys that all of them share:

    suite: [lstm.yaml, cnn.yaml]    # beside the suite file, or by an absolute path
    repeats: 10                     # any key of a configuration but `workload`; --set overrides it

A suite file lists no other suites: there is one list to read, and no circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gpuprof.config import configuration
from gpuprof.config.configuration import Configuration, Override
from gpuprof.config.yaml_source import Source
from gpuprof.errors import ConfigError, Problem

KEY = "suite"


def load(paths: Sequence[Path], options: Sequence[str] = ()) -> list[Configuration]:
    """The configurations that the files are or list, in order; the same file with the same overrides counts once.

    `options` are those of `--set`.

    Raises ConfigError with everything that is wrong in any of them.
    """
    configurations: list[Configuration] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            source, record = configuration.read(path)
            if _is_suite(source):
                configurations += _listed(path, source, options)
            else:
                configurations.append(configuration.parse(source, options, record))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    unique: dict[tuple[object, ...], Configuration] = {}
    for each in configurations:
        unique.setdefault((Path(each.record.file).resolve(), *each.record.overrides), each)
    return list(unique.values())


def _is_suite(source: Source) -> bool:
    return isinstance(source.data, dict) and KEY in source.data


def _listed(path: Path, source: Source, options: Sequence[str]) -> list[Configuration]:
    configurations: list[Configuration] = []
    problems: list[Problem] = []

    def problem(place: tuple[str | int, ...], message: str) -> None:
        key = f"{KEY}[{place[1]}]" if len(place) > 1 else str(place[0])
        problems.append(Problem(source.where(place), key, message))

    common = list(_common(source))
    if "workload" in source.data:
        problem(("workload",), "a suite takes its workloads from its configurations; remove this key")
    names = source.data[KEY]
    if not isinstance(names, list) or not names:
        problem((KEY,), "must be a list of configuration files, such as [lstm.yaml, cnn.yaml]")
        names = []
    seen: dict[Path, int] = {}
    for index, name in enumerate(names):
        place = (KEY, index)
        if not isinstance(name, str) or not name or "\0" in name:
            problem(place, f"must be the name of a configuration file, not {name!r}")
            continue
        file = path.parent / name
        if (first := seen.setdefault(file.resolve(), index)) != index:
            problem(place, f"{name!r} is already in the list, as {KEY}[{first}]")
            continue
        try:
            listed, record = configuration.read(file)
            if _is_suite(listed):
                problem(place, f"{name!r} is a suite itself; list its configurations here instead")
            else:
                configurations.append(configuration.parse(listed, options, record, common))
        except ConfigError as error:
            # A fault of the whole file is one of the list; any other has a place of its own.
            whole = {p: Problem(source.where(place), f"{KEY}[{index}]", str(p)) for p in error.problems
                     if (p.where, p.key) == (str(file), "")}  # fmt: skip
            problems += [whole.get(p, p) for p in error.problems]
    if problems:
        raise ConfigError(problems)
    return configurations


def _common(source: Source) -> Iterator[Override]:
    for key, value in source.data.items():
        if key in (KEY, "workload"):
            continue
        if key in ("params", "sweep") and isinstance(value, dict):
            for name, inner in value.items():
                yield Override((key, str(name)), inner, source.where((key, name)))
        else:
            yield Override((str(key),), value, source.where((key,)))
