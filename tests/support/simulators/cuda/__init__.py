"""A simulated CUDA device, on which PyTorch's own CUDA build runs without a GPU.

The C files stand for libcudart, libcublas, libcublasLt, libcudnn and libcuda: allocator, streams, events, graphs,
autograd, GradScaler and fused optimizers are PyTorch's own. Memory is the host's, and kernels only take time;
`arithmetic` computes what they should where a test wants right results. Typical use:

    libraries = cuda.build(tmp_path / "cuda")
    environment = os.environ | cuda.variables(libraries, [cuda.H100])
    subprocess.run([sys.executable, "-c", "import torch; torch.ones(3, device='cuda')"], env=environment)

It says in its device's name that it is simulated. Not simulated: peer access, cudaMallocAsync, IPC, device printf, and
the time that kernels really take.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SITE = HERE / "site"
FABRIC_MANAGER_NOT_RUNNING = 802  # cudaErrorSystemNotReady


@dataclass(frozen=True)
class Device:
    """As `torch.cuda.get_device_properties` tells it; the numbers of an H100 are in runtime.c."""

    name: str
    uuid: str
    bus: int  # of PCI, in domain 0
    memory_bytes: int
    multiprocessors: int = 132
    capability: tuple[int, int] = (9, 0)


H100 = Device("Simulated NVIDIA H100 80GB HBM3", "0a1b2c3d-1111-2222-3333-444455556666", 0x1B, 85_029_158_912)
SECOND = Device("Simulated NVIDIA H100 80GB HBM3", "0a1b2c3d-1111-2222-3333-444455556667", 0x3B, 85_029_158_912)


class Counts(ctypes.Structure):
    """`SimCounts` of cuda_sim.h: what one process did on the simulated devices."""

    _fields_ = (
        *((n, ctypes.c_uint64) for n in ("launches", "graph_launches", "synchronisations", "captured", "illegal")),
        ("allocations", ctypes.c_uint64 * 8),
        ("last_illegal", ctypes.c_char * 128),
    )  # fmt: skip

    @classmethod
    def now(cls) -> Counts:
        """Those of this process, which `sitecustomize` has put on the simulated device."""
        return ctypes.POINTER(cls).in_dll(ctypes.CDLL("libcudart.so.13"), "sim_cuda").contents

    @classmethod
    def of(cls, directory: Path) -> list[Counts]:
        """Those of all processes that were given this directory (`variables`)."""
        return [cls.from_buffer_copy(file.read_bytes()) for file in sorted(directory.iterdir())]


# ---- building


@dataclass(frozen=True)
class _Library:
    """A library to build: its file, the C file, what stands before all names of its functions, and a body for those
    that PyTorch needs and the C file lacks.
    """

    file: str
    source: str
    names: str
    body: str
    flags: tuple[str, ...] = ()


_LAUNCH = "{{ sim_cuda_launch(*(void **)handle); return 0; }}"
_LIBRARIES = (
    _Library("libcudart.so.13", "runtime.c", r"(cuda|__cuda)", "int {name}(void) {{ return 801; }}"),  # not supported
    _Library("libcublas.so.13", "blas.c", r"cublas(?!Lt)", f"int {{name}}(void *handle) {_LAUNCH}", ("-DSIM_BLAS",)),
    _Library("libcublasLt.so.13", "blas.c", r"cublasLt", "int {name}(void) {{ return 0; }}"),
    _Library("libcudnn.so.9", "dnn.c", r"cudnn", "int {name}(void) {{ return 0; }}"),
    _Library("libcuda.so.1", "driver.c", r"cu[A-Z]", "int {name}(void) {{ return 0; }}"),
)


def build(directory: Path) -> Path:
    """Compile the libraries into `directory`, for the installed PyTorch, and return it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    spec = importlib.util.find_spec("torch")
    assert compiler is not None, "the simulated libraries need a C compiler"
    assert spec is not None, "the simulated libraries are made for the installed torch"
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    directory.mkdir(parents=True, exist_ok=True)
    headers = [packages / name / "include" for name in ("nvidia/cu13", "nvidia/cudnn", "triton/backends/nvidia")]
    flags = ["-O1", "-Wall", "-Wextra", "-Wno-deprecated-declarations", "-shared", "-fPIC", f"-I{HERE}"]
    flags += [f"-I{path}" for path in headers]
    needed = sorted(set(_needed(packages)))
    for library in _LIBRARIES:
        target, map_, stubs = (directory / f"{library.file}{suffix}" for suffix in ("", ".map", ".c"))
        map_.write_text(f"{library.file} {{ global: *; }};\n")
        known = _written(HERE / library.source)
        missing = [name for name in needed if re.match(library.names, name) and name not in known]
        bodies = [library.body.format(name=name) for name in missing]
        stubs.write_text("\n".join(["extern void sim_cuda_launch(void *stream);", *bodies, ""]))
        version = [] if library.file == "libcuda.so.1" else [f"-Wl,--version-script={map_}"]
        command = [compiler, *flags, *library.flags, f"-Wl,-soname,{library.file}", *version, "-o", target,
                   HERE / library.source, stubs, "-ldl", "-lpthread"]  # fmt: skip
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{compiler} could not build {library.file}:\n{done.stderr}")
    link = directory / "libcuda.so"  # as Triton looks for it
    link.unlink(missing_ok=True)
    link.symlink_to("libcuda.so.1")
    return directory


