"""gpuprof run"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gpuprof.cli.common import (
    console,
    json_option,
    print_json,
    print_rendered,
    recover_hint,
    say,
    store_option,
    verbose_option,
)
from gpuprof.cli.completed import configurations
from gpuprof.errors import EXIT_INTERRUPTED, EXIT_NO_DEVICE, EXIT_OK, EXIT_RUN_FAILED, UsageError

if TYPE_CHECKING:
    from gpuprof.config.configuration import Configuration
    from gpuprof.record.run import RunRecord
    from gpuprof.supervisor.jobs import Done, Job
    from gpuprof.supervisor.machine import Machine
    from gpuprof.telemetry.device import Backend


class _DeviceChoice(click.ParamType):  # type: ignore[type-arg]
    name = "auto|cpu|gpu|gpu:N|all"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, colon, number = value.partition(":")
        numbered = kind == "gpu" and colon and number.isascii() and number.isdigit()
        if value in ("auto", "cpu", "gpu", "all") or numbered:
            return value
        hint = (
            "; for a GPU of either vendor, use gpu or gpu:N" if kind in ("cuda", "hip", "rocm", "nvidia", "amd") else ""
        )
        self.fail(f"{value!r} is not one of auto, cpu, gpu, gpu:N, all{hint}", param, ctx)


class _TelemetryHz(click.ParamType):  # type: ignore[type-arg]
    name = "0|1..50"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if number == 0 or 1 <= number <= 50:
            return number
        self.fail(f"must be 0 or from 1 to 50, not {value!r}", param, ctx)


@click.command(name="run", short_help="Measure networks on this machine and store the results.")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...", shell_complete=configurations)
@click.option("--device", type=_DeviceChoice(), default="auto", show_default=True,
              help="auto: the first GPU, else the CPU. all: every GPU and the CPU.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Override a key: batch_size=8, params.hidden_size=128, sweep.precision=[ieee,bf16].")  # fmt: skip
@store_option
@click.option("--quick", is_flag=True, help="Three short repeats: a first look, with wide intervals.")
@click.option("--shard", metavar="K/N|auto",
              help="Measure only part K of N; auto: the part of this Slurm array task or Kubernetes pod.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Skip cases already in the store, measured under the same conditions.")
@click.option("--dry-run", is_flag=True, help="Print what would run and how long it might take; run nothing.")
@click.option("--check", is_flag=True,
              help="Only check results, arithmetic and what runs here. Nothing is timed or stored.")  # fmt: skip
@click.option("--telemetry-hz", type=_TelemetryHz(), default=10.0, show_default=True,
              help="Readings of power, clocks and temperatures per second, 1 to 50; 0: no telemetry.")  # fmt: skip
@verbose_option
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notices; the results alone.")
@json_option
def command(
    configs: tuple[str, ...], device: str, overrides: tuple[str, ...], store: Path, quick: bool, shard: str | None,
    resume: bool, dry_run: bool, check: bool, telemetry_hz: float, verbose: bool, quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Measure the networks in CONFIG files on this machine, and store a record of each.

    Each case is repeated in fresh processes (5 by default), interleaved with the other cases. The record holds raw
    times, and every headline number with its 95% interval.

    A CONFIG may be a suite: a file that lists others. A file named twice runs once.

    --resume skips a case if the store has it with enough good repeats, on the same device model and under the same
    conditions: driver, partition, power limit, ECC, torch and its libraries, gpuprof and its commit, environment
    variables, protocol and threads. A case that computed wrong results is measured again.

    --check runs the gates of each case alone: its results against a float64 reference, and a batch of its own size
    against a few rows; which arithmetic ran; and whether this machine supports it at all.

    \b
    Examples:
      gpuprof run configs/lstm.yaml
      gpuprof run configs/lstm.yaml --quick --device cpu
      gpuprof run configs/vgg16.yaml --set batch_size=64 --set precision=bf16
      gpuprof run configs/cnn.yaml --set 'sweep.variant=[eager,graph]' --dry-run
      gpuprof run configs/reference.yaml --check --set 'sweep.variant=[eager,compile]'
      gpuprof run configs/reference.yaml --shard auto --resume   # per array task

    \b
    Exit codes:
      0    measured, or nothing left to measure
      1    something failed, computed wrong results (its record is kept),
           or could not be written
      2    bad usage or configuration
      3    device not available or unable to run any of the cases
      130  ended by Ctrl-C or SIGTERM (what was measured is kept)
    """
    from gpuprof.config import shipped
    from gpuprof.config import suite as files

    found = files.load([shipped.resolved(name) for name in configs], overrides)
    if shard is not None:
        found = _part(found, shard, as_json)
    if dry_run and resume:
        raise UsageError("--resume looks at the device and --dry-run does not: leave one of them out")
    if check and (typed := _of_measuring()):
        raise UsageError(f"--check measures and stores nothing: leave out {', '.join(typed)}")
    if dry_run:
        return _dry_run(found, device, as_json, quick=quick)

    if not check:
        _warn_of_killed_runs(store)
    if not found:
        if as_json:
            print_json({"planned": 0, "interrupted": False, "cases": []} if check else [])
        return EXIT_OK
    return _start(
        found, device, store, quick=quick, resume=resume, check=check, hz=telemetry_hz, as_json=as_json,
        verbose=verbose, quiet=quiet,
    )  # fmt: skip


