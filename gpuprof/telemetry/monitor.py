"""`gpuprof monitor`: energy, power, utilisation, temperature and throttling while any command runs."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gpuprof.absent import Absent
from gpuprof.errors import UsageError
from gpuprof.record.part import SensorReading
from gpuprof.system.clock import utc_now
from gpuprof.system.interrupts import undisturbed
from gpuprof.telemetry import summary, ticks, window
from gpuprof.telemetry.device import Device, Lost, NoReading, ThrottleCounters, reading
from gpuprof.telemetry.patience import patiently
from gpuprof.telemetry.sampler import Feed, Sampler
from gpuprof.telemetry.ticks import Edge

SCHEMA = "gpuprof.monitor/1"
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit codes, as a shell's
_PASS_ON_S = 0.5
# All that would end monitor and leave the command alone: Slurm's --signal sends any of them before the time is up.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
              signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU)  # fmt: skip
_BEFORE_EDGES, _AFTER_EDGES = 4, 4


@dataclass(frozen=True)
class Reads:
    """Counters of one device, read before the command or after it."""

    edges: list[Edge] | Absent
    throttle: ThrottleCounters | NoReading


def monitor(devices: Sequence[Device], hz: float, run: Callable[[Sampler], int | None]) -> dict[str, Any]:
    """Call `run` between two readings of every counter; the document that `--json` prints, without the command.

    `run` returns the command's exit code, or None where there is no command.
    """
    with Sampler(devices, hz) as sampler:
        # Throttle counters lie next to the command on both sides, edges of energy counters outside of them.
        before = _reads(sampler, _BEFORE_EDGES, throttle_first=False)
        identities = {name: _identity(sampler, feed.device) for name, feed in sampler.feeds.items()}
        started_at, start_ns = utc_now(), time.monotonic_ns()
        exit_code = run(sampler)
        end_ns = time.monotonic_ns()
        cpu_share = sampler.cpu_share if devices else None
        with undisturbed():  # what the command drew is not lost to a second Ctrl-C
            slowest_s = max(
                (ticks.tick_s(r.edges) for r in before.values() if not isinstance(r.edges, Absent)), default=0
            )
            after = _reads(sampler, _AFTER_EDGES, throttle_first=True, least_s=ticks.closing_s(slowest_s))
        documents = [
            _device(feed, name, identities[name], before[name], after[name], sampler, start_ns, end_ns)
            for name, feed in sampler.feeds.items()
        ]
    return {
        "schema": SCHEMA,
        "started_at": started_at,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "duration_s": (end_ns - start_ns) / 1e9,
        "exit_code": exit_code,
        "simulated": any(device.simulated for device in devices),
        "telemetry_hz": hz,
        "telemetry_cpu_share": cpu_share,
        "devices": documents,
        "absent": {}
        | ({} if exit_code is not None else {"exit_code": "no command was run"})
        | ({} if cpu_share is not None else {"telemetry_cpu_share": "nothing was sampled"}),
    }


def run_command(command: Sequence[str], *, output_to_stderr: bool) -> int:
    """The command's exit code as a shell gives it. Ctrl-C reaches the command; other signals are passed on.

    Raises UsageError where it cannot be started.
    """
    try:
        process = subprocess.Popen(command, stdout=2 if output_to_stderr else None)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        problem = UsageError(f"{command[0]}: {'command not found' if missing else error.strerror}")
        problem.exit_code = NOT_FOUND if missing else NOT_EXECUTABLE
        raise problem from None
    with _signals_to(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: Any) -> None:
        # A signal to the whole group has reached the command already; it should not get a second one while it ends.
        later = threading.Timer(_PASS_ON_S, process.send_signal, (number,))
        later.daemon = True
        later.start()

    # The terminal sends Ctrl-C to the command as well: it decides, and what it drew up to then is still reported.
    handlers: dict[int, Any] = {signal.SIGINT: signal.SIG_IGN, **dict.fromkeys(_PASSED_ON, pass_on)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reads(sampler: Sampler, edges: int, *, throttle_first: bool, least_s: float = ticks.LEAST_S) -> dict[str, Reads]:
    """All counters of all devices; a library that hangs costs the values, not the command."""
    devices = {name: feed.device for name, feed in sampler.feeds.items()}
    readers = {name: _energy_reader(device) for name, device in devices.items()}

    def read() -> dict[str, Reads]:
        throttle = {name: _throttle(device) for name, device in devices.items()} if throttle_first else {}
        moves = ticks.watch(readers, sampler.clock, time.sleep, count=edges, least_s=least_s)
        throttle = throttle or {name: _throttle(device) for name, device in devices.items()}
        return {name: Reads(moves[name], throttle[name]) for name in devices}

    try:
        return sampler.call(read)
    except Lost as error:
        lost = NoReading(str(error), "lost")
        return dict.fromkeys(devices, Reads(lost, lost))


def _energy_reader(device: Device) -> Callable[[], float | NoReading]:
    def read() -> float | NoReading:
        try:
            return device.energy_j()
        except Lost as error:
            return NoReading(str(error), "lost")

    return read


def _throttle(device: Device) -> ThrottleCounters | NoReading:
    try:
        return device.throttle_counters()
    except Lost as error:
        return NoReading(str(error), "lost")


def _identity(sampler: Sampler, device: Device) -> dict[str, SensorReading]:
    try:
        return sampler.call(device.identity)
    except Lost as error:
        return dict.fromkeys(("name", "uuid", "pci_bus_id"), reading(NoReading(str(error), "lost")))


def title(sampler: Sampler, device: Device) -> str:
    """Its name, or why there is none."""
    name = _identity(sampler, device)["name"]
    return str(name.value or name.reason or "")


def _device(
    feed: Feed, name: str, identity: Mapping[str, SensorReading], before: Reads, after: Reads, sampler: Sampler,
    start_ns: int, end_ns: int,
) -> dict[str, Any]:  # fmt: skip
    device, columns = feed.device, feed.between(start_ns, end_ns)
    seconds = (end_ns - start_ns) / 1e9
    signal_ = summary.chosen(columns, summary.POWER)
    judged = window.judge(feed, signal_, start_ns, end_ns, _brackets(before, after), None)
    best = None if isinstance(judged.best, Absent) else judged.best
    integrated = None if isinstance(judged.trapezoid, Absent) else judged.trapezoid
    sources = dict.fromkeys(("energy_j", "energy_error_j", "energy_method", "power_mean_w"), judged.best)
    sources["trapezoid_j"] = judged.trapezoid
    absent = {key: source.reason for key, source in sources.items() if isinstance(source, Absent)}
    shares = None if feed.lost is not None else window.shares(before.throttle, after.throttle, columns)
    if shares is None:
        fault = feed.lost or feed.absent.get("throttle") or before.throttle
        absent["throttled_share"] = fault.reason if isinstance(fault, NoReading) else "nothing was sampled"
    rate = len(columns["t_ns"]) / seconds if seconds > 0 else 0.0
    signals, missing = window.summaries(feed, columns, start_ns)
    metrics = {key: summarised.model_dump(exclude={"absent"}) for key, summarised in signals.items()}
    metrics |= {key: unread.model_dump() for key, unread in missing.items()}
    names: dict[str, Any] = {}
    no_such = reading(NoReading(f"{device.library} does not report it for this kind of device", "unsupported"))
    for key in ("name", "uuid", "pci_bus_id"):
        answer = identity.get(key, no_such)
        names[key] = answer.value
        if answer.value is None:
            absent[key] = answer.reason or ""
    return {
        "id": name,
        **names,
        "vendor": device.vendor,
        "simulated": device.simulated,
        "energy_j": best and best.energy_j,
        "energy_error_j": best and best.error_j,
        "energy_method": best and best.method,
        "power_mean_w": best and best.energy_j / best.seconds,
        "trapezoid_j": integrated and integrated.energy_j,
        "gain_error": device.power.gain_error,
        "scope": device.power.scope,
        "energy_scope": device.power.energy_covers,
        "throttled_share": shares,
        "throttle_unsampled": window.unsampled(before.throttle, after.throttle, columns),
        "metrics": metrics,
        "samples": len(columns["t_ns"]),
        "checks": list(window.checks(feed, judged, shares, rate, seconds, sampler.hz, start_ns)),
        "absent": absent | ({} if device.power.gain_error else {"gain_error": device.power.gain_source or "unknown"}),
    }


def _brackets(before: Reads, after: Reads) -> window.Brackets | Absent:
    """The energy counter before the command and after it, or why there is none."""
    if isinstance(before.edges, Absent):
        return before.edges
    if isinstance(after.edges, Absent):
        return after.edges
    return ticks.opening(before.edges), after.edges


def live(
    sampler: Sampler, show: Callable[[list[tuple[Device, dict[str, float]]]], None], *, stop: Callable[[], bool],
    wait: Callable[[float], None] = time.sleep,
) -> None:  # fmt: skip
    """Show each device with its newest values by signal, twice a second at most, until `stop` returns true.

    Where it has a counter, "energy_so_far_j" is what that has counted since the first look.
    """
    first: dict[str, float] = {}
    while not stop():
        wait(max(0.5, 1 / sampler.hz))
        now = sampler.clock()
        rows = []
        for feed in sampler.feeds.values():
            columns = feed.between(now - 2_000_000_000, now)
            known = {key: [value for value in values if value == value] for key, values in columns.items()}
            newest = {key: values[-1] for key, values in known.items() if values}
            if (joules := newest.get("energy_j")) is not None:
                began = first[feed.device.id] = min(first.get(feed.device.id, joules), joules)  # a reset begins anew
                newest["energy_so_far_j"] = joules - began
            rows.append((feed.device, newest))
        show(rows)


def select(devices: Sequence[Device], queries: Sequence[str]) -> list[Device]:
    """The devices with these ids, vendors, UUIDs, PCI addresses or parts of a name; all of them without a query.

    Raises UsageError for a query that no device answers to.
    """
    if not queries:
        return list(devices)
    names = {device.id: _names(device) for device in devices}
    chosen = []
    for query in queries:
        exact = [d for d in devices if query.lower() in names[d.id]]
        matches = exact or [d for d in devices if any(query.lower() in name for name in names[d.id])]
        if not matches:
            names_ = {d.id: (n := _known(d).get("name")) and n.value for d in devices}
            present = ", ".join(f"{name} {title or ''}".strip() for name, title in names_.items())
            raise UsageError(f"no device matches {query!r}; this machine has {present}")
        chosen += [device for device in matches if device not in chosen]
    return chosen


def _known(device: Device) -> dict[str, SensorReading]:
    """Its identity; nothing where its library hangs, so that others can still be chosen, and it by its id."""
    try:
        return patiently(device.identity)[0]
    except Lost:
        return {}


def _names(device: Device) -> set[str]:
    identity = _known(device)
    words = (identity[key].value for key in ("name", "uuid", "pci_bus_id") if key in identity)
    return {device.id, device.vendor, *(str(word).lower() for word in words if word), *device.uuids}
