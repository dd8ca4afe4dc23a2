"""torch's spelling of the devices: the one room of the worker that knows vendors. ROCm builds say "cuda" as well."""

from __future__ import annotations

import contextlib
import re
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from gpuprof.absent import Absent
from gpuprof.worker.channel import Unsupported

_LONGEST = 300  # characters of what torch says
# Releases whose handles of hipBLASLt belong to streams, so that the first product of a capture may wait for ever.
_HANGS = ((2, 12), (2, 14))
_ANEW = (2, 15)  # the first release that gives each matrix product a workspace of its own (pytorch #194311)
_BLAS = re.compile(r"/lib(cublas|cublasLt|rocblas|hipblaslt)\.so\.([0-9.]*[0-9])")


def _release() -> tuple[int, ...]:
    """First two numbers of torch's version."""
    return tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])


def build() -> str:
    """cpu, cuda or rocm: what this torch was built for."""
    return "rocm" if torch.version.hip else "cuda" if torch.version.cuda else "cpu"


def gpu_count() -> tuple[int, str]:
    """GPUs that torch can really use, and where there are none, what it says of that ("" if nothing)."""
    words: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            if torch.cuda.is_available():
                torch.cuda.init()  # PYTORCH_NVML_BASED_CUDA_CHECK asks the driver's library alone, which sees more
                return torch.cuda.device_count(), ""
        except RuntimeError as error:
            words.append(str(error))
    words += [str(warning.message) for warning in said]
    reason = " ".join(" ".join(words).split())[:_LONGEST]
    # The driver of a machine whose GPUs are joined by NVSwitch refuses to start without it (CUDA Runtime API: 802).
    return 0, f"{reason} Start nvidia-fabricmanager." if "Error 802" in reason else reason


def describe_gpu(index: int) -> dict[str, Any]:
    """Identity of one GPU; a fact that torch does not know is None, with its reason under `absent`."""
    properties = torch.cuda.get_device_properties(index)
    absent = {}

    def known(value: Any, name: str) -> Any:
        if value is None:
            absent[name] = f"torch {torch.__version__} does not report it"
        return value

    bus = getattr(properties, "pci_bus_id", None)
    pci = None if bus is None else f"{properties.pci_domain_id:04x}:{bus:02x}:{properties.pci_device_id:02x}.0"
    uuid = getattr(properties, "uuid", None)
    amd = build() == "rocm"
    architecture = getattr(properties, "gcnArchName", None) if amd else f"sm_{properties.major}{properties.minor}"
    return {
        "kind": "gpu",
        "vendor": "amd" if amd else "nvidia",
        "name": properties.name,
        "index": index,
        "uuid": known(None if uuid is None else str(uuid), "uuid"),
        "pci": known(pci, "pci"),
        "architecture": known(architecture, "architecture"),
        "memory_total_bytes": properties.total_memory,
        "compute_units": properties.multi_processor_count,
        "absent": absent,
    }


def library_versions() -> dict[str, str]:
    """Versions of the vendor libraries below torch, as this build names them."""
    try:
        dnn = torch.backends.cudnn.version()
    except RuntimeError as error:  # its own check of versions and devices; a CPU can be profiled all the same
        dnn = f"unusable: {str(error).splitlines()[0]}"
    name = "miopen" if torch.version.hip else "cudnn"
    versions = {"cuda": torch.version.cuda, "hip": torch.version.hip, name: dnn, **_blas_versions()}
    return {name: str(version) for name, version in versions.items() if version is not None}