def _of_measuring() -> list[str]:
    """The options on the command line that only measuring has a use for."""
    names = {"quick", "resume", "dry_run", "store", "telemetry_hz"}
    context = click.get_current_context()
    return [
        option.opts[0] for option in context.command.params
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]  # fmt: skip


def _start(
    configurations: Sequence[Configuration], device: str, store: Path, *, quick: bool, resume: bool, check: bool,
    hz: float, as_json: bool, verbose: bool, quiet: bool,
) -> int:  # fmt: skip
    """Check or measure the configurations on the devices that `device` chooses; the exit code."""
    from gpuprof import telemetry
    from gpuprof.cli import checking
    from gpuprof.cli.progress import Progress
    from gpuprof.supervisor.jobs import Job, measure
    from gpuprof.supervisor.machine import session
    from gpuprof.system.interrupts import terminate_as_interrupt

    notice = console(stderr=True)
    notice.quiet = quiet
    say(notice, "asking PyTorch about this machine ...", "dim")  # a first line at once: importing it takes seconds
    records: list[RunRecord] = []
    codes = [EXIT_OK]
    # From here on, and not only while a run goes on: as process 1 of a container, SIGTERM would be ignored without it.
    with terminate_as_interrupt(), session() as inspector:
        machine = inspector.machine()
        devices = machine.devices(device)
        if device == "auto" and devices[0]["kind"] == "cpu":
            say(notice, f"Profiling the CPU, since no GPU is available: {machine.why_no_gpu()}.")
        jobs = [Job(configuration, chosen) for configuration in configurations for chosen in devices]
        if check:
            return checking.check(jobs, inspector, as_json=as_json)
        backends = telemetry.open_backends() if hz else []
        if resume and not (jobs := _left(jobs, store, machine, backends, quick=quick)):
            say(notice if as_json else console(), f"Nothing left to measure: every case is already in {store}.")
        try:
            for done in measure(
                jobs, machine, inspector, store, lambda: Progress(notice),
                quick=quick, backends=backends, hz=hz,
            ):  # fmt: skip
                records.append(done.record)
                fault = EXIT_RUN_FAILED if done.fault else EXIT_OK
                codes += [_exit_code(done.record), fault, _tell(done, as_json, verbose)]
        except KeyboardInterrupt:  # between two runs, or while one was stored; in a run it is an outcome
            codes.append(EXIT_INTERRUPTED)
    if as_json:
        _print_documents([record.model_dump(mode="json", by_alias=True) for record in records])
    sys.stdout.flush()
    return _worst(codes, records)


