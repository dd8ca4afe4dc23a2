"""On the path of `gpuprof run`, a worker computes on the CPU and takes it for the GPU that SIMULATED_GPU describes.

SIMULATED_GPU is JSON: `device`, what gpuprof.worker.device.describe_gpu is to answer; `load`, the file to which the
simulated vendor library listens, with the watts of a device at rest and at work. gpuprof itself knows nothing of this.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _AfterImport(importlib.abc.MetaPathFinder):
    """Changes modules right after their own code has run."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = self._changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_change(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


class _Event:
    """A device event of a device that has done everything when the host comes to it."""

    def record(self) -> None:
        self.at_s = time.perf_counter()

    def elapsed_time(self, later: _Event) -> float:
        return (later.at_s - self.at_s) * 1e3


def _change_device(described: dict[str, Any]) -> Callable[[Any], None]:
    def change(module: Any) -> None:
        cpu = module.ComputeDevice

        class Simulated(cpu):  # type: ignore[misc,valid-type]
            def __init__(self, index: int | None) -> None:
                super().__init__(None)
                self.index, self.is_gpu = index, index is not None

            def synchronize(self) -> None:
                pass

            def event(self) -> _Event | None:
                return _Event() if self.is_gpu else None

            def counters(self) -> tuple[int, ...]:
                return ()

            def peak_memory(self) -> dict[str, Any]:
                return cpu(None).peak_memory()

        module.ComputeDevice = Simulated
        module.build = lambda: {"nvidia": "cuda", "amd": "rocm"}[described["vendor"]]
        module.gpu_count = lambda: 1
        module.describe_gpu = lambda index: described | {"index": index}

    return change


def _change_channel(load: dict[str, Any]) -> Callable[[Any], None]:
    """At each pause the device comes to rest; it works from the answer on, after the last phase no more."""

    def draws(watts: float) -> None:
        with Path(load["file"]).open("a") as file:
            file.write(f"{time.monotonic_ns()} {watts}\n")

    def change(module: Any) -> None:
        wait = module.Channel.wait_for_go

        def wait_at_rest(self: Any, window: str, **message: Any) -> Any:
            draws(load["idle_w"])
            answer = wait(self, window, **message)
            draws(load["idle_w"] if window == "end" else load["load_w"])
            return answer

        module.Channel.wait_for_go = wait_at_rest

    return change


if "SIMULATED_GPU" in os.environ:
    _said = json.loads(os.environ["SIMULATED_GPU"])
    _changes = {
        "gpuprof.worker.device": _change_device(_said["device"]),
        "gpuprof.worker.channel": _change_channel(_said["load"]),
    }
    sys.meta_path.insert(0, _AfterImport(_changes))
