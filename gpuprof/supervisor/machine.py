"""What torch sees of this machine, and the worker that looks at it before anything is timed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpuprof.errors import DeviceError, GpuprofError
from gpuprof.messages import Environment, Inspect, Request
from gpuprof.supervisor import plan
from gpuprof.supervisor.worker_process import WorkerFailed, WorkerProcess
from gpuprof.system import environment
from gpuprof.system.procfs import physical_cores
from gpuprof.workloads.case import CaseSpec

State = Literal["pass", "drift", "wrong", "unsupported", "failed"]  # what became of a case's checks
START_TIMEOUT_S = 300.0
_CACHE, _LOCK = "gpuprof-cache-", "in-use"


@dataclass(frozen=True)
class Machine:
    """This machine. `torch` holds the fields of `record.run.Environment` that torch knows, `gpus` those of
    `record.run.Device` for each GPU that torch sees.
    """

    torch: dict[str, Any]
    gpus: list[dict[str, Any]]
    architectures: tuple[str, ...] = ()  # the GPUs torch was built for (sm_90, gfx942); none in a build for the CPU
    no_gpu: str = ""  # what torch says where it sees none; "" if nothing

    def devices(self, choice: str) -> list[dict[str, Any]]:
        """The devices that `auto|cpu|gpu|gpu:N|all` chooses, as fields of `record.run.Device`. Raises DeviceError.

        `auto` is the first GPU, or the CPU of a machine without one.
        """
        cpu = environment.describe_cpu()
        if choice == "cpu" or (choice == "auto" and not self.gpus):
            return [cpu]
        if choice == "all":
            return [*self.gpus, cpu]
        if not self.gpus:
            raise DeviceError(f"no GPU is available: {self.why_no_gpu()}. To profile the CPU, use `--device cpu`.")
        index = int(choice.partition(":")[2] or 0)
        if index >= len(self.gpus):
            names = ", ".join(f"gpu:{gpu['index']} {gpu['name']}" for gpu in self.gpus)
            raise DeviceError(f"{choice} does not exist; this machine has {names}")
        return [self.gpus[index]]

    def why_no_gpu(self) -> str:
        """The reason for messages, where `gpus` is empty."""
        if self.torch["torch_build"] == "cpu":
            return f"torch {self.torch['torch']} is a CPU-only build"
        why = f": {self.no_gpu.rstrip('.')}" if self.no_gpu else " (none installed, no driver, or hidden by a variable)"
        return f"torch {self.torch['torch']} sees no GPU{why}"


class Inspector:
    """The worker that looks at the machine and checks the cases; replaced when it dies, gone before timing starts."""

    def __init__(self, cache: Path) -> None:
        self._cache = self._worker_cache = cache
        self._worker: WorkerProcess | None = None
        self.stuck = ""  # why a worker was given up that could not be ended

    def ask(self, request: Request, timeout_s: float, *, alone: str = "") -> dict[str, Any]:
        """The worker's answer. Raises WorkerFailed.

        `alone` names a case that must share neither process nor compiled kernels with others: torch.compile runs code
        uncompiled, in silence, once it has compiled it eight times, and some releases take bf16's kernels for fp16's.
        """
        cache = kernel_place(self._cache, alone) if alone else self._cache
        if cache != self._worker_cache:
            self.close()
        if self._worker is None:
            self._worker, self._worker_cache = WorkerProcess(physical_cores(), cache), cache
        try:
            return self._worker.ask(request, timeout_s)
        except WorkerFailed:
            self.close()
            raise

    def check(self, spec: CaseSpec, index: int | None, timeout_s: float) -> tuple[dict[str, Any], State]:
        """What the worker finds about a case on the GPU of this index (None: the CPU), and in a word.

        The findings are fields of `record.case.Case`. Raises WorkerFailed.
        """
        request = Inspect(case=plan.resolved(spec, physical_cores()), device=index)
        findings = self.ask(request, timeout_s, alone=spec.case_id if spec.variant == "compile" else "")
        if findings.pop("shaken"):
            self.close()  # an error on the device may have left a process that fails whatever comes next
        return findings, findings.pop("state")

    def machine(self) -> Machine:
        """What torch says of this machine. Raises DeviceError where torch cannot be used at all."""
        try:
            facts = self.ask(Environment(), START_TIMEOUT_S)
        except WorkerFailed as error:
            raise DeviceError(f"PyTorch cannot be used: {error.reason}") from None
        gpus, architectures, no_gpu = facts.pop("gpus"), tuple(facts.pop("architectures")), facts.pop("no_gpu")
        return Machine(facts, gpus, architectures, no_gpu)

    def close(self) -> None:
        """End the worker, which frees the device; the next question starts another."""
        if self._worker is not None:
            self._worker.kill()
            self.stuck = self.stuck or self._worker.stuck
            self._worker = None


@contextmanager
def session() -> Iterator[Inspector]:
    """An inspector for as long as the context lasts, with a kernel cache that no timed process sees."""
    with kernel_cache() as cache:
        inspector = Inspector(cache)
        try:
            yield inspector
        finally:
            inspector.close()


def kernel_place(cache: Path, case_id: str) -> Path:
    """The directory under `cache` for compiled kernels of this case, where no other case finds them."""
    return cache / hashlib.sha256(case_id.encode()).hexdigest()[:16]


@contextmanager
def kernel_cache() -> Iterator[Path]:
    """An empty directory for compiled kernels, gone afterwards. Raises GpuprofError where none can be made.

    Those of killed runs go as well.
    """
    _sweep(Path(tempfile.gettempdir()))
    try:
        holder = tempfile.TemporaryDirectory(prefix=_CACHE, ignore_cleanup_errors=True)
        lock = (Path(holder.name) / _LOCK).open("x")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise GpuprofError(f"cannot create a temporary directory ({error}); set TMPDIR to a writable one") from None
    with holder as path, lock:
        yield Path(path)


def _sweep(temporary: Path) -> None:
    """Remove this user's kernel caches whose lock is free: the kernel frees it when its owner dies."""
    for place in temporary.glob(f"{_CACHE}*"):
        with contextlib.suppress(OSError):
            if place.is_symlink() or place.stat().st_uid != os.geteuid():
                continue
            with (place / _LOCK).open("rb+") as lock:  # one without is just being made, or of an earlier version
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place)