def _print_documents(documents: list[dict[str, Any]]) -> None:
    """One by itself, several as a list."""
    print_json(documents[0] if len(documents) == 1 else documents)


def _warn_of_killed_runs(store: Path) -> None:
    from gpuprof.store.journal import unfinished
    from gpuprof.store.upkeep import empty

    for dead in filterfalse(empty, unfinished(store)):
        hint = f"To save what it measured: {recover_hint(store)}"
        say(console(stderr=True), f"An earlier run was killed ({dead.name}). {hint}")


def _tell(done: Done, as_json: bool, verbose: bool) -> int:
    if done.fault:
        say(console(stderr=True), f"gpuprof: {done.fault}", "bold red")
    try:
        if not as_json:
            print_rendered(done.record, verbose=verbose)
            if done.path is not None:
                say(console(), f"record: {done.path / 'record.json'}")
    except OSError:  # the other runs are measured and stored all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_RUN_FAILED
    return EXIT_OK


def _part(configurations: Sequence[Configuration], text: str, as_json: bool) -> list[Configuration]:
    from gpuprof.config import shard

    part = shard.parse(text)
    mine = part.of(configurations)
    planned, count = (sum(len(each.cases) for each in listed) for listed in (configurations, mine))
    if mine:
        say(console(stderr=True), f"shard {part}: {count} of {planned} planned cases", "dim")
    else:
        say(console(stderr=as_json), f"shard {part}: none of {planned} planned cases, nothing to do")
    return mine


def _left(jobs: list[Job], store: Path, machine: Machine, backends: Sequence[Backend], *, quick: bool) -> list[Job]:
    """The jobs without the cases that the store holds, each of which is named on stderr."""
    from gpuprof.cli.writing import indexing
    from gpuprof.index.database import Index
    from gpuprof.supervisor.jobs import left

    notice = console(stderr=True)
    with indexing() as progress, Index(store, progress=progress) as index:
        return list(left(jobs, index, machine, backends, lambda line: say(notice, line, "dim"), quick=quick))


def _worst(codes: list[int], records: list[RunRecord]) -> int:
    if any(case.outcome == "ok" for record in records for case in record.cases):
        # A case that no device here can run is no failure where others were measured.
        codes = [code for code in codes if code != EXIT_NO_DEVICE]
    return next(code for code in (EXIT_INTERRUPTED, EXIT_RUN_FAILED, EXIT_NO_DEVICE, EXIT_OK) if code in codes)


def _exit_code(record: RunRecord) -> int:
    if record.outcome == "interrupted":
        return EXIT_INTERRUPTED
    if all(case.outcome == "unsupported" for case in record.cases):
        return EXIT_NO_DEVICE
    wrong = any(case.correctness.verdict == "wrong" for case in record.cases)
    return EXIT_OK if record.outcome == "ok" and not wrong else EXIT_RUN_FAILED


def _dry_run(configurations: list[Configuration], device: str, as_json: bool, *, quick: bool) -> int:
    from gpuprof.supervisor import plan
    from gpuprof.text import plural, unbroken

    documents = [plan.describe(configuration, quick=quick) for configuration in configurations]
    if as_json:
        _print_documents(documents)
        return EXIT_OK
    for document in documents:
        repeats, cases = document["protocol"]["repeats"], document["cases"]
        click.echo(unbroken(f"{document['file']}: {plural(len(cases), 'case')} x {repeats} fresh processes"))
        for case in cases:
            params = "".join(f", {key}={value}" for key, value in case["params"].items())
            threads = f"{case['threads']} CPU threads"
            line = f"  {case['case_id']}   {threads}, seed {case['seed']}{params}   {_about(case['estimate_s'])}"
            click.echo(unbroken(line))
        click.echo(f"  {_about(document['estimate_s'])}")
    total = sum(document["estimate_s"] for document in documents)
    where = "on this CPU" if device in ("auto", "cpu") else "on this CPU; whether there is a GPU was not looked at"
    click.echo(f"{_about(total)} in all {where}, a rough guess; nothing was run")
    return EXIT_OK


def _about(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"
