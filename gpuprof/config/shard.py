"""One of N equal parts of the planned cases, for N machines that know nothing of each other.

All cases of all configurations are sorted by the SHA-256 of their ids and dealt out in turn. So every machine finds the
same parts, whatever the order of its configurations; their sizes differ by one case at most; and neighbours in a sweep
do not all go to one machine.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpuprof.config.configuration import Configuration
from gpuprof.errors import UsageError
from gpuprof.workloads.case import CaseSpec

_SLURM = "SLURM_ARRAY_TASK"
_INDEX, _COMPLETIONS = "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, written K/N."""

    number: int  # from 1
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, configurations: Sequence[Configuration]) -> list[Configuration]:
        """These configurations with the cases of this shard only; a configuration that has none is left out."""
        dealt = sorted(
            (_rank(configuration, spec), at, nth)
            for at, configuration in enumerate(configurations)
            for nth, spec in enumerate(configuration.cases)
        )
        mine = {(at, nth) for _, at, nth in dealt[self.number - 1 :: self.count]}
        parts = []
        for at, configuration in enumerate(configurations):
            cases = [spec for nth, spec in enumerate(configuration.cases) if (at, nth) in mine]
            if cases:
                record = configuration.record.model_copy(update={"shard": str(self)})
                parts.append(replace(configuration, cases=cases, record=record))
        return parts


def _rank(configuration: Configuration, spec: CaseSpec) -> tuple[str, str, list[str]]:
    """Equal on every machine, also for a case that two configurations name."""
    record = configuration.record
    return hashlib.sha256(spec.case_id.encode()).hexdigest(), record.sha256, record.overrides


def parse(text: str, variables: Mapping[str, str] = os.environ) -> Shard:
    """The shard K/N, or with `auto` that of this process in its Slurm array or Kubernetes job. Raises UsageError."""
    if text == "auto":
        return _of_job(variables)
    if re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text) is None:
        raise UsageError(f"--shard {text}: write K/N, such as 2/8 for the second of eight parts, or auto")
    number, count = map(int, text.split("/"))
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}: K must be from 1 to N" + (f", here {count}" if count else ""))
    return Shard(number, count)


def _of_job(variables: Mapping[str, str]) -> Shard:
    if f"{_SLURM}_ID" in variables:
        return _of_slurm(variables)
    if _INDEX in variables:
        if _COMPLETIONS not in variables:
            raise UsageError(
                f"--shard auto: {_INDEX} is set, but Kubernetes does not tell a pod how many there are: pass the job's "
                f"`completions` to the container as the variable {_COMPLETIONS}, or use --shard K/N"
            )
        index, count = _number(variables, _INDEX), _number(variables, _COMPLETIONS)
        if index >= count:
            raise UsageError(f"--shard auto: {_INDEX}={index} must be below {_COMPLETIONS}={count}")
        return Shard(index + 1, count)
    raise UsageError(
        f"--shard auto: neither {_SLURM}_ID nor {_INDEX} is set, so this is neither a Slurm array task nor a pod of an "
        "indexed Kubernetes job; elsewhere give the part, such as --shard 1/4"
    )


def _of_slurm(variables: Mapping[str, str]) -> Shard:
    task, first, count = (_number(variables, f"{_SLURM}_{name}") for name in ("ID", "MIN", "COUNT"))
    step = _number(variables, f"{_SLURM}_STEP", 1) or 1
    last = _number(variables, f"{_SLURM}_MAX", first + (count - 1) * step)
    place, off = divmod(task - first, step)
    if off or not 0 <= place < count or last != first + (count - 1) * step:
        raise UsageError(
            f"--shard auto: the array has {count} tasks from {first} to {last} in steps of {step}, and this is task "
            f"{task}; use an array without gaps, such as --array=1-{count}, or to repeat only some of the parts, "
            "give each as --shard K/N"
        )
    return Shard(place + 1, count)


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name, "" if default is None else str(default))
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        raise UsageError(
            f"--shard auto: {name} is {text!r}, not a number" if text else f"--shard auto: {name} is not set"
        )
    return int(text)
