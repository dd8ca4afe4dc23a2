"""What telemetry costs: CPU time of the sampling thread at 10 Hz, over simulated vendor libraries of 200 us latency.

Goal: at most 0.3% of one core, for one GPU of either vendor; 99% of the samples less than 20 ms late.

python scripts/bench/sampler.py --seconds 30
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOAL_SHARE, GOAL_LATE_S = 0.003, 0.020
MODELS = {"nvidia": "h100", "amd": "mi300x_spx", "cpu": None}


def floor(hz: float, seconds: float) -> float:
    """CPU share of a thread that does nothing but wait for its next turn: what this machine charges for waking up."""
    found: list[float] = []

    def loop() -> None:
        never: queue.SimpleQueue[None] = queue.SimpleQueue()
        due = time.monotonic()
        used = time.thread_time()
        for _ in range(int(seconds * hz)):
            due += 1 / hz
            with suppress(queue.Empty):
                never.get(timeout=max(0.0, due - time.monotonic()))
        found.append((time.thread_time() - used) / seconds)

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    return found[0]


def measure(vendor: str, hz: float, seconds: float) -> dict[str, float | None]:
    """In this process: CPU share of the thread (from its own clock, everything it does included) and its lateness."""
    from gpuprof import telemetry
    from gpuprof.telemetry.sampler import Sampler

    (device,) = [d for d in telemetry.all_devices(telemetry.open_backends()) if d.vendor == vendor][:1]
    with Sampler([device], hz) as sampler:
        thread = sampler._thread
        assert thread is not None and thread.ident is not None
        clock = time.pthread_getcpuclockid(thread.ident)
        time.sleep(1.0)
        used, started = time.clock_gettime(clock), time.monotonic()
        time.sleep(seconds)
        share = (time.clock_gettime(clock) - used) / (time.monotonic() - started)
        feed = sampler.feeds[device.id]
        times = feed.between(0, sampler.clock())["t_ns"]
        # An absolute schedule: the least late sample tells where the others should lie.
        offsets = [int(t) % int(1e9 / hz) for t in times]
        late = min(
            (sorted((o - first) % int(1e9 / hz) for o in offsets) for first in set(offsets)), key=lambda x: x[-1]
        )
        return {
            "share": share,
            "floor": floor(hz, seconds / 3),
            "own_share": sampler.cpu_share,
            "late_p99_s": late[int(0.99 * (len(late) - 1))] / 1e9,
            "samples": feed.count,
            "missed": sampler.missed,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--latency-us", type=int, default=200)
    parser.add_argument("--vendor", choices=MODELS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.vendor:
        print(json.dumps(measure(options.vendor, options.hz, options.seconds)))
        return 0
    sys.path.insert(0, str(ROOT / "tests"))
    from support import simulators

    good = True
    with tempfile.TemporaryDirectory() as place:
        libraries = simulators.build(Path(place) / "lib")
        for vendor, model in MODELS.items():
            gpus = [] if model is None else [{"like": model, "latency_us": options.latency_us}]
            variables = simulators.variables(libraries, simulators.load({"gpus": gpus}), Path(place))
            path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            command = [sys.executable, __file__, "--vendor", vendor]
            command += ["--hz", str(options.hz), "--seconds", str(options.seconds)]
            environment = {**os.environ, **variables, "PYTHONPATH": path}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            met = found["share"] <= GOAL_SHARE and found["late_p99_s"] <= GOAL_LATE_S
            good = good and met
            share, empty, late_ms = found["share"], found["floor"], found["late_p99_s"] * 1e3
            print(
                f"{vendor:<7}{share:.3%} of a core at {options.hz:g} Hz (goal {GOAL_SHARE:.1%}; an empty loop costs "
                f"{empty:.3%}), p99 {late_ms:.1f} ms late (goal {GOAL_LATE_S * 1e3:g}), "
                f"{found['samples']:.0f} samples, {found['missed']:.0f} missed: {'met' if met else 'MISSED'}"
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