def _blas_versions() -> dict[str, str]:
    """Versions of the libraries of matrix products that this process has loaded, as their files name them.

    A file of a Python package has only the first number in its name; the package knows the rest.
    """
    found = {}
    with contextlib.suppress(OSError):
        for library, version in _BLAS.findall(Path("/proc/self/maps").read_text("utf-8", "replace")):
            found[library.lower()] = version
    for package in ("nvidia-cublas", "nvidia-cublas-cu12"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            known = metadata.version(package)
            found |= {library: known for library in ("cublas", "cublaslt") if "." not in found.get(library, ".")}
    return found


class ComputeDevice:
    """The device that a case runs on. One class for GPU and CPU, so that measuring reads the same on both."""

    def __init__(self, index: int | None) -> None:
        """`index` None is the CPU."""
        self.index = index
        self.is_gpu = index is not None
        self.type = "cpu" if index is None else "cuda"
        self.torch = torch.device("cpu") if index is None else torch.device("cuda", index)
        if index is not None:
            torch.cuda.set_device(index)

    def identity(self) -> dict[str, Any]:
        """What tells this device from others of the machine, for whoever reads its sensors."""
        if self.index is None:
            return {"kind": "cpu", "vendor": None, "name": "CPU", "index": None, "uuid": None, "pci": None}
        described = describe_gpu(self.index)
        return {name: described[name] for name in ("kind", "vendor", "name", "index", "uuid", "pci")}

    def synchronize(self) -> None:
        """Wait until the GPU has done all that was submitted; a CPU is never behind."""
        if self.is_gpu:
            torch.cuda.synchronize()

    def event(self) -> Any | None:
        """A timing event, or None on a device without them."""
        return torch.cuda.Event(enable_timing=True) if self.is_gpu else None

    def counters(self) -> tuple[int, ...]:
        """Allocator counters that stand still once a workload has settled."""
        if not self.is_gpu:
            return ()
        stats = torch.cuda.memory_stats()
        # Segments that can grow (expandable_segments) are not allocated again: what they hold grows.
        names = ("segment.all.allocated", "reserved_bytes.all.allocated", "num_alloc_retries")
        return tuple(stats.get(name, 0) for name in names)

    def peak_memory(self) -> dict[str, Any]:
        """Peak since the start of the process, as fields of `record.repeat.Memory`. Takes BLAS's workspaces away."""
        if self.is_gpu:
            peak, workspace = torch.cuda.max_memory_allocated(), self._workspace_bytes()
            known = not isinstance(workspace, Absent)
            return {
                "peak_bytes": peak,
                "scope": "device memory allocated by torch, the rotating input batches included",
                "workspace_bytes": workspace if known else None,
                "reserved_bytes": torch.cuda.max_memory_reserved(),
                "alloc_retries": torch.cuda.memory_stats().get("num_alloc_retries", 0),
                "absent": {"workspace_bytes": workspace.reason} if isinstance(workspace, Absent) else {},
            }
        peak = _peak_resident_bytes()
        reason = "the CPU allocator has no such counter"
        absent = {"reserved_bytes": reason, "alloc_retries": reason, "workspace_bytes": "libraries of a CPU have none"}
        return {
            "peak_bytes": peak,
            "scope": "resident set of the whole process, torch's libraries included",
            "workspace_bytes": None,
            "reserved_bytes": None,
            "alloc_retries": None,
            "absent": absent if peak is not None else absent | {"peak_bytes": "this kernel reports no VmHWM"},
        }

    def _workspace_bytes(self) -> int | Absent:
        """What matrix products were given to work in, in bytes.

        torch allocates it once for each handle and stream, some tens of MiB each, so that it is most of what a small
        network takes. It is taken away, since only then its size can be seen. Where each product gets it anew, no part
        of the peak can be told from the rest, and 0 would be wrong.
        """
        clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
        if clear is None:
            return Absent(f"torch {torch.__version__} cannot be asked for it")
        self.synchronize()
        before = torch.cuda.memory_allocated()
        clear()
        held: int = before - torch.cuda.memory_allocated()
        if held == 0 and _release() >= _ANEW:
            return Absent(
                f"torch {torch.__version__} gives each product room of its own and takes it back: "
                "the peak has it if a product ran at that moment"
            )
        return held

    def capture(self, step: Callable[[], Any], graphs: int) -> tuple[Callable[[], Any], float]:
        """Record `graphs` successive steps as device graphs; returns a step that replays them in turn, and seconds.

        One stream for all of it: each further one would be given a workspace of its own for matrix products, and on
        ROCm a handle of a library that may not be made while capturing. Raises Unsupported on a device without graphs.
        """
        if not self.is_gpu:
            raise Unsupported("variant graph needs a GPU: a CPU has no device graphs")
        if torch.version.hip and torch.is_grad_enabled() and _HANGS[0] <= _release() <= _HANGS[1]:
            raise Unsupported(
                f"torch {torch.__version__} can hang when it captures training on ROCm (pytorch #179053, #187745); "
                "use another release"
            )
        started = time.perf_counter()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        recorded: list[tuple[Any, Any]] = []
        for _ in range(graphs):
            graph, fault = torch.cuda.CUDAGraph(), None
            try:
                with torch.cuda.graph(graph, pool=recorded[0][0].pool() if recorded else None, stream=side):
                    try:
                        # Detached at once: a loss holds what was captured for it until the next capture is over.
                        output = tree_map(torch.Tensor.detach, step())
                    except Exception as error:
                        fault = error
                        raise
            except RuntimeError as error:
                # Ending a capture that failed raises in its turn, and hides what went wrong in it.
                raise fault or error from None
            recorded.append((graph, output))
        position = -1

        def replay() -> Any:
            nonlocal position
            position = (position + 1) % graphs
            recorded[position][0].replay()
            return recorded[position][1]

        self.synchronize()
        return replay, time.perf_counter() - started


def _peak_resident_bytes() -> int | None:
    # VmHWM belongs to this program alone; getrusage's maximum survives exec and would show the parent's.
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return None
