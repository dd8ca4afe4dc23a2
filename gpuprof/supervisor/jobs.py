"""Several runs, one after the other: which configuration on which device, without the cases the store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpuprof.config.configuration import Configuration
from gpuprof.errors import PublishError
from gpuprof.index.database import Index
from gpuprof.record.run import RunRecord
from gpuprof.supervisor import plan
from gpuprof.supervisor.machine import Inspector, Machine
from gpuprof.supervisor.resume import conditions, held
from gpuprof.supervisor.run import run
from gpuprof.supervisor.watcher import Watcher, heard
from gpuprof.system.procfs import physical_cores
from gpuprof.telemetry.device import Backend
from gpuprof.text import listed


@dataclass(frozen=True)
class Job:
    """One configuration on one device; `device` holds the fields of `record.run.Device`."""

    configuration: Configuration
    device: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A job's record and its directory, None where the store could not take it; `fault` says what went wrong."""

    record: RunRecord
    path: Path | None
    fault: str = ""


def left(
    jobs: Sequence[Job], index: Index, machine: Machine, backends: Sequence[Backend], tell: Callable[[str], None],
    *, quick: bool,
) -> Iterator[Job]:  # fmt: skip
    """The jobs without the cases that the store of `index` holds; `tell` gets a line for each of those cases.

    A job without any case left is omitted.
    """
    for job in jobs:
        now = conditions(job.device, machine.torch, backends)
        protocol = plan.protocol(job.configuration, quick=quick)
        runs = held(index, job.configuration, protocol, now, physical_cores())
        for case_id, run_id in sorted(runs.items()):
            tell(f"skipped {case_id} on {job.device['name']}: already in run {run_id}")
        missing = [spec for spec in job.configuration.cases if spec.case_id not in runs]
        if missing:
            record = job.configuration.record.model_copy(update={"held": runs})
            yield replace(job, configuration=replace(job.configuration, cases=missing, record=record))


def measure(
    jobs: Sequence[Job], machine: Machine, inspector: Inspector, store: Path,
    watch: Callable[[], AbstractContextManager[Watcher]],
    *, quick: bool, backends: Sequence[Backend], hz: float,
) -> Iterator[Done]:  # fmt: skip
    """Measure each job and store its record. Raises GpuprofError.

    Ends after a job that was interrupted, or whose worker could not be ended: it may hold the device.

    `watch` makes the front end of one job. `hz` is samples per second. The caller makes signals raise KeyboardInterrupt
    (`terminate_as_interrupt`). One that comes while a job is measured ends it, and its record is kept. One that comes
    later, while the record is stored, is raised when the caller asks for the next job: by then it has this one's Done.
    """
    for number, job in enumerate(jobs):
        with ExitStack() as held:
            try:
                with watch() as watcher:
                    record, path, fault = run(
                        job.configuration, machine, job.device, inspector, store, heard(watcher), held,
                        quick=quick, backends=backends, hz=hz,
                    )  # fmt: skip
                done = Done(record, path, fault)
            except PublishError as error:
                done = Done(error.record, None, str(error))
            if inspector.stuck and number + 1 < len(jobs):
                names = listed([Path(later.configuration.record.file).name for later in jobs[number + 1 :]])
                done = replace(done, fault=f"{done.fault}; not started because of it: {names}")
            yield done
        if done.record.outcome == "interrupted" or inspector.stuck:
            return