def _written(source: Path) -> set[str]:
    """Functions that a C file has, those of its macros among them."""
    text = source.read_text()
    kinds = re.findall(r"^DESCRIPTOR\((\w+),", text, re.MULTILINE)
    made = {f"cudnn{verb}{kind}" for kind in kinds for verb in ("Create", "Destroy")}
    return {*re.findall(r"\b(\w+)\(", text), *re.findall(r"^DONE\((\w+)\)", text, re.MULTILINE), *made}


def _needed(packages: Path) -> Iterator[str]:
    """Functions that PyTorch's libraries, and those that it brings along, expect of the ones that are simulated."""
    ours = {library.file for library in _LIBRARIES}
    files = [*(packages / "torch" / "lib").glob("*.so*"), *(packages / "nvidia").glob("*/lib/*.so*")]
    for file in files:
        if file.name in ours:
            continue
        said = subprocess.run(["nm", "-D", "--undefined-only", str(file)], capture_output=True, text=True, check=False)
        for line in said.stdout.splitlines():
            name, _, library = line.split()[-1].partition("@")
            if library.lstrip("@") in ours:
                yield name


# ---- what a process is told


def variables(
    libraries: Path, devices: Sequence[Device], *, kernel_ns: int = 2000, init_error: int | None = None,
    power: tuple[Path, float, float] | None = None, counts: Path | None = None, numbers: bool = True,
    rocm: str | None = None, tf32: bool = True, path: Iterable[Path] = (),
) -> dict[str, str]:  # fmt: skip
    """Variables under which a Python process finds these devices.

    `counts` is a directory in which each process counts what it does (`Counts.of`). `power` is the file that a
    simulated sensor follows, with the watts at rest and at work. With `numbers`, a worker's checks get right numbers.
    `rocm` names an architecture of AMD's: torch is then in the shape of its ROCm build, whose library has products in
    tf32 or not. `path` stands behind the simulator on PYTHONPATH.
    """
    lines = [
        f"{d.name}|{uuid.UUID(d.uuid).hex}|{d.bus:x}|{d.memory_bytes}|{d.multiprocessors}|{d.capability[0]}|{d.capability[1]}"
        for d in devices
    ]
    said = {
        "SIM_CUDA_LIBRARIES": str(libraries),
        "SIM_CUDA_DEVICES": "\n".join(lines),
        "SIM_CUDA_KERNEL_NS": str(kernel_ns),
        "TRITON_LIBCUDA_PATH": str(libraries),
        "PYTHONPATH": os.pathsep.join(map(str, [SITE, *path])),
    }
    if init_error is not None:
        said["SIM_CUDA_INIT_ERROR"] = str(init_error)
    if counts is not None:
        said["SIM_CUDA_COUNTS"] = str(counts)
    if power is not None:
        said["SIM_CUDA_POWER"] = "|".join(map(str, power))
    if numbers:
        said["SIM_CUDA_NUMBERS"] = "1"
    if rocm is not None:
        said["SIM_CUDA_ROCM"] = f"{rocm}|{'tf32' if tf32 else ''}"
    return said
