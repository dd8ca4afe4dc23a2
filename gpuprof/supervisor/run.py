"""`gpuprof run`: watches workers that compute. Never imports torch."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gpuprof.absent import Absent
from gpuprof.config.configuration import Configuration
from gpuprof.messages import Go, Measure, Ready
from gpuprof.record.protocol import Protocol as Limits
from gpuprof.record.repeat import Phase, Repeat, RepeatTelemetry
from gpuprof.record.run import RunRecord
from gpuprof.record.versions import SCHEMA
from gpuprof.store.assemble import assemble
from gpuprof.store.journal import Journal
from gpuprof.store.runs import new_run_id
from gpuprof.supervisor import plan
from gpuprof.supervisor.machine import Inspector, Machine, State, kernel_cache, kernel_place
from gpuprof.supervisor.watcher import Watcher
from gpuprof.supervisor.worker_process import WorkerFailed, WorkerProcess
from gpuprof.system import environment
from gpuprof.system.clock import utc_now
from gpuprof.system.interrupts import undisturbed
from gpuprof.system.procfs import physical_cores
from gpuprof.telemetry.device import Backend
from gpuprof.telemetry.sampler import DEFAULT_HZ
from gpuprof.telemetry.watch import Station
from gpuprof.workloads.case import CaseSpec


@dataclass
class _Run:
    """One configuration on one device while it is measured: what happens goes into the journal, and to the watcher.

    `unsupported` holds the ids of cases that cannot be run here; their other repeats are left out.
    """

    configuration: Configuration
    device: dict[str, Any]
    protocol: Limits
    inspector: Inspector
    journal: Journal
    cache: Path
    station: Station
    watcher: Watcher
    unsupported: set[str] = field(default_factory=set)
    # Cases that are not started any more: they took too long once, or their check found that they cannot run here.
    given_up: dict[str, WorkerFailed] = field(default_factory=dict)
    stuck: str = ""  # why nothing more may be started on this device

    def case(self, spec: CaseSpec, fallback_of: str | None = None) -> None:
        """Enter a case, before it is checked or measured."""
        request = asdict(plan.resolved(spec, physical_cores()))
        workload, params = spec.definition()
        items = {"item": workload.item, "items_per_sample": workload.items_per_sample(params, spec.lengths)}
        case = {"type": "case", "case_id": spec.case_id, "request": request, "fallback_of": fallback_of, **items}
        self.journal.append(case)

    def check(self, spec: CaseSpec) -> tuple[dict[str, Any], State]:
        """(counts, precision probe and gates of one case, or `failed` with the reason; what came of it in a word).

        Writes nothing yet.
        """
        self.watcher.checking(spec.case_id)
        try:
            return self.inspector.check(spec, self.device["index"], self.protocol.timeout_s)
        except WorkerFailed as error:
            if error.outcome == "timeout":
                self.given_up[spec.case_id] = WorkerFailed("timeout", "not started: its check took too long")
            elif error.outcome == "unsupported":
                self.given_up[spec.case_id] = error
                return {"failed": f"unsupported: {error.reason}"}, "unsupported"
            return {"failed": f"the check failed: {error.outcome.replace('_', ' ')}: {error.reason}"}, "failed"

    def checked(self, case_id: str, findings: dict[str, Any]) -> None:
        """Enter what `check` found."""
        self.journal.append({"type": "inspected", "case_id": case_id, "data": findings})
        self.watcher.checked(case_id, findings)

    def fallback(self, spec: CaseSpec, findings: dict[str, Any], state: State) -> CaseSpec | None:
        """The case without fused kernels, entered, where it passes the checks that the fused one fails; else None."""
        correctness = findings.get("correctness") or {}
        if not spec.params.get("fused") or state not in ("wrong", "failed"):
            return None
        instead = replace(spec, params=spec.params | {"fused": False})
        if any(instead.case_id == planned.case_id for planned in self.configuration.cases):
            return None
        its_findings, its_state = self.check(instead)
        if its_state not in ("pass", "drift"):
            return None
        absent = correctness.get("absent", {})
        at_size = absent.get("batch_error") if state == "failed" else None
        why = findings.get("failed") or absent.get("verdict") or at_size or "its results are wrong"
        self.watcher.case_added(instead.case_id, f"{spec.case_id} fails its check ({why})", self.protocol.repeats)
        self.case(instead, fallback_of=spec.case_id)
        self.checked(instead.case_id, its_findings)
        return instead

    def measure(self, spec: CaseSpec, index: int, order: int, *, pretrained: bool) -> None:
        """One repeat in a fresh process; what becomes of it is in the journal, also when it is interrupted."""
        case_id, case = spec.case_id, plan.resolved(spec, physical_cores())
        self.watcher.measuring(case_id, index)
        started_at, started = utc_now(), time.monotonic()
        request = Measure(case=case, device=self.device["index"], protocol=self.protocol, pretrained=pretrained)
        failure: WorkerFailed | None = None
        interrupt: KeyboardInterrupt | None = None
        result: dict[str, Any] = {}
        worker = None
        watch = self.station.repeat(self.protocol)

        def pause(ready: Ready) -> Go:
            self.watcher.phase(case_id, index, ready.window)
            return watch.pause(ready)

        try:
            if self.stuck:
                raise WorkerFailed("error", f"not started: {self.stuck}")
            if case_id in self.given_up:
                raise self.given_up[case_id]
            worker = WorkerProcess(case.threads or 1, kernel_place(self.cache, case_id))
            result = worker.ask(request, self.protocol.timeout_s, pause)
        except WorkerFailed as error:
            failure = error
        except KeyboardInterrupt as error:
            failure, interrupt = WorkerFailed("interrupted", "the run was interrupted"), error
        finally:
            if worker is not None:
                worker.kill()
                self.inspector.stuck = self.stuck = self.stuck or worker.stuck
        phases = [Phase.model_validate(phase) for phase in result.get("phases", [])]
        raw = result.pop("raw", {}) | watch.series(phases)
        telemetry = Absent(failure.reason) if failure is not None else watch.result(phases)
        repeat = _repeat(index, order, started_at, time.monotonic() - started, result, telemetry, failure)
        self.journal.append({"type": "repeat", "case_id": case_id, "repeat": repeat.model_dump(), "raw": raw})
        if repeat.outcome == "timeout":
            self.given_up.setdefault(case_id, WorkerFailed("timeout", f"not started: repeat {index + 1} took too long"))
        if repeat.outcome == "unsupported":
            self.unsupported.add(case_id)  # as it would be in any other process
        self.watcher.measured(case_id, repeat)
        if interrupt is not None:
            raise interrupt


def run(
    configuration: Configuration, machine: Machine, device: dict[str, Any], inspector: Inspector, store: Path,
    watcher: Watcher, held: ExitStack, *, quick: bool, backends: Sequence[Backend] = (), hz: float = DEFAULT_HZ,
) -> tuple[RunRecord, Path, str]:  # fmt: skip
    """Measure one configuration on one device and publish its record, also after Ctrl-C. Raises GpuprofError.

    Whatever ends the measuring, what was measured is published; the text is the fault that did, empty where none was.

    `device` holds the fields of `record.run.Device`. Without `backends` there is no telemetry, and the record says so.
    A signal that comes after the measuring is held back until the caller closes `held`, when it has the record.
    """
    protocol = plan.protocol(configuration, quick=quick)
    run_id = new_run_id(Path(configuration.record.file).stem)
    interruption = None  # the reason, where a signal ended the measuring
    fault = ""
    with kernel_cache() as cache, Station(backends, device, hz=hz) as station:
        header = {
            "type": "run",
            "schema": SCHEMA,
            "run_id": run_id,
            "simulated": station.simulated,
            "started_at": utc_now(),
            "config": configuration.record.model_dump(),
            "protocol": protocol.model_dump(),
            "device": device,
            "environment": environment.describe() | machine.torch,
            **_source(station),  # until the line `end`, which knows what sampling cost
        }
        journal = Journal(store, run_id)
        running = _Run(configuration, device, protocol, inspector, journal, cache, station, watcher)
        cases = {spec.case_id: spec for spec in configuration.cases}
        try:
            journal.append(header)
            watcher.run_started(run_id, device["name"], list(cases), protocol.repeats)
            for spec in configuration.cases:
                running.case(spec)
            pretrained = set()
            for spec in configuration.cases:
                findings, state = running.check(spec)
                running.checked(spec.case_id, findings)
                if (findings.get("weights") or {}).get("source", "random") != "random":
                    pretrained.add(spec.case_id)
                # Fallbacks join before anything is timed, so that they too are interleaved with the others.
                if (instead := running.fallback(spec, findings, state)) is not None:
                    cases[instead.case_id] = instead
            # Its context and memory must not stand beside what is timed. For another run it starts by itself.
            inspector.close()
            running.stuck = inspector.stuck
            # `order` counts unsupported cases as well: the record's numbers may have gaps.
            for order, (repeat, case_id) in enumerate(plan.order(list(cases), protocol.repeats)):
                if case_id not in running.unsupported:
                    running.measure(cases[case_id], repeat, order, pretrained=case_id in pretrained)
        except KeyboardInterrupt as interrupt:
            interruption = str(interrupt) or "interrupted from the keyboard"
        except Exception as error:  # noqa: BLE001 - hours of measuring must not be lost to a mistake of ours
            with suppress(OSError):
                traceback.print_exc()
            fault = f"gpuprof itself failed, please report it: {type(error).__name__}: {error}"
        fault = fault or running.stuck
        # After an interruption a second signal has nothing left to end.
        safe = held.enter_context(undisturbed(afterwards=interruption is None))
        end = {"type": "end", "finished_at": utc_now(), "interrupted": interruption, "fault": fault or None}
        journal.append(end | _source(station))
        record, raw = assemble(journal.lines, utc_now())
        try:
            return record, journal.publish(record, raw), fault
        finally:
            safe()


def _source(station: Station) -> dict[str, Any]:
    source = station.source()
    if isinstance(source, Absent):
        return {"telemetry": None, "no_telemetry": source.reason}
    return {"telemetry": source.model_dump(), "no_telemetry": ""}


def _repeat(
    index: int, order: int, started_at: str, duration_s: float, result: dict[str, Any],
    telemetry: RepeatTelemetry | Absent, failure: WorkerFailed | None,
) -> Repeat:  # fmt: skip
    absent: dict[str, str] = {"telemetry": telemetry.reason} if isinstance(telemetry, Absent) else {}
    parts = ("cold", "warmup", "throughput", "device_span", "latency", "memory", "cpu", "yardstick")
    why = "a CPU has no device events" if failure is None else failure.reason
    absent |= {name: why for name in parts if result.get(name) is None}
    if failure is None:
        absent |= {"reason": "nothing went wrong", "exit_code": "the worker answered and was then stopped"}
    elif failure.exit_code is None:
        absent["exit_code"] = "the worker did not exit by itself"
    return Repeat(
        index=index,
        order=order,
        outcome="ok" if failure is None else failure.outcome,  # type: ignore[arg-type]
        reason=None if failure is None else failure.reason,
        exit_code=None if failure is None else failure.exit_code,
        started_at=started_at,
        duration_s=duration_s,
        **{name: result.get(name) for name in parts},
        telemetry=None if isinstance(telemetry, Absent) else telemetry,
        phases=result.get("phases", []),
        warnings=result.get("warnings", []),
        output_tail="" if failure is None else failure.output_tail,
        absent=absent,
    )
